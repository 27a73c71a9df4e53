"""File systems that never answer, so that whoever looks something up in them waits, or that refuse all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

_MNT_DETACH = 2
_INIT, _MOST_REQUEST = 26, 1 << 18
_HEADER = struct.Struct("=IIQ")
_ANSWER = struct.Struct("=IiQ")
_INIT_ANSWER = struct.pack("=4I2H2I2H8I", 7, 31, 1 << 16, 0, 12, 10, 1 << 17, 1, 0, 0, *[0] * 8)


@contextlib.contextmanager
def _mounted(directory: Path) -> Iterator[int]:
    """Mount one and yield its device. In the end whoever waits gets an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"needs FUSE: {error}")
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
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
