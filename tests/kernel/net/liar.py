"""A program in a network namespace of its own that is a resolver there, asks itself, and says how long its answers are.

By `loopback`, or over a `wire` to yet another namespace.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

ANSWERED_S = 20.0
"""For an answer that comes, however busy the machine is."""

RESOLVER, VICTIM = "10.99.2.2", "198.51.100.7"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def listen() -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((RESOLVER, 53))
    return server


def serve(server: socket.socket) -> None:
    while True:
        question, asker = server.recvfrom(512)
        address = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + socket.inet_aton(VICTIM)
        server.sendto(question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + address, asker)


def ask(label: bytes) -> int:
    """Return the length of the answer about a name below test; 0 if none comes."""
    name = bytes([len(label)]) + label + b"\4test\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(ANSWERED_S if label == b"good" else 0.5)
        asker.connect((RESOLVER, 53))
        asker.send(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\1\0\1")
        try:
            return len(asker.recv(512))
        except TimeoutError:
            return 0


def over_loopback() -> None:
    ip("link", "set", "lo", "up")
    ip("address", "add", f"{RESOLVER}/32", "dev", "lo")
    threading.Thread(target=serve, args=(listen(),), daemon=True).start()
    print(ask(b"good"), ask(b"denied"), flush=True)


def over_a_wire() -> None:
    other = subprocess.Popen(
        ["unshare", "--net", sys.executable, __file__, "other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdout.readline()
    ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other.pid))
    ip("address", "add", "10.99.2.1/24", "dev", "here")
    ip("link", "set", "here", "up")
    other.stdin.write(b"\n")
    other.stdin.flush()
    other.stdout.readline()
    print(ask(b"good"), ask(b"denied"), flush=True)
    other.kill()
    other.wait()


def other_end() -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    ip("address", "add", f"{RESOLVER}/24", "dev", "there")
    ip("link", "set", "there", "up")
    server = listen()
    print("listens", flush=True)
    serve(server)


if __name__ == "__main__":
    {"loopback": over_loopback, "wire": over_a_wire, "other": other_end}[sys.argv[1]]()
