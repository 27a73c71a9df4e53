"""Writes to systemd's journal through its own socket, if there is one."""

from __future__ import annotations

import socket
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")


def send(message: str, address: Path = SOCKET, **fields: str | int) -> bool:
    """Send a line with fields; False if there is no journal, or if it does not take it now. Never blocks.

    Neither the message nor a field may have more than one line.
    """
    parts = {"MESSAGE": message, "PRIORITY": 6, "SYSLOG_IDENTIFIER": "raqib", **fields}
    datagram = "".join(f"{name}={value}\n" for name, value in parts.items()).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.sendto(datagram, str(address))
        except OSError:
            return False
    return True
