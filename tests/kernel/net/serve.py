"""A server in a namespace: web (port 80 echoes, 81 sends without end) or DNS; both count the client's packets."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import selectors
import socket
import struct
import sys
import threading
from typing import Any

CLIENTS = (socket.inet_pton(socket.AF_INET, "10.99.1.2"), socket.inet_pton(socket.AF_INET6, "fd99:1::2"))
TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "HTTPS": 65}
LOCK = threading.Lock()
COUNTS = {"received": 0}
ANSWERS: dict[str, list[list[Any]]] = {}
QUERIES: list[str] = []
PIECES = {"size": 1 << 20}
RAW: dict[str, str] = {}
SEEN: Seen


def sniff(sniffer: socket.socket) -> None:
    while True:
        frame, address = sniffer.recvfrom(65535)
        kind = address[2]
        if kind == 4:  # PACKET_OUTGOING
            continue
        if frame[12:14] == b"\x08\x00":
            source, icmp = frame[26:30], None
        elif frame[12:14] == b"\x86\xdd":
            source, icmp = frame[22:38], frame[54] if frame[20] == 58 else None
        else:
            continue
        if source in CLIENTS and not (icmp is not None and 130 <= icmp <= 137):
            with LOCK:
                COUNTS["received"] += 1


def listen(kind: int, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made


def echo_stream(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


def endless_stream(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        while True:
            client.sendall(bytes(65536))


def accept(listener: socket.socket, handle: Any) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=handle, args=(client,), daemon=True).start()


def echo_datagrams(server: socket.socket) -> None:
    while True:
        data, address = server.recvfrom(65535)
        server.sendto(data, address)


def name_at(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def wire(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def answer(query: bytes) -> bytes | None:
    name, end = name_at(query, 12)
    kind = struct.unpack_from("!H", query, end)[0]
    with LOCK:
        QUERIES.append(name)
    if name in RAW:
        return query[:2] + bytes.fromhex(RAW[name])[2:]
    body, count = b"", 0
    owner: bytes = b"\xc0\x0c"
    for type_name, value, ttl in ANSWERS.get(name, []):
        if type_name in ("A", "AAAA"):
            if TYPES[type_name] != kind:
                continue
            data = ipaddress.ip_address(value).packed
        elif type_name == "HTTPS":
            if TYPES[type_name] != kind:
                continue
            address = ipaddress.ip_address(value).packed
            data = b"\0\x01\0" + struct.pack("!HH", 4 if len(address) == 4 else 6, len(address)) + address
        else:
            data = wire(value)
        body += owner + struct.pack("!HHIH", TYPES[type_name], 1, ttl, len(data)) + data
        count += 1
        if type_name == "CNAME":
            owner = wire(value)
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, count, 0, 0) + query[12 : end + 4] + body


def dns_datagrams(server: socket.socket) -> None:
    while True:
        query, address = server.recvfrom(65535)
        with contextlib.suppress(IndexError, struct.error):
            if (reply := answer(query)) is not None:
                server.sendto(reply, address)


def dns_stream(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError, IndexError, struct.error):
        while len(prefix := client.recv(2, socket.MSG_WAITALL)) == 2:
            query = client.recv(struct.unpack("!H", prefix)[0], socket.MSG_WAITALL)
            if (reply := answer(query)) is not None:
                framed = struct.pack("!H", len(reply)) + reply
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(framed), PIECES["size"]):
                    client.sendall(framed[at : at + PIECES["size"]])


def do(what: str, request: dict[str, Any]) -> Any:
    match what:
        case "received":
            drain()
            return COUNTS["received"]
        case "answers":
            ANSWERS.clear()
            ANSWERS.update(request["names"])
        case "raw":
            RAW.clear()
            RAW.update(request["names"])
        case "pieces":
            PIECES["size"] = request["size"]
        case "queries":
            with LOCK:
                seen = list(QUERIES)
                QUERIES.clear()
            return seen
        case "forge":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
                forger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                forger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                forger.bind(("0.0.0.0", request["from"]))
                forger.sendto(bytes.fromhex(request["data"]), (request["to"], request["port"]))
    return None


def drain() -> None:
    """Let the sniffer take what has come."""
    SEEN.wait_empty()


class Seen:
    """Knows whether the sniffer has taken everything that waits for it."""

    def __init__(self, sniffer: socket.socket) -> None:
        self._sniffer = sniffer

    def wait_empty(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._sniffer, selectors.EVENT_READ)
            while selector.select(0.01):
                pass


def main() -> None:
    global SEEN
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    SEEN = Seen(sniffer)
    jobs: list[tuple[Any, ...]] = [(sniff, sniffer)]
    if sys.argv[1] == "dns":
        for port in (53, 5353):
            datagrams = listen(socket.SOCK_DGRAM, port)
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            jobs.append((dns_datagrams, datagrams))
            jobs.append((accept, listen(socket.SOCK_STREAM, port), dns_stream))
    else:
        jobs.append((echo_datagrams, listen(socket.SOCK_DGRAM, 80)))
        jobs.append((accept, listen(socket.SOCK_STREAM, 80), echo_stream))
        jobs.append((accept, listen(socket.SOCK_STREAM, 81), endless_stream))
    for job, *arguments in jobs:
        threading.Thread(target=job, args=arguments, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = {"result": do(request["do"], request)}
        except Exception as error:
            result = {"error": repr(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
