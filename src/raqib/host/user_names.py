"""Names of users and groups, from this host's own files.

The name service of libc is not asked: where it is set to a directory (LDAP, SSSD), one answer may take seconds. Who is
known there only has a number and no name.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 8 << 20

_NUMBER_FIELD: Final = 2


class NameFile:
    """The names in a file of the form of passwd(5) or group(5), read again when it changes. Belongs to one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, ...] | None = None
        self._names: dict[int, str] = {}

    def name(self, number: int) -> str | None:
        """Return the name of a user or group; None if the file has none, or cannot be read."""
        self._read_if_changed()
        return self._names.get(number)

    def _read_if_changed(self) -> None:
        try:
            mark = _mark_of(os.stat(self._path))  # noqa: PTH116  # for each event: no path objects
        except OSError:
            mark = None
        if mark != self._mark:
            self._mark = mark
            self._names = {} if mark is None else _read(self._path)


def _mark_of(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _read(path: Path) -> dict[int, str]:
    """Return the names by number; of several of one number the first, as libc does."""
    try:
        # A pipe or a terminal in its place must not be waited for.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return {}
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return {}
        try:
            text = file.read(MOST_BYTES)
        except OSError:
            return {}
    names: dict[int, str] = {}
    for line in text.splitlines():
        fields = line.split(b":")
        if len(fields) > _NUMBER_FIELD and fields[0] and fields[_NUMBER_FIELD].isdigit():
            names.setdefault(int(fields[_NUMBER_FIELD]), fields[0].decode("utf-8", "replace"))
    return names


_users = NameFile(Path("/etc/passwd"))
_groups = NameFile(Path("/etc/group"))


def user_name(uid: int) -> str | None:
    """Return a user's name by /etc/passwd."""
    return _users.name(uid)


def group_name(gid: int) -> str | None:
    """Return a group's name by /etc/group."""
    return _groups.name(gid)
