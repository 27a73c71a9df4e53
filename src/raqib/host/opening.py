"""Opens files by openat2(2): without following links, or without leaving a root."""

from __future__ import annotations

import ctypes
import os

_SYS_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    """`struct open_how` of linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def open_without_links(directory: int | None, name: str, flags: int, mode: int = 0, *, same_mount: bool = False) -> int:
    """Open a file by openat2(2), through no symbolic or magic link, and with `same_mount` into no other mount.

    Raises OSError (ELOOP for a link, EXDEV for a mount).
    """
    resolve = _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    if same_mount:
        resolve |= _RESOLVE_NO_XDEV | _RESOLVE_BENEATH
    return _open(_AT_FDCWD if directory is None else directory, name, flags, mode, resolve)


def open_in_root(root: int, name: str, flags: int) -> int:
    """Open a file by openat2(2) as if a directory were the root, for links too; magic ones are not followed.

    Raises OSError.
    """
    return _open(root, name, flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def _open(directory: int, name: str, flags: int, mode: int, resolve: int) -> int:
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
