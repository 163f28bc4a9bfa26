"""Creates orders, as a web server would: without carrying them. ``python give.py FIRST LAST``."""

import asyncio
import sqlite3
import sys
from contextlib import closing

from shop import TABLE, make_app


async def give(first: int, last: int) -> None:
    """Create the orders with these numbers; those that are there already stay as they are."""
    with closing(sqlite3.connect("orders.db")) as database:
        database.execute(TABLE)
    async with make_app(sweep=False) as app:
        numbers = range(first, last + 1)
        orders = await asyncio.gather(*(app.create(1, f"user-{n}", own_number=f"gift-{n}") for n in numbers))
    sys.stdout.write(f"{len(orders)} orders created\n")


if __name__ == "__main__":
    asyncio.run(give(int(sys.argv[1]), int(sys.argv[2])))
