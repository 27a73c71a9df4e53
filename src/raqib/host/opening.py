"""Opens files by openat2(2): without following links, without leaving a root, or only if nobody need be asked."""

from __future__ import annotations

import ctypes
import os

_SYS_OPENAT2 = 437
_AT_FDCWD = -100
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT, RESOLVE_CACHED = 0x02, 0x04, 0x10, 0x20
"""As openat2(2) has them; `RESOLVE_CACHED`: EAGAIN if the kernel has not cached all of the way."""
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_BENEATH = 0x08


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def open_without_links(directory: int | None, name: str, flags: int, mode: int = 0, *, same_mount: bool = False) -> int:
    """Open a file by openat2(2), through no symbolic or magic link, and with `same_mount` into no other mount.

    Raises OSError (ELOOP for a link, EXDEV for a mount).
    """
    resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    if same_mount:
        resolve |= _RESOLVE_NO_XDEV | _RESOLVE_BENEATH
    return _open(_AT_FDCWD if directory is None else directory, name, flags, mode, resolve)


def open_in_root(root: int, name: str, flags: int) -> int:
    """Open a file by openat2(2) as if a directory were the root, for links too; magic ones are not followed.

    Raises OSError.
    """
    return _open(root, name, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)


def open_location(directory: int | None, name: bytes, resolve: int, flags: int = 0) -> int:
    """Open a path for its location only. Raises OSError."""
    return _open(_AT_FDCWD if directory is None else directory, name, os.O_PATH | flags, 0, resolve)


def _open(directory: int, name: str | bytes, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    descriptor = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(os.fsencode(name)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return int(descriptor)
