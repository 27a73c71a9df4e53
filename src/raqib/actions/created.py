"""The directories that helpers created, each known by what it is and not only by its name; kept across restarts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from pathlib import Path

import msgspec

from raqib.errors import RaqibError

MAX_DIRECTORIES = 10_000
"""Kept at a time; then some have to be removed first."""
MAX_OF_ONE_RECIPE = 1_000

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME = 0x800
_STATX_SIZE = 256
_BTIME_AT = 80

_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryIdentity(msgspec.Struct, frozen=True, array_like=True):
    """What tells a directory from a later one of the same name, also if that has got its inode."""

    device: int
    inode: int
    born_ns: int
    """Time of its creation; 0 where the filesystem does not keep it."""


def identify(descriptor: int) -> DirectoryIdentity:
    """Return the identity of an open directory. Raises OSError."""
    status = os.fstat(descriptor)
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    born_ns = 0
    if _libc.statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, buffer) == 0:
        raw = buffer.raw
        if int.from_bytes(raw[:4], "little") & _STATX_BTIME:
            seconds = int.from_bytes(raw[_BTIME_AT : _BTIME_AT + 8], "little", signed=True)
            born_ns = seconds * 1_000_000_000 + int.from_bytes(raw[_BTIME_AT + 8 : _BTIME_AT + 12], "little")
    return DirectoryIdentity(status.st_dev, status.st_ino, born_ns)


class _Created(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a directory; lists of older versions end after the first three."""

    device: int
    inode: int
    born_ns: int
    recipe: str = ""
    """The name of the recipe that created it."""
    size: int = 0
    """Of the evidence in it, in bytes."""

    @property
    def identity(self) -> DirectoryIdentity:
        """What it is known by."""
        return DirectoryIdentity(self.device, self.inode, self.born_ns)


class CreatedDirectories:
    """The list of them. May be used from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Take up the list that a file holds; None keeps it in memory.

        Raises OSError if the file cannot be read, RaqibError if it is not such a list.
        """
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, _Created] = {}
        self._dry: dict[str, str] = {}
        """And whose each of them would be."""
        if path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            try:
                self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, _Created])
            except msgspec.DecodeError as error:
                message = f"{path}: expected the list of created directories, found: {error}; remove it"
                raise RaqibError(message) from error

    def add(self, path: str, descriptor: int, recipe: str) -> None:
        """Note a directory that a recipe created. Raises OSError, or RaqibError if there are too many."""
        with self._lock:
            if len(self._known) >= MAX_DIRECTORIES or self._count(recipe) >= MAX_OF_ONE_RECIPE:
                self._forget_missing()
            if self._count(recipe) >= MAX_OF_ONE_RECIPE:
                expected = f"expected at most {MAX_OF_ONE_RECIPE} directories at a time that {recipe!r} created"
                raise RaqibError(f"{expected}; remove some")
            if len(self._known) >= MAX_DIRECTORIES:
                raise RaqibError(f"expected at most {MAX_DIRECTORIES} directories at a time; remove some")
            found = identify(descriptor)
            self._write({**self._known, path: _Created(found.device, found.inode, found.born_ns, recipe)})

    def note_size(self, path: str, size: int) -> None:
        """Note how much evidence there is in a directory, in bytes. Raises OSError."""
        with self._lock:
            if (created := self._known.get(path)) is not None:
                self._write({**self._known, path: msgspec.structs.replace(created, size=size)})

    def evidence_bytes(self, recipe: str, limit: int) -> tuple[int, int]:
        """Return how much evidence there is in all, and how much of it one recipe's. Raises OSError.

        What somebody has carried away is looked for only where there is too much for the limit, or for half of it.
        """
        with self._lock:
            total, own = self._sizes(recipe)
            if total >= limit or own >= limit // 2:
                self._forget_missing()
                total, own = self._sizes(recipe)
            return total, own

    def _sizes(self, recipe: str) -> tuple[int, int]:
        sizes = [(created.size, created.recipe) for created in self._known.values()]
        return sum(size for size, _ in sizes), sum(size for size, creator in sizes if creator == recipe)

    def _count(self, recipe: str) -> int:
        return sum(created.recipe == recipe for created in self._known.values())

    def creator(self, path: str, descriptor: int) -> str | None:
        """Return the recipe that created the open directory under that name; None if none did. Raises OSError."""
        with self._lock:
            created = self._known.get(path)
        return created.recipe if created is not None and created.identity == identify(descriptor) else None

    def forget(self, path: str) -> None:
        """Strike out a directory that was removed. Raises OSError."""
        with self._lock:
            if path in self._known:
                self._write({known: identity for known, identity in self._known.items() if known != path})

    def add_dry(self, path: str, recipe: str) -> None:
        """Note a directory that a dry run of a recipe would have created."""
        with self._lock:
            if len(self._dry) >= MAX_DIRECTORIES:
                self._dry.clear()
            self._dry[path] = recipe

    def forget_dry(self, path: str, recipe: str) -> bool:
        """Strike out such a directory; False if it is not one of that recipe."""
        with self._lock:
            if self._dry.get(path) != recipe:
                return False
            del self._dry[path]
            return True

    def _forget_missing(self) -> None:
        present = {path: created for path, created in self._known.items() if Path(path).is_dir()}
        if len(present) < len(self._known):
            self._write(present)

    def _write(self, known: dict[str, _Created]) -> None:
        if self._path is not None:
            temporary = self._path.with_suffix(".new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(known))
                file.flush()
                os.fdatasync(file.fileno())
            temporary.replace(self._path)
        self._known = known
