"""What the daemon and a worker say to each other: MessagePack in frames of a length and that many bytes.

The worker is not trusted: the daemon takes only the messages that are due, in frames of limited length.
"""

from __future__ import annotations

import socket
import struct
from typing import TypeAlias

import msgspec

from raqib.errors import RaqibError

_HEADER = struct.Struct("<I")

MAX_FRAME = 8 << 20
"""The most that a worker may send in one frame, in bytes."""

MAX_ARGUMENTS = 6 << 20
"""The most that the arguments of one helper call may take, in bytes of JSON."""


class ProtocolError(RaqibError):
    """The other side sent something that is not due, or not a message."""


class HelperStub(msgspec.Struct, frozen=True, array_like=True):
    """What a worker must know of a helper."""

    name: str
    error: str
    """A JavaScript literal."""


class Setup(msgspec.Struct, frozen=True, array_like=True, tag="setup"):
    """To the worker, first: how to live."""

    helpers: tuple[HelperStub, ...]
    heap_bytes: int
    data_bytes: int
    max_data_bytes: int
    """RLIMIT_DATA, soft and hard: the worker raises the former for recipes with a larger heap."""
    parent_pid: int
    uid: int | None
    """To become; None keeps the one that it has."""


class Execute(msgspec.Struct, frozen=True, array_like=True, tag="execute"):
    """To the worker: prepare a reaction. It runs when Go comes."""

    code: str
    kind: str
    name: str
    uuid: str
    data: str
    """The event as JSON."""
    heap_bytes: int
    """The limit of V8's heap; another one than in Setup costs a new isolate."""
    data_bytes: int
    """The soft limit of memory for it."""


class Go(msgspec.Struct, frozen=True, array_like=True, tag="go"):
    """To the worker: run what is prepared."""


class Check(msgspec.Struct, frozen=True, array_like=True, tag="check"):
    """To the worker: run a reaction's top level with helpers that do nothing."""

    code: str


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="reply"):
    """To the worker: the answer to a call, as the JSON text of [succeeded, value, reason, whether it was the last]."""

    text: str


class Ready(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ready"):
    """To the daemon: a fresh isolate waits."""

    missing: tuple[str, ...] = ()
    """Parts of the sandbox that this host does not permit."""


class Call(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="call"):
    """To the daemon: a helper was called. Answered by a Reply."""

    helper: str
    arguments: str
    """A JSON array."""


class Log(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="log"):
    """To the daemon: a line for the log. Answered by a Reply: [true, whether there is room for more, ""]."""

    level: str
    text: str


class Ended(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="ended"):
    """To the daemon: the execution is over. Followed by Ready once there is another isolate."""

    outcome: str
    """`ok`, `error` or `out_of_memory`."""
    error: str = ""
    line: int = 0
    column: int = 0
    """Both counted from 1; 0 is not known."""
    started_ns: int = 0
    """CLOCK_BOOTTIME at which the code began to run."""


ToWorker: TypeAlias = Setup | Execute | Go | Check | Reply
ToDaemon: TypeAlias = Ready | Call | Log | Ended

_ENCODER = msgspec.msgpack.Encoder()
_TO_WORKER = msgspec.msgpack.Decoder(ToWorker)
_TO_DAEMON = msgspec.msgpack.Decoder(ToDaemon)


def pack(message: ToWorker | ToDaemon) -> bytes:
    """Return a message as one frame."""
    body = _ENCODER.encode(message)
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Puts together the frames that a worker sends."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def has_more(self) -> bool:
        """Whether a part of another frame is there."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[ToDaemon]:
        """Take bytes and return the messages that are complete. Raises ProtocolError."""
        self._buffer += data
        messages: list[ToDaemon] = []
        while len(self._buffer) >= _HEADER.size:
            (size,) = _HEADER.unpack_from(self._buffer)
            if size > MAX_FRAME:
                raise ProtocolError(f"expected a frame of at most {MAX_FRAME} bytes, got one of {size}")
            end = _HEADER.size + size
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            try:
                messages.append(_TO_DAEMON.decode(body))
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise ProtocolError(f"expected a message, got: {error}") from error
        return messages


class WorkerChannel:
    """The worker's end: one message at a time, blocking."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._again: ToWorker | None = None

    def put_back(self, message: ToWorker) -> None:
        """Have a message be the next that is received, once more."""
        self._again = message

    def send(self, message: ToDaemon) -> None:
        """Send a message. Raises OSError if the daemon is gone."""
        self._socket.sendall(pack(message))

    def receive(self) -> ToWorker | None:
        """Wait for the next message; None if the daemon is gone."""
        if self._again is not None:
            again, self._again = self._again, None
            return again
        header = self._receive_exactly(_HEADER.size)
        body = None if header is None else self._receive_exactly(_HEADER.unpack(header)[0])
        return None if body is None else _TO_WORKER.decode(body)

    def _receive_exactly(self, size: int) -> bytes | None:
        if size == 0:
            return b""
        first = self._socket.recv(size)
        if len(first) == size:
            return first
        parts, missing = [first], size - len(first)
        while parts[-1] and missing:
            parts.append(self._socket.recv(missing))
            missing -= len(parts[-1])
        return None if missing else b"".join(parts)
