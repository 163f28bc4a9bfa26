"""The Django app: coins, and their orders."""
