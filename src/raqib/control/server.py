"""The agent's end of the socket that the command line talks to it over."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from raqib.control.socket import ANSWER_WITHIN_S, MAX_REQUEST, SOCKET_NAME, ControlReply, ControlRequest, short_path
from raqib.errors import RaqibError

PATIENCE_S = 10.0
"""How long a client may take to say what it wants."""
MAX_CLIENTS = 16

_CREDENTIALS = struct.Struct("3i")

Command = Callable[[dict[str, Any]], Any]
"""Gets the request's arguments; what it returns, or what the awaitable that it returns yields, is the answer."""


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
        self._lock = asyncio.Lock()
        self._server: asyncio.AbstractServer | None = None
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Listen. Raises OSError."""
        with short_path(self._directory) as path:
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
            self._log.warning("control request refused: peer is not root", uid=uid)
            reply = ControlReply(False, error=f"expected root, found uid {uid}")
        else:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    line = await reader.readuntil(b"\n")
                reply = await self._perform(line)
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                reply = ControlReply(False, error=f"expected a request of at most {MAX_REQUEST} bytes, got more")
        writer.write(msgspec.json.encode(reply) + b"\n")
        await writer.drain()

    async def _perform(self, line: bytes) -> ControlReply:
        try:
            request = msgspec.json.decode(line, type=ControlRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return ControlReply(False, error=f"expected a request, got: {error}")
        command = self._commands.get(request.command)
        if command is None:
            known = ", ".join(sorted(self._commands))
            return ControlReply(
                False, error=f"expected one of {known}, got {request.command!r}; is the agent older than you?"
            )
        try:
            async with self._lock if request.command in self._one_at_a_time else contextlib.nullcontext():
                answer = command(request.arguments)
                if inspect.isawaitable(answer):
                    answer = await answer
        except (RaqibError, msgspec.ValidationError, OSError) as error:
            return ControlReply(False, error=str(error))
        except Exception as error:
            self._log.error("control command failed: internal error", command=request.command, exc_info=error)
            return ControlReply(False, error=f"internal error: {type(error).__name__}: {error}")
        return ControlReply(True, answer)


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])
