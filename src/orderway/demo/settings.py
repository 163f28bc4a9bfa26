"""What a demo is run with, and where its files are: the one thing that the parent tells its shops."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Folder", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the demo is run.

    Args:
        seed: deals the fates and the kills.
        kills: how many times a shop is killed.
        lines: only the first so many lines of the input; None for all.
        shops: how many shop processes at a time; each serves its own part of the customers.
        callers: how many customers a shop serves at once.
    """

    seed: int = 1
    kills: int = 12
    lines: int | None = None
    shops: int = 2
    callers: int = 64


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one demo."""

    path: Path

    @property
    def orders(self) -> Path:
        """The SQLite file with orders, wallets and goods."""
        return self.path / "orders.db"

    @property
    def url(self) -> str:
        """The same, for ``App``."""
        return f"sqlite:///{self.orders}"

    @property
    def channel(self) -> Path:
        """The payment channel's own file: it belongs to somebody else, and outlives the shops."""
        return self.path / "channel.db"

    def log(self, shop: int) -> Path:
        """What the shop with this number has to say."""
        return self.path / f"shop-{shop}.log"

    def tally(self, shop: int) -> Path:
        """What the shop with this number counts."""
        return self.path / f"shop-{shop}.tally"

    def write(self, settings: Settings) -> None:
        """Note down the settings."""
        (self.path / "settings.json").write_text(json.dumps(asdict(settings)))

    def settings(self) -> Settings:
        """The settings that were noted down."""
        return Settings(**json.loads((self.path / "settings.json").read_text()))
