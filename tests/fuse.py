"""File systems that never answer, so that whoever looks something up in them waits, or that refuse all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_MNT_FORCE, _MNT_DETACH = 1, 2
_INIT, _MOST_REQUEST = 26, 1 << 18
_HEADER = struct.Struct("=IIQ")
_ANSWER = struct.Struct("=IiQ")
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _RELEASE, _BATCH_FORGET = 1, 2, 3, 14, 15, 18, 42
_NO_ANSWER = (_FORGET, _BATCH_FORGET)
_ROOT, _FILE = 1, 2
_DIRECTORY_MODE, _FILE_MODE = 0o40755, 0o100444
_FOR_EVER_S = 3600
_INIT_ANSWER = struct.pack("=4I2H2I2H8I", 7, 31, 1 << 16, 0, 12, 10, 1 << 17, 1, 0, 0, *[0] * 8)


@contextlib.contextmanager
def _mounted(directory: Path, more: bytes = b"") -> Iterator[int]:
    """Mount one with `more` options and yield its device. In the end whoever waits gets an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"needs FUSE: {error}")
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0%s" % (device, more)
    try:
        mounted = libc.mount(b"silent", os.fsencode(directory), b"fuse", 0, options)
        assert 0 == mounted, os.strerror(ctypes.get_errno())
        yield device
    finally:
        os.close(device)
        libc.umount2(os.fsencode(directory), _MNT_DETACH)


@contextlib.contextmanager
def silent_file_system(directory: Path) -> Iterator[None]:
    """Mount one that never answers."""
    with _mounted(directory):
        yield


@contextlib.contextmanager
def refusing_file_system(directory: Path, number: int) -> Iterator[None]:
    """Mount one that answers everything with that error."""
    with _mounted(directory) as device:
        answering = threading.Thread(target=_refuse, args=(os.dup(device), number), daemon=True)
        answering.start()
        yield
        _detach(directory)
        answering.join()


def _refuse(device: int, number: int) -> None:
    try:
        while True:
            _, operation, unique = _HEADER.unpack_from(os.read(device, _MOST_REQUEST))
            answer = _INIT_ANSWER if operation == _INIT else b""
            error = 0 if operation == _INIT else -number
            with contextlib.suppress(FileNotFoundError):  # what wants no answer
                os.write(device, _ANSWER.pack(_ANSWER.size + len(answer), error, unique) + answer)
    except OSError:
        os.close(device)  # it was unmounted


def _detach(directory: Path) -> None:
    assert 0 == ctypes.CDLL(None).umount2(os.fsencode(directory), _MNT_DETACH)


@contextlib.contextmanager
def empty_handed_file_system(directory: Path) -> Iterator[threading.Event]:
    """Mount one, for all users, with whatever file is asked for, whose contents never come.

    Yields what is set once somebody waits for contents.
    """
    asked = threading.Event()
    with _mounted(directory, b",allow_other") as device:
        answering = threading.Thread(target=_promise, args=(os.dup(device), asked), daemon=True)
        answering.start()
        try:
            yield asked
        finally:
            _abort(directory)
            answering.join()


def _promise(device: int, asked: threading.Event) -> None:
    try:
        while True:
            request = os.read(device, _MOST_REQUEST)
            _, operation, unique = _HEADER.unpack_from(request)
            if operation == _READ:
                asked.set()
                continue
            if operation in _NO_ANSWER:
                continue
            (node,) = struct.unpack_from("=Q", request, _HEADER.size)
            answer = _answer(operation, node)
            error = -errno.ENOSYS if answer is None else 0
            with contextlib.suppress(FileNotFoundError):
                os.write(device, _ANSWER.pack(_ANSWER.size + len(answer or b""), error, unique) + (answer or b""))
    except OSError:
        os.close(device)


def _answer(operation: int, node: int) -> bytes | None:
    """Return what a request is answered with; None if that cannot be done here."""
    if operation == _LOOKUP:
        return struct.pack("=4Q2I", _FILE, 0, _FOR_EVER_S, _FOR_EVER_S, 0, 0) + _attributes(_FILE)
    if operation == _GETATTR:
        return struct.pack("=Q2I", _FOR_EVER_S, 0, 0) + _attributes(node)
    return {_INIT: _INIT_ANSWER, _OPEN: struct.pack("=QIi", 1, 0, 0), _RELEASE: b""}.get(operation)


def _attributes(node: int) -> bytes:
    mode = _DIRECTORY_MODE if node == _ROOT else _FILE_MODE
    return struct.pack("=6Q10I", node, 4096, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _abort(directory: Path) -> None:
    """Give whoever waits an error, by fusectl or by unmounting."""
    libc = ctypes.CDLL(None)
    libc.umount2(os.fsencode(directory), _MNT_FORCE)
    libc.umount2(os.fsencode(directory), _MNT_DETACH)
