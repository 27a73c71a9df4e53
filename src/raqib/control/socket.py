"""How the command line talks to the running agent: one request, one answer, a line of JSON each, over a socket."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from raqib.errors import NotPermittedError, RaqibError

SOCKET_NAME = "control.sock"

MAX_REQUEST = 2 << 20
"""Bytes; a value of the data store fits."""
ANSWER_WITHIN_S = 60.0


class ControlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says."""

    command: str
    arguments: dict[str, Any] = {}


class ControlReply(msgspec.Struct, frozen=True):
    """What it hears."""

    ok: bool
    answer: Any = None
    error: str = ""


class CommandResult(msgspec.Struct, frozen=True):
    """What became of what an operator asked for."""

    done: bool
    result: Any = None
    reason: str = ""


def ask(directory: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Have the agent on a data directory do something and return its answer.

    Raises NoAgentError if none runs there; NotPermittedError if the socket is not for this user; RaqibError if the
    agent says no.
    """
    request = msgspec.json.encode(ControlRequest(command, dict(arguments or {}))) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            with short_path(directory) as path:
                connection.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            remedy = "raqib run starts one, --data-dir names another"
            raise NoAgentError(f"{directory}: expected a running agent, found none: {remedy}") from error
        except PermissionError as error:
            raise NotPermittedError(f"{directory}: expected root: the agent answers nobody else") from error
        try:
            # It may have answered, and closed, before it was asked.
            with contextlib.suppress(BrokenPipeError):
                connection.sendall(request)
            received = bytearray()
            while not received.endswith(b"\n") and (chunk := connection.recv(1 << 16)):
                received += chunk
        except OSError as error:
            raise RaqibError(f"the agent on {directory} did not answer: {error}") from error
    try:
        reply = msgspec.json.decode(received, type=ControlReply)
    except msgspec.MsgspecError as error:
        raise RaqibError(f"the agent on {directory} broke off without an answer") from error
    if not reply.ok:
        raise RaqibError(reply.error)
    return reply.answer


class NoAgentError(RaqibError):
    """No agent runs on that data directory."""


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[Path]:
    """Yield a path of the socket that fits into an address, however long the directory's own is."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    finally:
        os.close(descriptor)
