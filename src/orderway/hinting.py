"""Hinting: sends hints after the commit, and acts on those that come. Without it orders go on, only later."""
