"""The socket over which the command line talks to the running agent: one request, one answer, a line of JSON each."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from raqib.errors import NotPermittedError, RaqibError

SOCKET_NAME = "control.sock"

MAX_REQUEST = 2 << 20
"""Bytes; a value of the data store fits."""
PATIENCE_S = 10.0
"""How long a client may take to say what it wants."""
MAX_CLIENTS = 16
ANSWER_WITHIN_S = 60.0

_CREDENTIALS = struct.Struct("3i")

Command = Callable[[dict[str, Any]], Any]
"""Gets the request's arguments; what it returns, or what the awaitable that it returns yields, is the answer."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client says."""

    command: str
    arguments: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True):
    """What it hears."""

    ok: bool
    answer: Any = None
    error: str = ""


class ControlServer:
    """Answers root, and whoever runs the agent; nobody else."""

    def __init__(
        self, directory: Path, commands: Mapping[str, Command], one_at_a_time: Collection[str] = frozenset()
    ) -> None:
        """Prepare; `directory` is the data directory, whose lock the agent holds.

        Each command of `one_at_a_time` waits until those of them that came before are over; no other waits.
        """
        self._directory = directory
        self._commands = commands
        self._clients: set[asyncio.Task[None]] = set()
        self._one_at_a_time = one_at_a_time
        self._turn = asyncio.Lock()
        self._server: asyncio.AbstractServer | None = None
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        with _short_path(self._directory) as path:
            # Left by an agent that was killed: the lock of the directory says that it is gone.
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            try:
                listening.bind(str(path))
                # Nobody can connect before it listens.
                path.chmod(0o600)
                self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=MAX_REQUEST)
            except BaseException:
                listening.close()
                raise

    async def close(self) -> None:
        """Stop listening and let go of all clients."""
        if self._server is None:
            return
        self._server.close()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)
        await self._server.wait_closed()
        with contextlib.suppress(OSError):
            (self._directory / SOCKET_NAME).unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- streams run their callback as a task
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        try:
            if len(self._clients) <= MAX_CLIENTS:
                async with asyncio.timeout(PATIENCE_S + ANSWER_WITHIN_S):
                    await self._serve(reader, writer)
        except (OSError, TimeoutError):
            # A client that is gone or too slow costs nothing.
            pass
        except asyncio.CancelledError:
            if not task.cancelling():
                raise
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in (0, os.geteuid()):
            self._log.warning("somebody who may not tried to control the agent", uid=uid)
            reply = Reply(False, error=f"expected root, found uid {uid}")
        else:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    line = await reader.readuntil(b"\n")
                reply = await self._perform(line)
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                reply = Reply(False, error=f"expected a request of at most {MAX_REQUEST} bytes, got more")
        writer.write(msgspec.json.encode(reply) + b"\n")
        await writer.drain()

    async def _perform(self, line: bytes) -> Reply:
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Reply(False, error=f"expected a request, got: {error}")
        command = self._commands.get(request.command)
        if command is None:
            known = ", ".join(sorted(self._commands))
            return Reply(False, error=f"expected one of {known}, got {request.command!r}; is the agent older than you?")
        try:
            async with self._turn if request.command in self._one_at_a_time else contextlib.nullcontext():
                answer = command(request.arguments)
                if inspect.isawaitable(answer):
                    answer = await answer
        except (RaqibError, msgspec.ValidationError, OSError) as error:
            return Reply(False, error=str(error))
        except Exception as error:
            self._log.error("a command failed inside raqib", command=request.command, exc_info=error)
            return Reply(False, error=f"internal error: {type(error).__name__}: {error}")
        return Reply(True, answer)


def ask(directory: Path, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """Have the agent on a data directory do something and return its answer.

    Raises:
        NoAgentError: none runs there.
        NotPermittedError: the socket is not for this user.
        RaqibError: the agent says no.
    """
    request = msgspec.json.encode(Request(command, dict(arguments or {}))) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            with _short_path(directory) as path:
                connection.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
            raise NoAgentError(f"{directory}: expected a running agent, found none") from error
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
        reply = msgspec.json.decode(received, type=Reply)
    except msgspec.MsgspecError as error:
        raise RaqibError(f"the agent on {directory} broke off without an answer") from error
    if not reply.ok:
        raise RaqibError(reply.error)
    return reply.answer


class NoAgentError(RaqibError):
    """No agent runs on that data directory."""


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


@contextlib.contextmanager
def _short_path(directory: Path) -> Iterator[Path]:
    """Yield a path of the socket that fits into an address, however long the directory's own is."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}/{SOCKET_NAME}")
    finally:
        os.close(descriptor)
