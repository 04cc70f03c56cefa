"""Part of a file as a file of its own, behind another header."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO


class SplicedFile(io.RawIOBase):
    """Read-only file: a prefix, followed by a range of bytes of another file.

    Args:
        path: The other file.
        start: First byte of the range.
        end: End of the range.
        prefix: Bytes before the range, such as a header.
    """

    def __init__(self, path: Path, start: int, end: int, prefix: bytes = b"") -> None:
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        self._start, self._prefix = start, prefix
        self._size = len(prefix) + max(0, end - start)
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Position from the beginning of the prefix, bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position; see `io.IOBase.seek`."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: object, /) -> int:
        """Read into a buffer; see `io.RawIOBase.readinto`."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        count = min(len(view), max(0, self._size - self._position))
        inside = len(self._prefix) - self._position
        if inside > 0:
            count = min(count, inside)
            view[:count] = self._prefix[self._position : self._position + count]
        elif count:
            self._file.seek(self._start - inside)
            count = self._file.readinto(view[:count])  # type: ignore[attr-defined]
        self._position += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
