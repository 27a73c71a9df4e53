"""The resolvers that a mount namespace names in /etc/resolv.conf.

Whoever makes a mount namespace decides what lies there: links out of its root, a pipe, a device, a file without end. So
the file is found below the namespace's root, opened only once it is known to be a regular file, and read up to a limit.
"""

from __future__ import annotations

import ctypes
import os
import re
import stat
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from raqib.host.opening import open_in_root

MOST_BYTES: Final = 64 << 10
MOST_RESOLVERS: Final = 16

_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_libc = ctypes.CDLL(None, use_errno=True)
_NAMESERVER = re.compile(rb"^[ \t]*nameserver[ \t]+([0-9A-Fa-f:.]+)", re.MULTILINE)


def read_resolvers(pid: int, mnt_ns: int) -> frozenset[str]:
    """Return what /etc/resolv.conf names in the mount namespace of a process. Moves the calling thread there.

    May wait for ever.

    Raises:
        OSError: there is no such file, it is no regular one, or the process has ended or left that namespace.
    """
    # Not through the process's root, which it may have changed: what is found is taken for the whole namespace.
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = [namespace, descriptors]
    try:
        if os.fstat(namespace).st_ino != mnt_ns:
            raise ProcessLookupError(f"expected a process in mount namespace {mnt_ns}, found pid {pid} in another")
        _enter_mounts(namespace)
        opened.append(root := os.open("/", os.O_PATH | os.O_CLOEXEC))
        opened.append(place := open_in_root(root, "etc/resolv.conf", os.O_PATH))
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise OSError("expected /etc/resolv.conf to be a regular file")
        # By way of our own procfs: what is at /proc there, others have mounted.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        opened.append(file := os.open(str(place), flags, dir_fd=descriptors))
        return resolvers_in(os.pread(file, MOST_BYTES, 0))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def resolvers_in(text: bytes) -> frozenset[str]:
    """Return the addresses of name servers in the text of a resolv.conf, the first few of them."""
    found: dict[str, None] = {}
    for word in _NAMESERVER.findall(text):
        try:
            found[_usual(ip_address(word.decode("ascii")))] = None
        except ValueError:
            continue
    return frozenset(list(found)[:MOST_RESOLVERS])


def _usual(address: IPv4Address | IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _enter_mounts(fd: int) -> None:
    """Move the calling thread, to its end, to the root of a mount namespace. Raises OSError."""
    # Threads have root and working directory in common until one of them wants its own.
    if _libc.unshare(_CLONE_FS) or _libc.setns(fd, _CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
