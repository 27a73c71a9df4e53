"""Whoever floods the network's tables loses only his own: each user has a share, and so has each of its processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raqib.kernel.layout import constant
from raqib.model.flow import FlowAction
from tests.flooding import FIRST_SUBORDINATE, NOBODY
from tests.kernel.flows.flowing import Flowing, number, tell

USER = 1_900_000_001
"""Of whom there is nothing else on the machine."""
ROOM = 1024
SMALL = dict.fromkeys(("flows", "flow_links", "flow_heads", "net_sockets"), ROOM)
NEEDLES = 200

BECOME = """
import ctypes
def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
become(int(sys.argv[1]))
"""
NEEDLE = f"""{BECOME}
made = []
def make(first, last):
    for port in range(first, last):
        made.append(socket(AF_INET, SOCK_DGRAM))
        made[-1].connect(("127.0.0.9", port))
        made[-1].send(b"x")
bound = socket(AF_INET, SOCK_DGRAM)
bound.bind(("127.0.0.1", 0))
print(bound.getsockname()[1], flush=True)
for line in sys.stdin:
    make(*map(int, line.split()))
    print("made", flush=True)
"""
"""A socket that waits, and for each line flows to the ports from a first to before a last."""

SEND = "socket(AF_INET, SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(sys.argv[1])))"

ONE_SOCKET = """
out = socket(AF_INET, SOCK_DGRAM)
for number in range(count):
    out.sendto(b"x", (f"127.1.{number >> 8 & 255}.{number & 255}", 9))
"""
MANY_SOCKETS = """
for number in range(count):
    out = socket(AF_INET, SOCK_DGRAM)
    out.sendto(b"x", ("127.0.0.2", 10_000 + number))
