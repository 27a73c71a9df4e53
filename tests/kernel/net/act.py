"""A program of the client: tries to reach others, and says what came of it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time
from typing import Any

UDP_SEGMENT = 103
SHORT_S = 0.25
END_S = 1.0
"""For the end of a connection that was answered."""
OPEN: dict[str, socket.socket] = {}
THREADS: dict[str, threading.Thread] = {}


def outcome(error: Exception) -> str:
    """A connection whose address becomes forbidden while it is made is not left to wait."""
    return "unreachable" if isinstance(error, TimeoutError | ConnectionAbortedError) else type(error).__name__


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(address: str, port: int = 80, timeout_s: float = SHORT_S, mapped: bool = False) -> str:
    target = f"::ffff:{address}" if mapped else address
    with socket.socket(family(target), socket.SOCK_STREAM) as made:
        made.settimeout(timeout_s)
        try:
            made.connect((target, port))
            made.sendall(b"hello")
            answer = made.recv(16).decode()
        except OSError as error:
            return outcome(error)
        # Until the other end has closed it too: what the kernel answers to that later would count as a new packet.
        with contextlib.suppress(OSError):
            made.shutdown(socket.SHUT_WR)
            made.settimeout(END_S)
            while made.recv(4096):
                pass
        return answer


def udp(address: str, port: int = 80, timeout_s: float = SHORT_S, connected: bool = False, size: int = 5) -> str:
    with socket.socket(family(address), socket.SOCK_DGRAM) as made:
        made.settimeout(timeout_s)
        try:
            if connected:
                made.connect((address, port))
                made.send(b"h" * size)
            else:
                made.sendto(b"h" * size, (address, port))
        except OSError as error:
            return f"send: {error.strerror}"
        try:
            return made.recv(65535)[:5].decode()
        except OSError as error:
            return outcome(error)


def ping(address: str, timeout_s: float = SHORT_S) -> bool:
    """With a raw socket: an echo request, and whether its reply comes."""
    six = ":" in address
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    request, reply = (128, 129) if six else (8, 0)
    with socket.socket(family(address), socket.SOCK_RAW, protocol) as made:
        made.settimeout(timeout_s)
        body = struct.pack("!HH", os.getpid() & 0xFFFF, 1)
        total = (request << 8) + sum(struct.unpack("!HH", body))
        checksum = ~(total + (total >> 16)) & 0xFFFF
        deadline = time.monotonic() + timeout_s
        # Of a packet that is dropped, raw sockets are told that there was no room for it.
        with contextlib.suppress(OSError):
            made.sendto(struct.pack("!BBH", request, 0, checksum) + body, (address, 0))
            while time.monotonic() < deadline:
                data = made.recv(2048)
                data = data if six else data[(data[0] & 0xF) * 4 :]
                if data[0] == reply and data[4:8] == body:
                    return True
    return False


def wire(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def query(name: str, kind: int, number: int) -> bytes:
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + wire(name) + struct.pack("!HH", kind, 1)


def addresses_in(message: bytes) -> list[str]:
    """Find the addresses: enough for answers that the lab's server makes."""
    count = struct.unpack_from("!H", message, 6)[0]
    at, found = skip(message, 12) + 4, []
    for _ in range(count):
        at = skip(message, at)
        kind, _, _, length = struct.unpack_from("!HHIH", message, at)
        data = message[at + 10 : at + 10 + length]
        if kind in (1, 28):
            found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data))
        at += 10 + length
    return found


def skip(message: bytes, at: int) -> int:
    while length := message[at]:
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at + 1


def exactly(made: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := made.recv(size - len(data))):
        data += more
    return data


def resolve(
    name: str,
    server: str = "10.99.2.2",
    kind: int = 1,
    over: str = "udp",
    timeout_s: float = SHORT_S,
    split: bool = False,
    port: int = 53,
) -> list[str] | str:
    number = int.from_bytes(os.urandom(2), "big")
    message = query(name, kind, number)
    with socket.socket(family(server), socket.SOCK_DGRAM if over == "udp" else socket.SOCK_STREAM) as made:
        made.settimeout(timeout_s)
        try:
            made.connect((server, port))
            if over == "udp":
                made.send(message)
                return addresses_in(made.recv(65535))
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # What is closed must not be sent again and again behind our back.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            framed = struct.pack("!H", len(message)) + message
            if split:
                made.sendall(framed[:2])
                made.sendall(framed[2:])
            else:
                made.sendall(framed)
            (length,) = struct.unpack("!H", exactly(made, 2))
            return addresses_in(exactly(made, length))
        except (OSError, struct.error) as error:
            return outcome(error)


