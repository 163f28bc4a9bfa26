"""Checkpoints: how far every order's journal had come at one moment, in a file to be kept where nobody alters it.

The file is JSON lines. The first says what it is, when it was made, how many orders follow, and the SHA-256 of all that
follows, so that a file that was cut short or damaged is told from an altered database. Each further line is one order:
``{"order_id": ..., "version": ..., "digest": ...}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from orderway.core.journal import compact_json
from orderway.errors import InvalidValue

__all__ = ["Checkpoint", "CheckpointWriter", "Mark"]

FORMAT_VERSION = 1
_NAME = "orderway-checkpoint"
_HEADER_BYTES = 256
_LONGEST_LINE = 4096


@dataclass(frozen=True, slots=True)
class Mark:
    """An order's journal had come to this version, whose entry had this digest."""

    order_id: str
    version: int
    digest: str


class CheckpointWriter:
    """Writes a checkpoint beside its path, and puts it there all at once by ``commit``.

    Args:
        path: the file; an older one is replaced.
        at_us: when it is made, in microseconds since 1970.

    Raises:
        InvalidValue: the file cannot be written.
    """

    def __init__(self, path: Path, at_us: int) -> None:
        self._path = path
        self._at_us = at_us
        self._count = 0
        self._sum = sha256()
        self._partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
        try:
            self._file: BinaryIO = self._partial.open("wb")
        except OSError as error:
            raise InvalidValue(f"the checkpoint {path} cannot be written: {error.strerror}") from error
        self._file.write(self._header())

    def add(self, mark: Mark) -> None:
        """Write one order."""
        line = {"digest": mark.digest, "order_id": mark.order_id, "version": mark.version}
        encoded = compact_json(line).encode() + b"\n"
        self._file.write(encoded)
        self._sum.update(encoded)
        self._count += 1

    def commit(self) -> int:
        """Put the finished file in its place, durably; returns how many orders it holds."""
        self._file.seek(0)
        self._file.write(self._header())
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.replace(self._path)
        return self._count

    def discard(self) -> None:
        """Leave no file behind, and an older one as it is. Does nothing after ``commit``."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _header(self) -> bytes:
        # Of fixed length, for the count and the sum are only known at the end.
        header = {
            "format": _NAME,
            "version": FORMAT_VERSION,
            "at": datetime.fromtimestamp(self._at_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z"),
            "orders": self._count,
            "sha256": self._sum.hexdigest(),
        }
        return json.dumps(header).encode().ljust(_HEADER_BYTES - 1) + b"\n"


class Checkpoint:
    """A checkpoint file, checked as a whole when it is opened. Iterating gives its marks, any number of times.

    Raises:
        InvalidValue: the file cannot be read, is no checkpoint, is of a newer format, was cut short or altered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                header = self._read_header(file.readline(_LONGEST_LINE))
                self.at = str(header["at"])
                self.count = int(header["orders"])
                self._check(file, str(header["sha256"]))
        except OSError as error:
            raise InvalidValue(f"the checkpoint {path} cannot be read: {error.strerror}") from error

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Mark]:
        with self.path.open("rb") as file:
            file.readline(_LONGEST_LINE)
            for number, line in enumerate(file, start=2):
                yield self._mark(line, number)

    def _read_header(self, line: bytes) -> dict[str, Any]:
        try:
            header = json.loads(line)
            known = header["format"] == _NAME and {"at", "orders", "sha256", "version"} <= header.keys()
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise InvalidValue(f"{self.path} is no checkpoint: `orderway verify --write FILE` makes them")
        if header["version"] != FORMAT_VERSION:
            raise InvalidValue(
                f"the checkpoint {self.path} has format version {header['version']},"
                f" this package knows {FORMAT_VERSION}: upgrade orderway"
            )
        return dict(header)

    def _check(self, file: BinaryIO, expected: str) -> None:
        found, count = sha256(), 0
        for line in file:
            found.update(line)
            count += 1
            self._mark(line, count + 1)
        if count != self.count:
            raise InvalidValue(
                f"the checkpoint {self.path} says that it holds {self.count} orders and holds {count}: it was cut short"
            )
        if found.hexdigest() != expected:
            raise InvalidValue(f"the checkpoint {self.path} was altered: its contents do not match its own SHA-256")

    def _mark(self, line: bytes, number: int) -> Mark:
        try:
            fields = json.loads(line)
            mark = Mark(fields["order_id"], fields["version"], fields["digest"])
        except (ValueError, TypeError, KeyError):
            mark = None
        if mark is None or not (type(mark.order_id) is type(mark.digest) is str and type(mark.version) is int):
            raise InvalidValue(f"the checkpoint {self.path} was cut short or altered: line {number} cannot be read")
        return mark
