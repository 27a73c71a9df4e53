"""The fifteen things that a process can do to a file, and the macros that name groups of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntFlag
from functools import cache, reduce
from operator import or_
from types import MappingProxyType


class FileAction(IntFlag):
    """A set of file actions; the bit positions are those of `bpf/layout/core.h`."""

    FASYNC = 1 << 0
    FLOCK = 1 << 1
    FSYNC = 1 << 2
    LLSEEK = 1 << 3
    MMAP = 1 << 4
    OPEN = 1 << 5
    READ = 1 << 6
    WRITE = 1 << 7
    RENAME = 1 << 8
    TRUNCATE = 1 << 9
    UNLINK = 1 << 10
    CREATE = 1 << 11
    CLOSE = 1 << 12
    LINK = 1 << 13
    EXECVE = 1 << 14


NO_ACTIONS = FileAction(0)
ALL_ACTIONS: FileAction = reduce(or_, FileAction)

ACTION_NAMES: Mapping[str, FileAction] = MappingProxyType(
    {action.name.lower(): action for action in FileAction if action.name}
)
"""Each single action by its name in recipes and events."""

_OPEN = FileAction.OPEN | FileAction.CLOSE
_READ = FileAction.READ | FileAction.LLSEEK | FileAction.MMAP
_TAMPER = FileAction.LINK | FileAction.UNLINK | FileAction.TRUNCATE | FileAction.RENAME
_MODIFY = FileAction.CREATE | FileAction.WRITE | FileAction.FSYNC | _TAMPER
_ACCESS = _OPEN | _READ | _MODIFY

ACTION_MACROS: Mapping[str, FileAction] = MappingProxyType(
    {
        "any": ALL_ACTIONS,
        "open_related": _OPEN,
        "read_related": _READ,
        "modify_related": _MODIFY,
        "access_related": _ACCESS,
        "access_no_mmap_related": _ACCESS & ~FileAction.MMAP,
        "tamper_related": _TAMPER,
    }
)
"""Each macro by its name in recipes."""


@cache
def action_names(actions: int) -> tuple[str, ...]:
    """Return the names of the actions in a set, in bit order."""
    return tuple(name for name, action in ACTION_NAMES.items() if actions & action.value)


def union(actions: Iterable[FileAction]) -> FileAction:
    """Return all actions that are in any of the sets."""
    return reduce(or_, actions, NO_ACTIONS)
