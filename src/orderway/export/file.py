"""A file that an export is written to, such that an interrupted one goes on without a doubled or missing line.

Beside ``orders.csv`` stands ``orders.csv.cursor`` for as long as the export is not complete: it says how many bytes
are whole, and where to go on. A chunk is written and synced, then the cursor file is replaced; what stands behind
the bytes that it vouches for is cut off before going on.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from orderway.errors import InvalidValue, Unavailable
from orderway.export.chunks import Chunk

__all__ = ["ExportFile"]

_NAME = "orderway-export"
FORMAT_VERSION = 1


class ExportFile:
    """The output of one export, open and locked; made by ``begin`` or ``resume``, and closed by ``with``.

    Args:
        path: the file.
        file: the same, open at its end.
        what: what is exported, as JSON can hold it.
        cursor: where the export goes on; None: from its beginning.
        records: how many records the file holds.
    """

    def __init__(self, path: Path, file: BinaryIO, what: Mapping[str, Any], cursor: str | None, records: int) -> None:
        self.path = path
        self.what = what
        self.cursor = cursor
        self.records = records
        self.complete = False
        self._file = file

    @classmethod
    def begin(cls, path: Path, what: Mapping[str, Any]) -> Self:
        """Begin an export anew; an older file is emptied.

        Raises:
            InvalidValue: the file cannot be written; Unavailable: another export is writing it.
        """
        if not path.exists():
            _vouch(path, what, 0, 0, None)  # first: a file without a cursor file counts as complete
        with _opened(path) as file:
            _vouch(path, what, 0, 0, None)
            file.truncate(0)
        return cls(path, file, what, None, 0)

    @classmethod
    def resume(cls, path: Path, wanted: Mapping[str, Any]) -> Self:
        """Go on with an interrupted export.

        Args:
            path: the file.
            wanted: what the caller believes is exported; it must be part of what the export began with.

        Raises:
            InvalidValue: there is nothing to resume, it is another export, or the file was cut short.
            Unavailable: another export is writing it.
        """
        side = _side(path)
        if not side.exists():
            known = f"{path} is complete, or no export" if path.exists() else f"there is no {path}"
            raise InvalidValue(f"nothing to resume: {known} (an interrupted one has a {side.name} beside it)")
        with _opened(path) as file:
            mark = _read_mark(side)
            for name, value in wanted.items():
                if mark["what"].get(name) != value:
                    raise InvalidValue(
                        f"{path} was begun with {name} = {mark['what'].get(name)!r}, not {value!r}:"
                        " leave the option out to go on as it was begun"
                    )
            size = os.fstat(file.fileno()).st_size
            if size < mark["bytes"]:
                raise InvalidValue(
                    f"{path} has {size} bytes, and {mark['bytes']} were written: it was cut short; begin anew"
                )
            file.truncate(mark["bytes"])
        return cls(path, file, mark["what"], mark["cursor"], mark["records"])

    async def write(self, chunk: Chunk) -> None:
        """Add a chunk, durably. The last one completes the file: its cursor file goes.

        Raises:
            InvalidValue: the disk is full or the like; what was written before is good.
        """
        await asyncio.to_thread(self._write, chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _telling(self.path):
            self._file.close()

    def _write(self, chunk: Chunk) -> None:
        with _telling(self.path):
            self._file.write(chunk.text.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
            self.cursor = chunk.cursor
            self.records += chunk.records
            if chunk.cursor is None:
                _side(self.path).unlink()
                self.complete = True
            else:
                _vouch(self.path, self.what, self._file.tell(), self.records, self.cursor)


def _vouch(path: Path, what: Mapping[str, Any], size: int, records: int, cursor: str | None) -> None:
    """Replace the cursor file, durably: so many bytes are whole."""
    mark = {
        "format": _NAME,
        "version": FORMAT_VERSION,
        "what": dict(what),
        "bytes": size,
        "records": records,
        "cursor": cursor,
    }
    side = _side(path)
    fresh = side.with_name(f"{side.name}.new")
    with _telling(path):
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(mark, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(side)
        folder = os.open(side.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _side(path: Path) -> Path:
    return path.with_name(f"{path.name}.cursor")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, open for adding and locked, since two exports into one file would mix their lines.

    It stays open, unless the block fails.
    """
    import fcntl  # here, for Windows has none: there only this fails

    if path.exists() and not path.is_file():
        raise InvalidValue(f"{path} is no regular file: write to standard output instead, and redirect it")
    with _telling(path), ExitStack() as on_failure:
        file = on_failure.enter_context(path.open("ab"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable(f"another export is writing {path}: wait for it, or end it") from None
        yield file
        on_failure.pop_all()


def _read_mark(side: Path) -> dict[str, Any]:
    try:
        mark: dict[str, Any] = json.loads(side.read_text(encoding="utf-8"))
        known = mark["format"] == _NAME and mark["version"] == FORMAT_VERSION
        whole = {"what", "bytes", "records", "cursor"} <= mark.keys() and isinstance(mark["what"], dict)
    except (ValueError, TypeError, KeyError):
        known = whole = False
    if not (known and whole):
        raise InvalidValue(f"{side} is no cursor file of this version of Orderway: begin the export anew")
    return mark


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidValue(f"{path} cannot be written: {error.strerror}") from error
