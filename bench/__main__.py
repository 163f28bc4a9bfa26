"""``python -m bench``."""

if __name__ == "__main__":  # measuring processes import this module too, and need none of the command
    import sys

    from bench.command import main

    sys.exit(main())
