"""Removes a directory with all that is in it, by descriptors alone: through no link and into no other mount."""

from __future__ import annotations

import errno
import os

from raqib.errors import RaqibError
from raqib.host.opening import open_without_links

MAX_DEPTH = 256
"""Each step down keeps a descriptor open."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY


class RemovalError(RaqibError):
    """What is in a directory is not to be removed."""


def check_contents(directory: int, depth: int = 0) -> None:
    """Look whether everything below an open directory can be removed. Raises RemovalError or OSError."""
    for name in _subdirectories(directory):
        if depth >= MAX_DEPTH:
            raise RemovalError(f"expected at most {MAX_DEPTH} directories within each other")
        below = _open(directory, name)
        try:
            check_contents(below, depth + 1)
        finally:
            os.close(below)


def remove_contents(directory: int) -> None:
    """Remove everything below an open directory. Raises RemovalError or OSError."""
    for name in _subdirectories(directory):
        below = _open(directory, name)
        try:
            remove_contents(below)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=directory)
    with os.scandir(directory) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        os.unlink(name, dir_fd=directory)


def _subdirectories(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _open(directory: int, name: str) -> int:
    try:
        return open_without_links(directory, name, _FLAGS, same_mount=True)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise RemovalError(f"expected no mount in it, {name!r} is one") from None
        raise
