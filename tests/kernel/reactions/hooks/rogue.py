"""A worker that was taken over: it says what it likes."""

from __future__ import annotations

import select
import socket
import struct
import sys
import time

import msgspec

from raqib.reactions.protocol import Call, Ended, Execute, Go, Log, Ready, Setup, ToWorker, pack


def message_of(connection: socket.socket) -> ToWorker:
    (size,) = struct.unpack("<I", connection.recv(4, socket.MSG_WAITALL))
    found: ToWorker = msgspec.msgpack.decode(connection.recv(size, socket.MSG_WAITALL), type=ToWorker)
    return found


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    assert isinstance(message_of(connection), Setup)
    connection.sendall(pack(Ready()))
    job = message_of(connection)
    assert isinstance(job, Execute)
    tricks: dict[str, bytes] = {
        "garbage": struct.pack("<I", 3) + b"\xc1\xc1\xc1",
        "huge frame": struct.pack("<I", 0xFFFFFFFF),
        "unknown helper": pack(Call("__import__", "[]")),
        "unknown level": pack(Log("critical", "x")),
        "unknown outcome": pack(Ended("perfect")),
        "ready while busy": pack(Ready()),
        "setup": pack(Setup((), 0, 0, 0, 0, None)),
        "two calls at once": pack(Call("DataGet", '["a"]')) * 2,
        "end during a call": pack(Call("DataGet", '["a"]')) + pack(Ended("ok")),
    }
    if job.code.startswith("/"):
        # Asks for that file again and again, without reading what comes. That an answer is on its way cannot be seen
        # once the socket is full, and whoever asks before it is ended for that.
        while True:
            connection.sendall(pack(Call("ReadFile", f'["{job.code}"]')))
            time.sleep(1)
    if job.code == "spin while idle":
        connection.sendall(pack(Ended("ok")) + pack(Ready()))
        while True:
            pass
    while job.code == "spin between jobs":
        assert isinstance(message_of(connection), Go)
        connection.sendall(pack(Ended("ok")) + pack(Ready()))
        while not select.select([connection], [], [], 0)[0]:
            pass
        following = message_of(connection)
        assert isinstance(following, Execute)
        job = following
    connection.sendall(tricks[job.code])
    while connection.recv(65536):
        pass


if __name__ == "__main__":
    main()
