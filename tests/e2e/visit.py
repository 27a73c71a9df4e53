"""Visits peers in a network namespace of its own, where it is every peer itself: nothing leaves it.

Arguments are `tcp` or `udp`, a name or address, and a port, joined by slashes. Names are asked of a resolver on
loopback, which gives each an address of its own. OUTSIDE is the namespace that must not be touched.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path


def question(name: str) -> bytes:
    """Return a question for an address."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def answer(asked: bytes, number: int) -> bytes:
    """Return the answer to a question: one address."""
    head = asked[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
    return head + asked[12:] + struct.pack("!3HIH", 0xC00C, 1, 1, 300, 4) + bytes([127, 0, 1, number])


def serve(resolver: socket.socket, count: int) -> None:
    """Answer so many questions."""
    for number in range(1, count + 1):
        asked, asker = resolver.recvfrom(512)
        resolver.sendto(answer(asked, number), asker)


def resolve(name: str) -> str:
    """Ask for a name's address as programs do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", 53))
        asking.send(question(name))
        return socket.inet_ntoa(asking.recv(512)[-4:])


def is_address(text: str) -> bool:
    """Tell an address from a name."""
    return ":" in text or text.replace(".", "").isdigit()


def visit(kind: str, peer: str, port: int) -> None:
    """Begin to talk; whether anybody answers does not matter."""
    address = peer if is_address(peer) else resolve(peer)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as talking:
        if kind == "tcp":
            talking.connect_ex((address, port))
        else:
            talking.sendto(b"hello", (address, port))


def main() -> None:
    """Set the namespace up, then visit."""
    if os.fspath(Path("/proc/self/ns/net").readlink()) == os.environ["OUTSIDE"]:
        raise SystemExit("expected a network namespace of its own")
    peers = [argument.split("/") for argument in sys.argv[1:]]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for _, peer, _ in peers:
        if is_address(peer) and not peer.startswith("127."):
            bits = 128 if ":" in peer else 32
            subprocess.run(["ip", "address", "add", f"{peer}/{bits}", "dev", "lo"], check=False, capture_output=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 53))
        count = sum(not is_address(peer) for _, peer, _ in peers)
        serving = threading.Thread(target=serve, args=(resolver, count))
        serving.start()
        for kind, peer, port in peers:
            visit(kind, peer, int(port))
        serving.join()


if __name__ == "__main__":
    main()
