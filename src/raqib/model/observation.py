"""What a sensor tells: one process did something to one file."""

from __future__ import annotations

import msgspec

from raqib.model.actions import FileAction
from raqib.model.process import Process


class FileObservation(msgspec.Struct, frozen=True):
    """A (process, file) pair that gained an action."""

    process: Process
    """As it was when it acted."""
    path: bytes
    """Absolute, as really reached, in the process's mount namespace."""
    actions: FileAction
    """All that this process has done to this file so far."""
    new: FileAction
    """What of it is news: not delivered before."""
    timestamp_ns: int
    """CLOCK_BOOTTIME."""
    aliases: tuple[bytes, ...] = ()
    """Further absolute names of it that patterns are tried on: as used, within its own filesystem."""
    host_path: bytes = b""
    """What the host calls it, where that differs and is known: patterns are tried on it, too."""
    as_given: bool = False
    """The path could not be resolved: it is what the program named, made absolute."""
    deleted: bool = False
    """The file had no name any more."""
    inode: int = 0
    device: int = 0
    """As `st_dev`, in the kernel's internal encoding (major << 20 | minor)."""
    mode: int = 0
    """`st_mode`, or 0 if not known."""
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    lost: int = 0
    """Accesses of which the kernel side could not keep a record in this process's window."""

    @property
    def names(self) -> tuple[bytes, ...]:
        """Every name that a pattern is tried on."""
        return (self.path, *self.aliases, self.host_path) if self.host_path else (self.path, *self.aliases)
