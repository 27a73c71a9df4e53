"""Whose answers are told, and from which the policy learns: not from whoever has a resolver's address somewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raqib.kernel.layout import constant, ffi
from raqib.netpolicy.host import Host
from tests.cgroups import enter
from tests.kernel.net.enforcing import Enforcer
from tests.kernel.net.lab import HERE, IPV4, Lab
from tests.kernel.net.liar import VICTIM

DNS4, WEB4 = IPV4["dns"], IPV4["web"]
DENY = "cidr_mode: both\nrules: [{domain: denied.test, policy: deny}]"
UNLISTED, LISTED, RESOLVER = (constant(f"NET_{name}") for name in ("UNLISTED", "LISTED", "RESOLVER"))


class Heard:
    """The answers that an enforcer's programs tell."""

    def __init__(self, enforcer: Enforcer) -> None:
        self.records: list[tuple[int, int, bytes]] = []
        self.enforcer = enforcer
        enforcer.sensor.on("NET_RECORD_DNS", self._take)
        enforcer.policy.tables.want_answers(True)

    def _take(self, raw: Any) -> None:
        record: Any = ffi.cast("struct net_dns_record *", raw)
        message = bytes(ffi.buffer(record.message, min(record.length, len(record.message))))
        self.records.append((record.answerer, record.net_ns, message))

    def of(self, name: bytes) -> list[tuple[int, int]]:
        """Who answered for a name of one label below test, and in which namespace, in order."""
        self.enforcer.sensor.consume()
        return [(who, where) for who, where, message in self.records if name + b"\x04test\0" in message]


@pytest.fixture
def heard(enforcer: Enforcer) -> Heard:
    return Heard(enforcer)


def lie(lab: Lab, way: str, *namespaces: str) -> str:
    """Run the liar in namespaces of its own, in the client's cgroup; return how long its answers were."""
    command: list[str | Path] = ["unshare", *namespaces, sys.executable, HERE / "liar.py", way]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: enter(lab.cgroup), timeout=60
    )
    return done.stdout.strip()


def learned(enforcer: Enforcer) -> set[bytes]:
    return {bytes(key.bytes)[12:] for key, _ in enforcer.policy.tables.learned.entries()}


def victim() -> bytes:
    return bytes(map(int, VICTIM.split(".")))


@pytest.mark.parametrize(
    ("way", "namespaces"),
    [
        ("loopback", ("--net",)),
        ("loopback", ("--user", "--map-root-user", "--net")),
        ("wire", ("--user", "--map-root-user", "--net")),
    ],
)
def test_who_takes_a_resolvers_address_teaches_the_policy_nothing(
    lab: Lab, enforcer: Enforcer, heard: Heard, way: str, namespaces: tuple[str, ...]
) -> None:
    enforcer.use(DENY)
    # The answer for the denied name is kept from its asker.
    assert "43 0" == lie(lab, way, *namespaces)
    assert victim() not in learned(enforcer)
    [(who, where)] = heard.of(b"\x04good")
    assert who == LISTED
    assert where
    assert [] == heard.of(b"\x06denied")


def test_the_resolver_over_a_wire_of_roots_own_counts(lab: Lab, enforcer: Enforcer, heard: Heard) -> None:
    lab.answers(denied__test=[["A", VICTIM, 300]])
    enforcer.use(DENY)
    assert [VICTIM] == lab.client.ask("resolve", name="denied.test")
    assert victim() in learned(enforcer)
    [(who, where)] = heard.of(b"\x06denied")
    assert who == RESOLVER
    assert where


@pytest.fixture
def foreign(make_enforcer: Callable[..., Enforcer]) -> Heard:
    """Of a host for which the network's DNS server is none of its resolvers."""
    heard = Heard(make_enforcer(host=Host()))
    heard.enforcer.use(DENY)
    return heard


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_any_server_that_was_asked_is_told_of_and_teaches_nothing(lab: Lab, foreign: Heard, over: str) -> None:
    lab.answers(denied__test=[["A", VICTIM, 300]])
    assert [VICTIM] == lab.client.ask("resolve", name="denied.test", over=over)
    [(who, where)] = foreign.of(b"\x06denied")
    assert who == UNLISTED
    assert where
    assert set() == learned(foreign.enforcer)


def forge(lab: Lab, port: int, number: int, name: bytes) -> None:
    """Send an answer that begins in the way of one to a question with that number, and wait until it is there."""
    body = name + b"\x04test\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + victim()
    data = number.to_bytes(2, "big") + b"\x81\x80\0\1\0\1\0\0\0\0" + body
    lab.dns.ask("forge", **{"from": 53, "to": IPV4["client"], "port": port, "data": data.hex()})
    assert lab.client.ask("take", key="asker", timeout_s=5)


def test_a_server_that_was_not_asked_is_not_heard(lab: Lab, foreign: Heard) -> None:
    port = lab.client.ask("listen_udp", key="asker", port=7781)
    forge(lab, port, 7, b"\x06forged")
    # Asked is another server, then this one, with another number and for another name.
    lab.client.ask("ask_from", key="asker", name="forged.test", server=WEB4, number=7)
    forge(lab, port, 7, b"\x06forged")
    lab.dns.ask("raw", names={"forged.test": "00"})
    lab.client.ask("ask_from", key="asker", name="forged.test", server=DNS4, number=8)
    assert lab.client.ask("take", key="asker", timeout_s=5)
    forge(lab, port, 7, b"\x06forged")
    forge(lab, port, 8, b"\x05other")
    assert [] == foreign.of(b"\x06forged")
    assert [] == foreign.of(b"\x05other")
    # To what was asked there is one answer.
    forge(lab, port, 8, b"\x06forged")
    forge(lab, port, 8, b"\x06forged")
    assert 1 == len(foreign.of(b"\x06forged"))


def test_who_asks_too_much_is_not_heard_and_that_is_counted(lab: Lab, foreign: Heard) -> None:
    lab.client.ask("listen_udp", key="asker", port=7782)
    enforcer = foreign.enforcer
    for _ in range(20):
        lab.client.ask("ask_from", key="asker", name="web.test", server=WEB4, number=1, count=1000)
        if enforcer.counter("dns_unheard"):
            break
    assert 0 < enforcer.counter("dns_unheard")
    # Those who ask resolvers are not concerned.
    enforcer.policy.tables.set_resolvers([bytes(map(int, DNS4.split(".")))])
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert [RESOLVER] == [who for who, _ in foreign.of(b"\x03web")]


def test_nothing_is_kept_while_nobody_wants_to_hear(lab: Lab, foreign: Heard) -> None:
    foreign.enforcer.policy.tables.want_answers(False)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    asked = foreign.enforcer.sensor.bpf.map("net_asked", "struct net_question", "uint64_t")
    assert [] == list(asked.walk())
    assert [] == foreign.of(b"\x03web")
