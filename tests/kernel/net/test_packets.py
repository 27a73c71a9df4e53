"""Packets of every shape, judged by the programs without being sent: fragments, extension headers, what must pass."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from raqib.kernel.network import load_network
from raqib.kernel.object import BpfObject
from raqib.netpolicy.spec import policy_from
from raqib.netpolicy.tables import Tables

DENIED4, ALLOWED4, OWN4 = "198.51.100.1", "192.0.2.7", "192.0.2.1"
DENIED6, ALLOWED6, OWN6 = "2001:db8:bad::1", "2001:db8::7", "2001:db8::1"
POLICY = """
network_policy:
  cidr_policy: deny
  resolve_mode: enforce
  rules:
    - {cidr: 192.0.2.0/24, policy: allow}
    - {cidr: "2001:db8::/64", policy: allow}
    - {domain: denied.test, policy: deny}
"""
DROPPED = {"net_egress": 2, "net_ingress": 0}
UDP = struct.pack("!HHHH", 4000, 80, 8 + 4, 0) + b"data"
TCP = struct.pack("!HHIIBBHHH", 4000, 80, 1, 1, 0x50, 0x10, 100, 0, 0)
QUESTION = struct.pack("!HHHHHH", 1, 0x100, 1, 0, 0, 0) + b"\6denied\4test\0\0\1\0\1"


@pytest.fixture(scope="module")
def bpf() -> Iterator[BpfObject]:
    made = load_network({"net_records": 1 << 16})
    tables = Tables(made)
    tables.activate()
    policy, _ = policy_from(POLICY, "test")
    assert policy is not None
    tables.load(policy, 1)
    yield made
    made.close()


def ipv4(remote: str, protocol: int, payload: bytes, *, egress: bool, flags: int = 0, options: bytes = b"") -> bytes:
    source, destination = (OWN4, remote) if egress else (remote, OWN4)
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 1, flags, 64, protocol, 0)
    ends = ip_address(source).packed + ip_address(destination).packed
    return bytes(12) + b"\x08\x00" + header + ends + options + payload


def ipv6(remote: str, protocol: int, payload: bytes, *, egress: bool, extensions: bytes = b"", first: int = 0) -> bytes:
    source, destination = (OWN6, remote) if egress else (remote, OWN6)
    header = struct.pack("!IHBB", 6 << 28, len(extensions) + len(payload), first if extensions else protocol, 64)
    ends = ip_address(source).packed + ip_address(destination).packed
    return bytes(12) + b"\x86\xdd" + header + ends + extensions + payload


def passes(bpf: BpfObject, frame: bytes, *, egress: bool) -> bool:
    program = "net_egress" if egress else "net_ingress"
    result, _ = bpf.judge_packet(program, frame)
    assert result in (1, DROPPED[program])
    return result == 1


WAYS = pytest.mark.parametrize("egress", [True, False], ids=["out", "in"])


@WAYS
@pytest.mark.parametrize(("protocol", "payload"), [(17, UDP), (6, TCP), (1, b"\x08\0\0\0\0\1\0\1"), (47, b"gre")])
@pytest.mark.parametrize(("remote", "expected"), [(ALLOWED4, True), (DENIED4, False)])
def test_ipv4(bpf: BpfObject, egress: bool, protocol: int, payload: bytes, remote: str, expected: bool) -> None:
    assert expected == passes(bpf, ipv4(remote, protocol, payload, egress=egress), egress=egress)


@WAYS
@pytest.mark.parametrize(("protocol", "payload"), [(17, UDP), (6, TCP), (58, b"\x80\0\0\0\0\1\0\1"), (47, b"gre")])
@pytest.mark.parametrize(("remote", "expected"), [(ALLOWED6, True), (DENIED6, False)])
def test_ipv6(bpf: BpfObject, egress: bool, protocol: int, payload: bytes, remote: str, expected: bool) -> None:
    assert expected == passes(bpf, ipv6(remote, protocol, payload, egress=egress), egress=egress)


@WAYS
@pytest.mark.parametrize("flags", [0x2000, 0x2001, 0x00FF], ids=["first", "middle", "last"])
@pytest.mark.parametrize(("remote", "expected"), [(ALLOWED4, True), (DENIED4, False)])
def test_fragments_of_ipv4(bpf: BpfObject, egress: bool, flags: int, remote: str, expected: bool) -> None:
    assert expected == passes(bpf, ipv4(remote, 17, UDP, egress=egress, flags=flags), egress=egress)


@WAYS
@pytest.mark.parametrize("offset", [0x0001, 0x0009, 0x0010], ids=["first", "middle", "last"])
@pytest.mark.parametrize(("remote", "expected"), [(ALLOWED6, True), (DENIED6, False)])
def test_fragments_of_ipv6(bpf: BpfObject, egress: bool, offset: int, remote: str, expected: bool) -> None:
    fragment = struct.pack("!BBHI", 17, 0, offset, 1)
    frame = ipv6(remote, 17, UDP, egress=egress, extensions=fragment, first=44)
    assert expected == passes(bpf, frame, egress=egress)


def test_headers_between_do_not_hide_a_question(bpf: BpfObject) -> None:
    udp = struct.pack("!HHHH", 4000, 53, 8 + len(QUESTION), 0) + QUESTION
    assert not passes(bpf, ipv4(ALLOWED4, 17, udp, egress=True), egress=True)
    assert not passes(bpf, ipv4(ALLOWED4, 17, udp, egress=True, options=b"\1\1\1\0"), egress=True)
    hop = struct.pack("!BB6x", 60, 0)
    options = struct.pack("!BB14x", 17, 1)
    for extensions, first in ((b"", 0), (options, 60), (hop + options, 0)):
        frame = ipv6(ALLOWED6, 17, udp, egress=True, extensions=extensions, first=first)
        assert not passes(bpf, frame, egress=True)


def test_a_question_in_a_fragment_does_not_leave(bpf: BpfObject) -> None:
    udp = struct.pack("!HHHH", 4000, 53, 8 + 2 * len(QUESTION), 0) + QUESTION.replace(b"denied", b"harmle")
    assert passes(bpf, ipv4(ALLOWED4, 17, udp, egress=True), egress=True)
    assert not passes(bpf, ipv4(ALLOWED4, 17, udp, egress=True, flags=0x2000), egress=True)


@WAYS
def test_what_networks_cannot_do_without(bpf: BpfObject, egress: bool) -> None:
    for kind in (130, 131, 132, 133, 134, 135, 136, 137, 143):
        frame = ipv6("ff02::1" if egress else "fe80::1", 58, bytes([kind]) + bytes(23), egress=egress)
        assert passes(bpf, frame, egress=egress), kind
    for kind in (1, 128, 129, 138, 142, 144):
        frame = ipv6("ff02::1" if egress else "fe80::1", 58, bytes([kind]) + bytes(23), egress=egress)
        assert not passes(bpf, frame, egress=egress), kind
    assert passes(bpf, ipv4("224.0.0.22" if egress else "10.0.0.1", 2, bytes(8), egress=egress), egress=egress)


@WAYS
def test_what_is_cut_short(bpf: BpfObject, egress: bool) -> None:
    whole = ipv6(DENIED6, 17, UDP, egress=egress)
    for length in range(54, len(whole)):
        assert not passes(bpf, whole[:length], egress=egress), length
    whole = ipv4(DENIED4, 6, TCP, egress=egress)
    for length in range(34, len(whole)):
        assert not passes(bpf, whole[:length], egress=egress), length


def test_what_is_no_ip_passes(bpf: BpfObject) -> None:
    assert passes(bpf, bytes(12) + b"\x08\x06" + bytes(28), egress=True)


@pytest.mark.slow
def test_a_hundred_thousand_networks(bpf: BpfObject) -> None:
    rules = "".join(
        f"  - {{cidr: 11.{n >> 8 & 255}.{n & 255}.{(n >> 16) * 128}/25, policy: deny}}\n" for n in range(100_000)
    )
    began = time.process_time()
    policy, _ = policy_from(f"network_policy:\n  rules:\n{rules}", "test")
    assert policy is not None
    tables = Tables(bpf)
    tables.load(policy, 2)
    took_s = time.process_time() - began
    assert 100_000 == len(policy.cidrs)
    assert took_s < 5.0
    for address, expected in (
        ("11.0.0.1", False),
        ("11.134.159.129", False),
        ("11.134.160.129", True),
        ("12.0.0.1", True),
    ):
        assert expected == passes(bpf, ipv4(address, 17, UDP, egress=True), egress=True)
