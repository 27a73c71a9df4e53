"""Gives away, step by step, everything that a worker does not need. Called in the worker before any code from outside.

`enter` must come while the process has one thread; `close` once the engine is warm and has all the threads it wants.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

from raqib.errors import NotPermittedError
from raqib.reactions.worker import landlock, seccomp

_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_SECUREBITS = 0x2F
"""NOROOT, NO_SETUID_FIXUP (both locked) and the lock of KEEP_CAPS."""

_CAPABILITY_VERSION_3 = 0x2008_0522
_CAP_SETPCAP, _CAP_SYS_CHROOT, _CAP_SYS_ADMIN = 8, 18, 21

_NAMESPACES = {
    "mount": 0x0002_0000,
    "cgroup": 0x0200_0000,
    "uts": 0x0400_0000,
    "ipc": 0x0800_0000,
    "net": 0x4000_0000,
}
_CLONE_NEWUSER = 0x1000_0000

_MS_REC_PRIVATE = 0x4000 | 0x4_0000

_MAX_FILES = 64
_MAX_THREADS = 64


def enter(
    *, root: int, keep: tuple[int, ...], uid: int | None, data_bytes: int, max_data_bytes: int, parent_pid: int
) -> tuple[str, ...]:
    """Drop identity, file system, network and capabilities; return the parts that this host does not permit.

    `root` is a descriptor of an empty directory and is closed, `keep` are the descriptors that stay open. `uid` is the
    user and group to become; None, for a process that is not root, keeps its own. The limits of memory are RLIMIT_DATA,
    soft and hard.

    Raises NotPermittedError if a part failed that there must be.
    """
    missing: list[str] = []
    _close_all_but(root, *keep)
    for limit, soft, hard in (
        (resource.RLIMIT_NOFILE, _MAX_FILES, _MAX_FILES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_DATA, data_bytes, max_data_bytes),
    ):
        resource.setrlimit(limit, (soft, hard))
    if uid is not None:
        _become(uid)
    missing += _unshare()
    os.fchdir(root)
    os.close(root)
    try:
        os.chroot(".")
    except PermissionError:
        missing.append("chroot")
    _drop_capabilities()
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    try:
        landlock.forbid_everything()
    except OSError as error:
        missing.append(f"landlock ({error.strerror})")
    # Changes of identity clear it, so it comes last; the parent may be gone already by then.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise NotPermittedError(f"expected to be started by process {parent_pid}, which is gone")
    return tuple(missing)


def limit_memory(size: int, hard: int) -> None:
    """Change the soft limit of memory, in bytes, within the hard one. Works in the closed sandbox, too."""
    resource.setrlimit(resource.RLIMIT_DATA, (min(size, hard), hard))


def close() -> None:
    """Forbid all system calls but those that a running engine makes. Raises NotPermittedError."""
    try:
        seccomp.install()
    except OSError as error:
        raise NotPermittedError(f"the worker's system call filter cannot be set: {error.strerror}") from error


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *padded) < 0:
        number = ctypes.get_errno()
        raise NotPermittedError(f"prctl({option}): {os.strerror(number)}")


def _close_all_but(*kept: int) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = 3
    for descriptor in sorted(kept):
        os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    os.closerange(lowest, max(limit, lowest))


def _set_capabilities(capabilities: int) -> None:
    """Make these the permitted and effective capabilities, and no others inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    low, high = capabilities & 0xFFFF_FFFF, capabilities >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    if _libc.capset(header, data) < 0:
        number = ctypes.get_errno()
        raise NotPermittedError(f"capset: {os.strerror(number)}")


def _become(uid: int) -> None:
    """Become an unprivileged user that nothing belongs to, keeping for a moment what the next steps need."""
    _prctl(_PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise NotPermittedError(
            f"workers cannot become user {uid}: {error.strerror}; expected a user namespace that has this user"
        ) from error
    with contextlib.suppress(NotPermittedError):
        # A container may hold back some of them; the steps that needed those then say so.
        _set_capabilities(1 << _CAP_SETPCAP | 1 << _CAP_SYS_CHROOT | 1 << _CAP_SYS_ADMIN)


def _unshare() -> list[str]:
    """Enter empty namespaces. The user namespace gets no mapping: there is no identity in it to change to."""
    every = sum(_NAMESPACES.values())
    missing = []
    if _libc.unshare(_CLONE_NEWUSER | every) == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (_MAX_THREADS, _MAX_THREADS))
    else:
        missing.append(f"user namespace ({os.strerror(ctypes.get_errno())})")
        for name, flag in _NAMESPACES.items():
            if _libc.unshare(flag) < 0:
                missing.append(f"{name} namespace ({os.strerror(ctypes.get_errno())})")
    _libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC_PRIVATE), None)
    return missing


def _drop_capabilities() -> None:
    """Give up all capabilities for good. Those outside the bounding set's reach are gone with the permitted ones."""
    with contextlib.suppress(NotPermittedError):
        _prctl(_PR_SET_SECUREBITS, _SECUREBITS)
    capability = 0
    with contextlib.suppress(NotPermittedError):
        while True:
            _prctl(_PR_CAPBSET_DROP, capability)
            capability += 1
    with contextlib.suppress(NotPermittedError):
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _set_capabilities(0)