"""
CONNECTIONS = """
listener = socket()
listener.bind(("127.0.0.2", 0))
listener.listen(64)
for number in range(count // 4):
    one = socket()
    one.connect(listener.getsockname())
    other = listener.accept()[0]
    one.send(b"x")
    other.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    other.close()
    one.close()
"""
SHORT_PROCESSES = """
for number in range(count // 4):
    child = os.fork()
    if not child:
        socket(AF_INET, SOCK_DGRAM).sendto(b"x", ("127.0.0.2", 10_000 + number))
        os._exit(0)
    os.waitpid(child, 0)
"""
SUBORDINATE_USERS = """
for number in range(count // 4):
    child = os.fork()
    if not child:
        user = 1 + number % 500
        os.setresuid(user, user, user)
        out = socket(AF_INET, SOCK_DGRAM)
        for port in range(4):
            out.sendto(b"x", ("127.0.0.2", 10_000 + number * 4 + port))
        os._exit(0)
    os.waitpid(child, 0)
"""
FLOODS = [
    pytest.param(ONE_SOCKET, id="one socket"),
    pytest.param(MANY_SOCKETS, id="many sockets"),
    pytest.param(CONNECTIONS, id="connections"),
    pytest.param(SHORT_PROCESSES, id="short processes"),
    pytest.param(SUBORDINATE_USERS, id="subordinate users"),
]


INSIDE = f"raqib-shares-{os.getpid()}"
"""A network namespace: nobody else hears of the floods."""
PREFIX = ("ip", "netns", "exec", INSIDE)


@pytest.fixture(autouse=True)
def inside() -> Iterator[None]:
    subprocess.run(["ip", "netns", "add", INSIDE], check=True)
    try:
        subprocess.run(["ip", "-n", INSIDE, "link", "set", "lo", "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "netns", "delete", INSIDE], check=True)


def flood(flowing: Flowing, script: str, count: int = 6 * ROOM, user: int = NOBODY) -> int:
    """Let a user flood, to the end, while what it does is taken in; return its process."""
    subordinate = script == SUBORDINATE_USERS
    unshare = """
assert 0 == ctypes.CDLL(None).unshare(0x10000000)
print("unshared", flush=True)
sys.stdin.readline()
"""
    code = f"{BECOME}{unshare if subordinate else ''}\ncount = int(sys.argv[2])\n{script}"
    child = flowing.python(code, user, count, prefix=PREFIX)
    if subordinate:
        map_subordinates(child.pid, child.stdout)
        tell(child)
    flowing.wait(lambda: child.poll() is not None)
    assert 0 == child.returncode
    flowing.wait(lambda: 0 == flowing.network.consume())
    return child.pid


def map_subordinates(pid: int, said: Any) -> None:
    """What newuidmap(1) does for whoever has subordinate users."""
    assert b"unshared\n" == said.readline()
    Path(f"/proc/{pid}/uid_map").write_text(f"0 {NOBODY} 1\n1 {FIRST_SUBORDINATE} 500\n")


def make_needles(flowing: Flowing, needle: Any, first: int, last: int) -> None:
    tell(needle, f"{first} {last}")
    assert b"made\n" == needle.stdout.readline()
    flowing.wait(lambda: {*range(first, last)} <= {item.remote.port for item in flowing.of(needle.pid)})


def ports(flowing: Flowing, pid: int) -> set[int]:
    """To which ports a process's flows go that the kernel remembers."""
    return {flow.remote.port for flow in flowing.sensor.flows(flowing.key(pid), 1 << 16)}


@pytest.mark.parametrize("script", FLOODS)
def test_a_flood_of_another_user_pushes_nothing_out(make_flowing: Callable[..., Flowing], script: str) -> None:
    flowing = make_flowing(SMALL)
    flowing.start()
    needle = flowing.python(NEEDLE, USER, prefix=PREFIX)
    waiting = number(needle)
    make_needles(flowing, needle, 1000, 1000 + NEEDLES // 2)
    flood(flowing, script)
    make_needles(flowing, needle, 2000, 2000 + NEEDLES // 2)
    flood(flowing, script)
    expected = {*range(1000, 1000 + NEEDLES // 2), *range(2000, 2000 + NEEDLES // 2)}
    assert expected == ports(flowing, needle.pid) & expected
    # Nothing began anew either, and whose the socket is that has never sent anything is still known.
    created = [item.remote.port for item in flowing.of(needle.pid) if FlowAction.CREATED in item.new]
    assert sorted(expected) == sorted(port for port in created if port in expected)
    flowing.end(flowing.python(SEND, waiting, prefix=PREFIX))
    assert waiting in {item.local.port for item in flowing.of(needle.pid)}


@pytest.mark.parametrize("script", [pytest.param(ONE_SOCKET, id="one socket"), pytest.param(MANY_SOCKETS, id="many")])
def test_a_process_pushes_out_its_own_before_what_others_of_its_user_have(
    make_flowing: Callable[..., Flowing], script: str
) -> None:
    flowing = make_flowing(SMALL)
    flowing.start()
    needle = flowing.python(NEEDLE, NOBODY, prefix=PREFIX)
    waiting = number(needle)
    make_needles(flowing, needle, 1000, 1040)
    flood(flowing, script)
    flood(flowing, script)
    assert {*range(1000, 1040)} <= ports(flowing, needle.pid)
    flowing.end(flowing.python(SEND, waiting, prefix=PREFIX))
    assert waiting in {item.local.port for item in flowing.of(needle.pid)}


def test_what_waits_of_others_has_room(make_flowing: Callable[..., Flowing]) -> None:
    """Nobody reads meanwhile: the ring buffer is full, and the flooder's share of what waits."""
    flowing = make_flowing({"net_records": 4096, "flows_pending": 256})
    flowing.start()
    flooder = flowing.python(f"{BECOME}\ncount = 3000\n{MANY_SOCKETS}", NOBODY, prefix=PREFIX)
    assert 0 == flooder.wait(100)
    needle = flowing.python(NEEDLE, USER, prefix=PREFIX)
    number(needle)
    tell(needle, "1000 1020")
    assert needle.stdout is not None
    assert b"made\n" == needle.stdout.readline()
    flowing.network.consume()
    flowing.sensor.sweep()
    assert {*range(1000, 1020)} == {item.remote.port for item in flowing.of(needle.pid)}
    assert {0} == {item.lost for item in flowing.of(needle.pid)}
    lost = flowing.network.lost()
    assert {("network", NOBODY, flooder.pid)} == {(loss.kind, loss.uid, loss.process.pid) for loss in lost}
    assert sum(loss.count for loss in lost) == flowing.network.counters()["lost_flows"]
    assert [] == flowing.network.lost()
    # What was taken out makes room again.
    again = flowing.python(f"{BECOME}\ncount = 50\n{MANY_SOCKETS}", NOBODY, prefix=PREFIX)
    assert 0 == again.wait(100)
    flowing.network.consume()
    flowing.sensor.sweep()
    assert {*range(10_000, 10_050)} == {item.remote.port for item in flowing.of(again.pid)}


@pytest.mark.parametrize("full", ["flows", "net_sockets", "flow_links", "flow_heads"])
def test_what_has_no_room_at_all_is_told_all_the_same(make_flowing: Callable[..., Flowing], full: str) -> None:
    flowing = make_flowing({full: 1})
    flowing.start()
    flood(flowing, MANY_SOCKETS, 50)
    needle = flowing.python(NEEDLE, USER, prefix=PREFIX)
    number(needle)
    make_needles(flowing, needle, 1000, 1020)
    assert constant("FLOW_CREATED") == constant("FLOW_CREATED") & flowing.actions(needle.pid)
