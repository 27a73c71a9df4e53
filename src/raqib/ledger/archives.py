"""The files of a ledger: the one that is written, and the older ones, each named after the number of its first line."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_DIGITS = 16
_ARCHIVE = re.compile(r"\.(\d{16})$")


def archive_path(path: Path, first: int) -> Path:
    """Return the name of the archive of `ledger.jsonl` that begins with line number `first`."""
    return path.with_name(f"{path.stem}.{first:0{_DIGITS}}{path.suffix}")


def first_of(archive: Path) -> int | None:
    """Return the number of an archive's first line as its name says it; None for a file that is no archive."""
    found = _ARCHIVE.search(archive.stem)
    return int(found[1]) if found else None


def archives(path: Path) -> list[Path]:
    """Return the archives of a ledger, oldest first.

    A rotation that a crash stopped halfway leaves a second name of the file in use; that is no archive.
    """
    found = [
        (first, archive)
        for archive in path.parent.glob(f"{path.stem}.*{path.suffix}")
        if (first := first_of(archive)) is not None and not _is_same(archive, path)
    ]
    return [archive for _, archive in sorted(found)]


def files_of(path: Path) -> list[Path]:
    """Return all files of a ledger, oldest first, the one in use last."""
    return [*archives(path), *([path] if path.exists() else [])]


def set_aside(path: Path, first: int, fresh: Path) -> None:
    """Give the file in use its archive's name and put a fresh one in its place. Raises OSError.

    There is no moment without a file of the ledger's name. The names are not on the disk yet: see `sync_directory`.
    """
    archive = archive_path(path, first)
    with contextlib.suppress(FileNotFoundError):
        archive.unlink()
    os.link(path, archive)
    fresh.rename(path)


def sync_directory(directory: Path) -> None:
    """Bring a directory's names to the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except FileNotFoundError:
        return False
