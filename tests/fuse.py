"""A file system that never answers: whoever looks something up in it waits."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_MNT_DETACH = 2


@contextlib.contextmanager
def silent_file_system(directory: Path) -> Iterator[None]:
    """Mount one. In the end whoever waits gets an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"needs FUSE: {error}")
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device
    try:
        mounted = libc.mount(b"silent", os.fsencode(directory), b"fuse", 0, options)
        assert 0 == mounted, os.strerror(ctypes.get_errno())
        yield
    finally:
        os.close(device)
        libc.umount2(os.fsencode(directory), _MNT_DETACH)
