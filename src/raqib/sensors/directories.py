"""Directories that recipes name, watched by the kernel's own notification: what is removed from them or moved.

A program's name for a file is read after the call, and may have become another by then; links that it led through may
have been turned. Notification tells the true directory and name, whatever road a call came by. It is slower, so that it
only adds what the hooks did not tell: a net below them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from typing import NamedTuple

import structlog

from raqib.model.actions import NO_ACTIONS, FileAction

# include/uapi/linux/fanotify.h
_CLOEXEC, _NONBLOCK, _UNLIMITED_MARKS, _REPORT_DIR_AND_NAME = 0x1, 0x2, 0x20, 0xC00
_ADD, _REMOVE, _ONLYDIR = 0x1, 0x2, 0x8
_MOVED_FROM, _MOVED_TO, _DELETE, _OVERFLOW, _ONDIR = 0x40, 0x80, 0x200, 0x4000, 0x40000000
_DIRECTORY_AND_NAME = 2
_MASK = _MOVED_FROM | _MOVED_TO | _DELETE | _ONDIR
_EVENT = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBH8sIi")
# include/uapi/linux/fcntl.h
_AT_EMPTY_PATH = 0x1000
_HANDLE_BYTES = 128
_READ_BYTES = 1 << 16

Handle = tuple[bytes, int, bytes]
"""File system, type, bytes."""


class Change(NamedTuple):
    """A name that is gone from a directory, or new in it."""

    pid: int
    path: bytes
    actions: FileAction


class _FileHandle(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint32), ("type", ctypes.c_int32), ("handle", ctypes.c_ubyte * _HANDLE_BYTES))


_libc = ctypes.CDLL(None, use_errno=True)


class Directories:
    """Belongs to one thread. Without support of the kernel it tells nothing."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self._log = structlog.get_logger()
        self._names: dict[Handle, bytes] = {}
        self._handles: dict[bytes, Handle] = {}
        self._overflows = 0
        flags = _CLOEXEC | _NONBLOCK | _UNLIMITED_MARKS | _REPORT_DIR_AND_NAME
        self._fd: int = _libc.fanotify_init(flags, os.O_RDONLY)
        if self._fd < 0:
            self._log.info("directories are not watched by notification", problem=os.strerror(ctypes.get_errno()))

    def watch(self, name: bytes, fd: int) -> None:
        """Tell what happens in the directory behind a descriptor from now on, by this name; what was there ends."""
        handle = _handle_of(fd) if self._fd >= 0 else None
        if handle is None or self._handles.get(name) == handle:
            return
        if self._mark(_ADD, fd):
            self._handles[name] = handle
            self._names[handle] = name

    def forget(self, name: bytes) -> None:
        """Tell nothing more under this name. The mark ends with the directory, or with this object."""
        handle = self._handles.pop(name, None)
        if handle is not None:
            self._names.pop(handle, None)

    def changes(self) -> list[Change]:
        """Return what has happened since this was last asked."""
        found: list[Change] = []
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            self._parse(data, found)
        return found

    def take_overflows(self) -> int:
        """Return how often the kernel had no room for a change since this was last asked."""
        count, self._overflows = self._overflows, 0
        return count

    def close(self) -> None:
        """Watch nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _mark(self, how: int, fd: int) -> bool:
        # A descriptor of a location is no file for this call, but the link that leads to it is a name.
        name = ctypes.c_char_p(b"/proc/self/fd/%d" % fd)
        code: int = _libc.fanotify_mark(self._fd, how | _ONLYDIR, ctypes.c_uint64(_MASK), -100, name)
        # Some file systems have no handles that could be told.
        if code and ctypes.get_errno() not in (errno.EOPNOTSUPP, errno.ENODEV, errno.EXDEV, errno.ENOENT):
            self._log.info("a directory is not watched", problem=os.strerror(ctypes.get_errno()))
        return not code

    def _parse(self, data: bytes, found: list[Change]) -> None:
        at = 0
        while at + _EVENT.size <= len(data):
            length, _, _, header, mask, _, pid = _EVENT.unpack_from(data, at)
            if mask & _OVERFLOW:
                self._overflows += 1
            else:
                path = self._path(data[at + header : at + length])
                if path is not None:
                    found.append(Change(pid, path, _actions(mask)))
            at += length

    def _path(self, info: bytes) -> bytes | None:
        if len(info) < _INFO.size:
            return None
        kind, _, length, file_system, count, type_ = _INFO.unpack_from(info)
        end = _INFO.size + count
        if kind != _DIRECTORY_AND_NAME:
            return None
        directory = self._names.get((file_system, type_, info[_INFO.size : end]))
        name = info[end:length].split(b"\0")[0]
        return None if directory is None else directory.rstrip(b"/") + b"/" + name


def _actions(mask: int) -> FileAction:
    actions = FileAction.UNLINK if mask & _DELETE else NO_ACTIONS
    return actions | FileAction.RENAME if mask & (_MOVED_FROM | _MOVED_TO) else actions


def _handle_of(fd: int) -> Handle | None:
    """Return what events call the file behind a descriptor; None if its file system has no such thing."""
    handle = _FileHandle(bytes=_HANDLE_BYTES)
    mount = ctypes.c_int()
    code = _libc.name_to_handle_at(fd, b"", ctypes.byref(handle), ctypes.byref(mount), _AT_EMPTY_PATH)
    if code:
        return None
    with contextlib.suppress(OSError):
        # As statfs(2) tells it: two 32-bit words in the order of the processor.
        file_system = os.statvfs(fd).f_fsid.to_bytes(8, "little")
        return file_system, handle.type, bytes(handle.handle[: handle.bytes])
    return None
