"""``python -m orderway.demo``: the same as ``orderway demo``."""

import sys

from orderway.cli.commands import orderway

if __name__ == "__main__":
    orderway.main(["demo", *sys.argv[1:]], prog_name="orderway")