def resolve_both(names: list[str], server: str = "10.99.2.2", timeout_s: float = SHORT_S) -> list[str] | str:
    """Send questions about two names by one call, as datagrams of the same size that the kernel cuts apart."""
    messages = [query(name, 28, 1) for name in names]
    size = max(map(len, messages))
    with socket.socket(family(server), socket.SOCK_DGRAM) as made:
        made.settimeout(timeout_s)
        made.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
        try:
            made.connect((server, 53))
            made.send(b"".join(message.ljust(size, b"\0") for message in messages))
            return addresses_in(made.recv(65535))
        except OSError as error:
            return outcome(error)


def udp_to_many(network: str, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        for number in range(count):
            made.sendto(b"x", (f"{network}.{number >> 8}.{number & 255}", 9))


def race(name: str, tries: int, server: str = "10.99.2.2", port: int = 80) -> dict[str, int]:
    """Resolve, and send and connect in the same breath; the number of tries in which anything came back."""
    answered = reached = 0
    for number in range(tries):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(2)
            asking.connect((server, 53))
            asking.send(query(name, 1, number & 0xFFFF))
            found = addresses_in(asking.recv(65535))
        answered += bool(found)
        for address in found:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
                sending.setblocking(False)
                sending.sendto(b"x", (address, port))
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connecting:
                connecting.setblocking(False)
                reached += connecting.connect_ex((address, port)) == 0
    return {"answered": answered, "reached": reached}


def opened(key: str, address: str, port: int = 81) -> bool:
    made = socket.create_connection((address, port), timeout=60)
    OPEN[key] = made
    made.settimeout(5)
    return bool(made.recv(1)) if port == 81 else True


READ: dict[str, dict[str, Any]] = {}


def reading(key: str) -> None:
    """Read in the background until the connection ends; remember when bytes came last, by CLOCK_MONOTONIC."""
    made, seen = OPEN[key], READ.setdefault(key, {"end": None, "last_ns": 0, "bytes": 0})
    made.settimeout(5)

    def read() -> None:
        while True:
            try:
                data = made.recv(1 << 20)
            except OSError as error:
                seen["end"] = type(error).__name__
                return
            if not data:
                seen["end"] = "closed"
                return
            seen["last_ns"], seen["bytes"] = time.monotonic_ns(), seen["bytes"] + len(data)

    THREADS[key] = threading.Thread(target=read, daemon=True)
    THREADS[key].start()


def read_so_far(key: str, wait: bool = False) -> dict[str, Any]:
    if wait:
        THREADS[key].join(10)
    return READ[key]


def hello(key: str, timeout_s: float = SHORT_S) -> str:
    made = OPEN[key]
    made.settimeout(timeout_s)
    try:
        made.sendall(b"hello")
        return made.recv(16).decode() or "closed"
    except OSError as error:
        return type(error).__name__


def listen_udp(key: str, port: int) -> int:
    OPEN[key] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    OPEN[key].bind(("0.0.0.0", port))
    return port


def ask_from(key: str, name: str, server: str, number: int, count: int = 1) -> None:
    """Send questions from a socket that listens, and wait for no answer."""
    for more in range(count):
        OPEN[key].sendto(query(name, 1, number + more & 0xFFFF), (server, 53))


def take(key: str, timeout_s: float = SHORT_S) -> bool:
    OPEN[key].settimeout(timeout_s)
    try:
        return bool(OPEN[key].recv(65535))
    except OSError:
        return False


def pid() -> int:
    return os.getpid()


def until_reached(address: str, deadline_s: float = 60.0) -> int:
    """Send datagrams until one is answered; CLOCK_BOOTTIME of the answer, or 0."""
    deadline = time.monotonic() + deadline_s
    with socket.socket(family(address), socket.SOCK_DGRAM) as made:
        made.settimeout(0.005)
        while time.monotonic() < deadline:
            made.sendto(b"x", (address, 80))
            with contextlib.suppress(OSError):
                made.recv(16)
                return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return 0


def main() -> None:
    known = {
        part.__name__: part
        for part in (
            tcp,
            udp,
            ping,
            resolve,
            resolve_both,
            udp_to_many,
            race,
            opened,
            reading,
            read_so_far,
            hello,
            listen_udp,
            take,
            ask_from,
            pid,
            until_reached,
        )
    }
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = {"result": known[request.pop("do")](**request)}
        except Exception as error:
            result = {"error": repr(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
