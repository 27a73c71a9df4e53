"""Finds lines in a file of any size by a descriptor of it."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 64 * 1024


def last_newline(fd: int, end: int) -> int:
    """Return the offset of the last newline before `end`, or -1."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found
        end = start
    return -1


def last_line(path: Path) -> bytes:
    """Return the last whole line of a file, without its newline. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = last_newline(descriptor, os.fstat(descriptor).st_size)
        start = last_newline(descriptor, end) + 1
        return os.pread(descriptor, max(0, end - start), start)
    finally:
        os.close(descriptor)


def cut_torn(path: Path) -> bytes:
    """Cut off what follows the last whole line of a file, and return it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(descriptor).st_size
        whole = last_newline(descriptor, size) + 1
        torn = os.pread(descriptor, size - whole, whole)
        if torn:
            os.ftruncate(descriptor, whole)
            os.fsync(descriptor)
        return torn
    finally:
        os.close(descriptor)


def first_line(fd: int) -> bytes:
    """Return the first line of a file, without its newline."""
    content = b""
    while b"\n" not in content and (piece := os.pread(fd, _BLOCK, len(content))):
        content += piece
    return content.partition(b"\n")[0]


def count_lines(fd: int, end: int) -> int:
    """Return the number of newlines before the offset `end`."""
    return sum(os.pread(fd, min(_BLOCK, end - at), at).count(b"\n") for at in range(0, end, _BLOCK))
