"""Asks a process, through an open directory of procfs, what it has open, whom it talks to and what it was told."""

from __future__ import annotations

import os
import re
from typing import Any

MAX_DESCRIPTORS = 10_000

_SOCKET = re.compile(r"socket:\[(\d+)\]")
_NET = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "raw": 9, "raw6": 9, "unix": 6, "netlink": 9, "packet": 8}
"""The tables of sockets, and in which column the socket's inode is."""
_MAX_BYTES = 16 << 20

PLAIN_VARIABLES = frozenset(
    (
        "HOME",
        "HOSTNAME",
        "LANG",
        "LANGUAGE",
        "LD_AUDIT",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LOGNAME",
        "OLDPWD",
        "PATH",
        "PWD",
        "SHELL",
        "SHLVL",
        "SUDO_UID",
        "SUDO_USER",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
    )
)
"""Environment variables whose values hold no secrets. All others are kept as a name and a length."""


def describe_descriptors(root: int) -> list[dict[str, Any]]:
    """Return what the process has open. Raises OSError."""
    described: list[dict[str, Any]] = []
    for number in _numbers(root):
        try:
            entry = {
                "fd": number,
                "target": os.fsencode(os.readlink(f"fd/{number}", dir_fd=root)).decode("utf-8", "replace"),
            }
            details = _read(root, f"fdinfo/{number}").decode("utf-8", "replace")
        except OSError:
            # Closed in the meantime.
            continue
        entry |= {key: value.strip() for key, _, value in (line.partition(":") for line in details.splitlines()[:4])}
        described.append(entry)
    return described


def describe_sockets(root: int) -> list[dict[str, Any]]:
    """Return the process's sockets: the lines that procfs has of them, in the process's own network. Raises OSError."""
    own: dict[str, int] = {}
    for number in _numbers(root):
        try:
            found = _SOCKET.fullmatch(os.readlink(f"fd/{number}", dir_fd=root))
        except OSError:
            continue
        if found:
            own[found[1]] = number
    described: list[dict[str, Any]] = []
    for table, column in _NET.items() if own else ():
        try:
            head, *lines = _read(root, f"net/{table}").decode("utf-8", "replace").splitlines()
        except (OSError, ValueError):
            continue
        rows = [row for line in lines if len(row := line.split()) > column and row[column] in own]
        described += [{"fd": own[row[column]], "table": table, "head": head.split(), "line": row} for row in rows]
    return described


def describe_environment(root: int) -> dict[str, str]:
    """Return the process's first environment; values that may be secrets are left out. Raises OSError."""
    described = {}
    for pair in _read(root, "environ").split(b"\0"):
        name, _, value = pair.decode("utf-8", "replace").partition("=")
        if pair:
            described[name] = value if name in PLAIN_VARIABLES else f"[redacted: {len(value)} characters]"
    return described


def _numbers(root: int) -> list[int]:
    descriptor = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root)
    try:
        return sorted(map(int, os.listdir(descriptor)))[:MAX_DESCRIPTORS]  # noqa: PTH208 -- by descriptor
    finally:
        os.close(descriptor)


def _read(root: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root), "rb") as file:
        return file.read(_MAX_BYTES)
