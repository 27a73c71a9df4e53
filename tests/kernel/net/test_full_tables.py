"""Full tables: nobody else's answers are kept from him, and nothing that is forbidden gets through."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from raqib.netpolicy.host import Host
from tests.cgroups import enter
from tests.flooding import NOBODY
from tests.kernel.net.conftest import CLIENTS_HOST
from tests.kernel.net.enforcing import OWNER, Enforcer
from tests.kernel.net.lab import IPV4, IPV6, Lab

USER = 1_900_000_001
"""Of whom there is nothing else on the machine."""
DNS4, WEB4, WEB6 = IPV4["dns"], IPV4["web"], IPV6["web"]
HOST = Host(
    own=CLIENTS_HOST.own, gateways=CLIENTS_HOST.gateways, resolvers=CLIENTS_HOST.resolvers | {bytes([10, 99, 3, 2])}
)
NEEDLES = 10

BECOME = """
import os, struct, sys
from socket import *
def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
def query(number, name):
    wire = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\\0"
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + wire + struct.pack("!HH", 1, 1)
become(int(sys.argv[1]))
"""
SLOW_RESOLVER = """
import sys
from socket import *
served = socket(AF_INET, SOCK_DGRAM)
served.bind(("10.99.3.2", 53))
print("ready", flush=True)
asked = [served.recvfrom(512) for _ in range(int(sys.argv[1]))]
print("asked", flush=True)
sys.stdin.readline()
for question, address in asked:
    served.sendto(question[:2] + b"\\x81\\x80" + question[4:], address)
"""
"""Answers so many questions, that there is no such address, after it was told to."""
ASK_SLOWLY = f"""{BECOME}
made = []
for number in range(int(sys.argv[2])):
    made.append(socket(AF_INET, SOCK_DGRAM))
    made[-1].connect(("10.99.3.2", 53))
    made[-1].send(query(number, f"needle{{number}}.test"))
for one in made:
    one.recv(512)
print("answered", flush=True)
"""
ASK_MUCH = f"""{BECOME}
out = socket(AF_INET, SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    if number % 10 == 0:
        out = socket(AF_INET, SOCK_DGRAM)
    out.sendto(query(number, f"flood{{number}}.test"), ("10.99.2.2", 53))
"""
TALK_MUCH = f"""{BECOME}
for number in range(int(sys.argv[2])):
    socket(AF_INET, SOCK_DGRAM).sendto(b"x", (f"10.99.4.{{number % 200 + 3}}", 1000 + number))
"""
FULL = dict.fromkeys(("net_sockets", "flows", "flow_links", "flow_heads", "flows_pending", "net_questions"), 1)


@contextmanager
def started(lab: Lab, where: str, script: str, *arguments: int, bound: bool = False) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", lab.namespace(where), sys.executable, "-ISc", script, *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=(lambda: enter(lab.cgroup)) if bound else None,
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def said(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def flood(lab: Lab, script: str, count: int) -> None:
    with started(lab, "client", script, NOBODY, count, bound=True) as child:
        assert 0 == child.wait(100)


def test_who_asks_much_keeps_nobody_from_his_answers(lab: Lab, make_enforcer: Callable[..., Enforcer]) -> None:
    enforcer = make_enforcer(host=HOST, sizes={"net_questions": 64})
    enforcer.use("rules: [{domain: denied.test, policy: deny}]")
    with ExitStack() as stack:
        resolver = stack.enter_context(started(lab, "web", SLOW_RESOLVER, NEEDLES))
        assert "ready" == said(resolver)
        needle = stack.enter_context(started(lab, "client", ASK_SLOWLY, USER, NEEDLES, bound=True))
        assert "asked" == said(resolver)
        flood(lab, ASK_MUCH, 1000)
        assert resolver.stdin is not None
        resolver.stdin.write("\n")
        resolver.stdin.flush()
        assert 0 == resolver.wait(100)
        assert 0 == needle.wait(20)
        assert "answered" == said(needle)


@pytest.mark.parametrize("script", [pytest.param(ASK_MUCH, id="questions"), pytest.param(TALK_MUCH, id="flows")])
@pytest.mark.parametrize("learned", [1, 1024], ids=["nothing can be learned", "addresses are learned"])
def test_what_is_forbidden_stays_so_whatever_is_full(
    lab: Lab, make_enforcer: Callable[..., Enforcer], script: str, learned: int
) -> None:
    enforcer = make_enforcer(host=CLIENTS_HOST, sizes={**FULL, "net_records": 4096, "net_learned": learned})
    enforcer.use(f"resolve_mode: alert\nrules: [{{domain: web6.test, policy: deny}}, {{cidr: '{WEB6}', policy: deny}}]")
    enforcer.blocks.block(WEB4, **OWNER)
    enforcer.reaped()
    for _ in range(2):
        flood(lab, script, 500)
        with lab.count("web") as came:
            assert "unreachable" == lab.client.ask("tcp", address=WEB4)
            assert "unreachable" == lab.client.ask("tcp", address=WEB6)
            assert "unreachable" == lab.client.ask("udp", address=WEB4)
        assert [0] == came
        # Its address is learned, or the answer does not arrive.
        got: Any = lab.client.ask("resolve", name="web6.test", kind=28)
        assert got in ([IPV6["web6"]], "unreachable")
        if got != "unreachable":
            with lab.count("web6") as came:
                assert "unreachable" == lab.client.ask("tcp", address=IPV6["web6"])
            assert [0] == came
    enforcer.use("resolve_mode: enforce\nrules: [{domain: web.test, policy: deny}]")
    flood(lab, script, 500)
    lab.dns.ask("queries")
    for over in ("udp", "tcp"):
        assert "unreachable" == lab.client.ask("resolve", name="web.test", over=over)
    assert "web.test" not in lab.dns.ask("queries")
