"""Opens files without following links, by openat2(2)."""

from __future__ import annotations

import ctypes
import os

_SYS_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
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
    resolve = _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
    if same_mount:
        resolve |= _RESOLVE_NO_XDEV | _RESOLVE_BENEATH
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    descriptor = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(_AT_FDCWD if directory is None else directory),
        ctypes.c_char_p(os.fsencode(name)),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return int(descriptor)
