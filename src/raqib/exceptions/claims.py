"""Which facts a process can claim, so that no exception rests on them alone; SECURITY.md has the table."""

from __future__ import annotations

from typing import Final

from raqib.exceptions.rule import ExceptionRule
from raqib.model.process import Process
from raqib.recipes.check_arbitrary import FACTS
from raqib.recipes.spec import Item

PLACES: Final = frozenset({"unit", "container", "pod"})
"""Where a process runs: it is put there by who starts it, and cannot leave by itself."""

_PATH_SUFFIXES = ("exe", "path")

ROOTED: Final = frozenset(name for name in FACTS if name.endswith(_PATH_SUFFIXES))
"""Paths, which are told from the root of the process's mount namespace: whoever makes one decides what lies where."""

CLAIMED: Final = frozenset(
    name
    for name in FACTS
    if name.endswith(("comm", "cmd", "cmdline", "args", "envs")) or name in ("arg", "cwd", "label", "image")
)
"""What a process says of itself, or whoever starts it of it: its name, its arguments, where it stands."""

_NUMBERS_OF_NOBODY = frozenset({"pid", "parent_pid", "start", "exit", "retcode"})


def holds_firmly(item: Item) -> bool:
    """Tell whether an item says something that a process cannot choose."""
    return item.pertinent and item.what not in CLAIMED | _NUMBERS_OF_NOBODY


def needs_host_mounts(rule: ExceptionRule) -> bool:
    """Tell whether a rule names paths and no place: then it holds in the host's mount namespace only."""
    asked = {item.what for item in rule.when}
    placed = any(item.what in PLACES and item.pertinent for item in rule.when)
    return bool(asked & ROOTED) and not placed


def sees_host_mounts(process: Process, host_mnt_ns: int) -> bool:
    """Tell whether the paths of a process are the host's; what is not known is not."""
    return process.namespaces.mnt_ns == host_mnt_ns != 0
