from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from raqib.control import server as control_server
from raqib.control.server import MAX_CLIENTS, Command, ControlServer, peer_uid
from raqib.control.socket import MAX_REQUEST, SOCKET_NAME, ControlReply, NoAgentError, ask
from raqib.errors import RaqibError


async def slowly(arguments: dict[str, Any]) -> str:
    await asyncio.sleep(0)
    return "later"


def fail(arguments: dict[str, Any]) -> None:
    raise RaqibError("expected better")


def break_down(arguments: dict[str, Any]) -> None:
    raise ZeroDivisionError("inside")


COMMANDS = {"echo": lambda arguments: arguments, "slow": slowly, "fail": fail, "break": break_down}


def served(directory: Path, client: Callable[[], Any]) -> Any:
    """Run a blocking client against a server."""

    async def run() -> Any:
        server = ControlServer(directory, COMMANDS)
        await server.start()
        try:
            return await asyncio.to_thread(client)
        finally:
            await server.close()

    return asyncio.run(run())


def raw(directory: Path, sent: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(directory / SOCKET_NAME))
        connection.sendall(sent)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def error_of(received: bytes) -> str:
    reply = msgspec.json.decode(received, type=ControlReply)
    assert not reply.ok
    return reply.error


def test_a_command_is_answered(tmp_path: Path) -> None:
    assert {"a": ["\x1b", 1]} == served(tmp_path, lambda: ask(tmp_path, "echo", {"a": ["\x1b", 1]}))
    assert served(tmp_path, lambda: ask(tmp_path, "slow")) == "later"


def test_a_path_that_is_too_long_for_an_address(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    assert {} == served(deep, lambda: ask(deep, "echo"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [("fail", "expected better"), ("break", "internal error: ZeroDivisionError: inside"), ("no", "expected one of")],
)
def test_no_is_an_answer_too(tmp_path: Path, command: str, expected: str) -> None:
    def client() -> None:
        with pytest.raises(RaqibError, match=expected):
            ask(tmp_path, command)
        # And the next one is served.
        assert {} == ask(tmp_path, "echo")

    served(tmp_path, client)


@pytest.mark.parametrize(
    "sent",
    [b"\n", b"x\n", b"{}\n", b'{"command":1}\n', b'{"command":"echo","more":1}\n', b"[" * 100_000 + b"\n", b"\xff\n"],
)
def test_what_is_no_request_is_said_so(tmp_path: Path, sent: bytes) -> None:
    assert "expected a request" in served(tmp_path, lambda: error_of(raw(tmp_path, sent)))


def test_a_request_has_a_limit(tmp_path: Path) -> None:
    sent = b"x" * (MAX_REQUEST + 1)

    def client() -> None:
        try:
            received = raw(tmp_path, sent)
        except ConnectionError:
            return
        assert f"at most {MAX_REQUEST} bytes" in error_of(received)

    served(tmp_path, client)


def test_a_client_that_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "PATIENCE_S", 0.05)
    assert b"" == served(tmp_path, lambda: raw(tmp_path, b"half"))


def test_there_are_never_more_than_so_many_clients(tmp_path: Path) -> None:
    def client() -> None:
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CLIENTS)]
        try:
            for waiter in waiting:
                waiter.connect(str(tmp_path / SOCKET_NAME))
            with pytest.raises(RaqibError, match=r"without an answer|did not answer"):
                ask(tmp_path, "echo")
        finally:
            for connection in waiting:
                connection.close()

    served(tmp_path, client)


def test_nobody_else_may_connect_or_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def client() -> None:
        assert 0o600 == stat.S_IMODE((tmp_path / SOCKET_NAME).stat().st_mode)
        with pytest.raises(RaqibError, match="expected root, found uid 4242"):
            ask(tmp_path, "echo")

    monkeypatch.setattr(control_server, "peer_uid", lambda connection: 4242)
    with capture_logs() as log:
        served(tmp_path, client)
    refused = {"event": "control request refused: peer is not root", "log_level": "warning", "uid": 4242}
    assert [refused] == log


def test_an_answer_that_came_before_the_question_is_heard(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / SOCKET_NAME))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(msgspec.json.encode(ControlReply(False, error="go away")) + b"\n")
                connection.shutdown(socket.SHUT_RD)

        with ThreadPoolExecutor(1) as pool:
            served = pool.submit(answer)
            with pytest.raises(RaqibError, match="go away"):
                # More than a socket takes without being read.
                ask(tmp_path, "echo", {"text": "x" * (1 << 20)})
            served.result()


def test_the_other_end_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert os.geteuid() == peer_uid(ours)


def test_a_socket_that_was_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_NAME))
    with pytest.raises(NoAgentError):
        ask(tmp_path, "echo")
    assert {} == served(tmp_path, lambda: ask(tmp_path, "echo"))
    assert not (tmp_path / SOCKET_NAME).exists()


def test_without_an_agent_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoAgentError, match="expected a running agent, found none"):
        ask(tmp_path, "echo")
    with pytest.raises(NoAgentError, match="expected a running agent, found none"):
        ask(tmp_path / "nothing", "echo")


def test_closing_lets_go_of_who_waits(tmp_path: Path) -> None:
    async def run() -> bytes:
        asked = asyncio.Event()

        async def never(arguments: dict[str, Any]) -> None:
            asked.set()
            await asyncio.Event().wait()

        commands: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {"never": never}
        server = ControlServer(tmp_path, commands)
        await server.start()
        waiting = asyncio.create_task(asyncio.to_thread(raw, tmp_path, b'{"command":"never"}\n'))
        await asked.wait()
        await server.close()
        return await waiting

    assert b"" == asyncio.run(run())


def test_what_takes_long_keeps_only_its_like_waiting(tmp_path: Path) -> None:
    """Switching all actions off must not wait for an undo."""

    async def run() -> list[str]:
        begun, let_go = asyncio.Event(), asyncio.Event()
        done: list[str] = []

        async def undo(arguments: dict[str, Any]) -> None:
            begun.set()
            await let_go.wait()
            done.append("undo")

        commands: dict[str, Command] = {
            "undo": undo,
            "store_set": lambda arguments: done.append("store_set"),
            "disarm": lambda arguments: done.append("disarm"),
        }
        server = ControlServer(tmp_path, commands, one_at_a_time={"undo", "store_set"})
        await server.start()
        try:
            async with asyncio.TaskGroup() as group, asyncio.timeout(60):
                group.create_task(asyncio.to_thread(ask, tmp_path, "undo"))
                await begun.wait()
                group.create_task(asyncio.to_thread(ask, tmp_path, "store_set"))
                await asyncio.to_thread(ask, tmp_path, "disarm")
                let_go.set()
        finally:
            let_go.set()
            await server.close()
        return done

    assert ["disarm", "undo", "store_set"] == asyncio.run(run())
