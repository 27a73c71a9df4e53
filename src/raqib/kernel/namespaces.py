"""Going into namespaces. os.setns is there from Python 3.12 on."""

from __future__ import annotations

import os
from typing import Any

from raqib.kernel.layout import ffi

ffi.cdef("int setns(int fd, int kind);")

_CLONE_NEWNET = 0x40000000


def enter_network(fd: int) -> None:
    """Move the calling thread into the network namespace that a descriptor names.

    Raises OSError if the kernel refuses.
    """
    libc: Any = ffi.dlopen(None)
    if libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ffi.errno, os.strerror(ffi.errno), f"/proc/self/fd/{fd}")
