"""What is known of a process: the kernel's own record of it, decoded."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from raqib.model.where import Where


class ProcessKey(NamedTuple):
    """The identity of a process: a pid alone may be reused, together with the start time it is not."""

    pid: int
    """In the host's pid namespace."""
    start_ns: int
    """Nanoseconds of CLOCK_BOOTTIME at which the process was forked."""


class Image(msgspec.Struct, frozen=True, gc=False):
    """A program as one execve started it. Paths and arguments are bytes, as the kernel has them."""

    exe: bytes = b""
    args: tuple[bytes, ...] = ()
    loader: bytes = b""
    exec_ns: int = 0
    """CLOCK_BOOTTIME of the execve; 0 if the process was already running when the sensors started."""
    args_truncated: bool = False
    has_environment: bool = False
    """Variables for the dynamic loader were kept when it started."""


class Namespaces(msgspec.Struct, frozen=True, gc=False):
    """Inode numbers of the namespaces; 0 is not known."""

    mnt_ns: int = 0
    pid_ns: int = 0
    uts_ns: int = 0
    ipc_ns: int = 0
    net_ns: int = 0
    cgroup_ns: int = 0


class Process(msgspec.Struct, frozen=True):
    """A process at one moment. It survives execve; `image` is what it runs now, `previous` what before."""

    key: ProcessKey
    parent: ProcessKey = ProcessKey(0, 0)
    """The parent at the time of the fork; (0, 0) is not known."""
    ppid: int = 0
    """The parent's pid now (the reaper's, once the parent has exited)."""
    uid: int = 0
    gid: int = 0
    ns_pid: int = 0
    comm: bytes = b""
    image: Image = Image()
    previous: Image | None = None
    namespaces: Namespaces = Namespaces()
    cgroup_id: int = 0
    exit_ns: int | None = None
    """CLOCK_BOOTTIME of its end; None while it lives."""
    exit_status: int | None = None
    """As in wait(2): `status >> 8` is the exit code, `status & 0x7f` the signal."""
    envs: tuple[bytes, ...] = ()
    """Only what was asked for."""
    where: Where | None = None
    """None if nothing is known of it."""
    user: str | None = None
    """The user's name; None is not known."""
    cwd: bytes = b""
    """Its working directory, in its mount namespace; empty if not known."""

    def __hash__(self) -> int:
        """Return a hash of the identity: descriptions of processes are looked up by them, often."""
        return hash(self.key)

    @property
    def pid(self) -> int:
        """Its pid in the host's pid namespace."""
        return self.key.pid
