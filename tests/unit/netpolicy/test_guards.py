"""Guards without a kernel: what a policy would cut the host from, and what the host is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raqib.errors import RefusedError
from raqib.netpolicy.guards import Guards, cut_off, overlap
from raqib.netpolicy.host import Host, HostWatch, address_bytes, address_text, read_host
from raqib.netpolicy.spec import CidrRule, Mode, PolicySpec, Verdict, prefix_of

HOST = Host(
    own=frozenset({b"\x0a\0\0\x02"}),
    gateways=frozenset({b"\x0a\0\0\x01"}),
    resolvers=frozenset({b"\x0a\0\0\x35", bytes.fromhex("20010db8") + bytes(11) + b"\x35"}),
)


def policy(mode: Mode, default: Verdict, **rules: Verdict) -> PolicySpec:
    cidrs = tuple(CidrRule(prefix_of(cidr), verdict) for cidr, verdict in rules.items())
    return PolicySpec(cidr_mode=mode, cidr_policy=default, cidrs=cidrs)


def test_what_a_policy_cuts_off() -> None:
    everything = ["10.0.0.1 (the default gateway)", "10.0.0.53 (a resolver)", "2001:db8::35 (a resolver)"]
    assert sorted(everything) == sorted(cut_off(policy("enforce", "deny"), HOST))
    assert [] == cut_off(policy("alert", "deny"), HOST)
    assert [] == cut_off(policy("bypass", "deny"), HOST)
    assert [] == cut_off(policy("both", "allow"), HOST)


def test_the_longest_prefix_decides_of_being_cut_off() -> None:
    rules: dict[str, Verdict] = {"10.0.0.0/8": "deny", "10.0.0.0/24": "allow", "10.0.0.53": "deny"}
    assert ["10.0.0.53 (a resolver)"] == cut_off(policy("both", "allow", **rules), HOST)


@pytest.mark.parametrize("network", ["10.0.0.0/30", "10.0.0.2", "::ffff:10.0.0.2", "10.0.0.1", "2001:db8::35"])
def test_refused(network: str) -> None:
    with pytest.raises(RefusedError, match="is not blocked"):
        Guards(lambda: HOST).network(network)


@pytest.mark.parametrize("network", ["192.0.2.1", "10.0.0.3", "2001:db8::36", "198.51.0.0/16", "2001:db8:1::/48"])
def test_allowed(network: str) -> None:
    assert prefix_of(network) == Guards(lambda: HOST).network(network)


@pytest.mark.parametrize("network", ["::fffe:0:0/95", "::fffc:0:0/94", "::8000:0:0/81"])
def test_networks_of_ipv6_that_hold_all_of_ipv4(network: str) -> None:
    with pytest.raises(RefusedError, match="all of IPv4"):
        Guards(lambda: Host()).network(network)


@pytest.mark.parametrize("network", ["::fffc:0:0/95", "::1:0:0:0/81", "::ffff:192.0.2.0/120"])
def test_their_neighbours(network: str) -> None:
    assert prefix_of(network) == Guards(lambda: Host()).network(network)


def test_protected_networks() -> None:
    guards = Guards(lambda: HOST, ("192.0.2.128/25",))
    with pytest.raises(RefusedError, match="protected by the configuration"):
        guards.network("192.0.2.0/24")
    assert prefix_of("192.0.2.0/25") == guards.network("192.0.2.0/25")
    with pytest.raises(ValueError, match="expected an address or a network"):
        Guards(lambda: HOST, ("nonsense",))


def test_overlap() -> None:
    assert overlap(prefix_of("10.0.0.0/8"), prefix_of("10.1.0.0/16"))
    assert overlap(prefix_of("10.1.0.0/16"), prefix_of("10.0.0.0/8"))
    assert not overlap(prefix_of("10.1.0.0/16"), prefix_of("10.2.0.0/16"))
    assert not overlap(prefix_of("0.0.0.0/0"), prefix_of("::/0"))


def test_this_host_as_proc_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = tmp_path / "net"
    net.mkdir()
    (net / "route").write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    (net / "ipv6_route").write_text(
        f"{'0' * 32} 00 {'0' * 32} 00 20010db8000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
        f"20010db8{'0' * 24} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001     eth0\n"
    )
    (net / "if_inet6").write_text(f"{'0' * 31}1 01 80 10 80       lo\n20010db8{'0' * 23}2 02 40 00 80     eth0\n")
    (net / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.2\n        /32 host LOCAL\n"
        "     |-- 10.0.0.255\n        /32 link BROADCAST\n"
    )
    resolv = tmp_path / "resolv.conf"
    resolv.write_text("# nameserver 192.0.2.9\nnameserver 127.0.0.53\n nameserver fe80::1%eth0\nsearch x\n")
    monkeypatch.setattr("raqib.netpolicy.host.RESOLVER_FILES", (resolv, tmp_path / "none"))
    host = read_host(("192.0.2.53",), proc=tmp_path)
    assert {"10.0.0.2", "::1", "2001:db8::2"} == {address_text(address) for address in host.own}
    assert {"10.0.0.1", "2001:db8::1"} == {address_text(address) for address in host.gateways}
    assert {"127.0.0.53", "fe80::1", "192.0.2.53"} == {address_text(resolver) for resolver in host.resolvers}


def test_resolvers_stay_while_their_file_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolv = tmp_path / "resolv.conf"
    monkeypatch.setattr("raqib.netpolicy.host.RESOLVER_FILES", (resolv,))
    watch = HostWatch(("192.0.2.53",))
    looked = []
    for text in ("nameserver 10.0.0.53", "", None, "nameserver 10.0.0.54"):
        resolv.unlink(missing_ok=True)
        if text is not None:
            resolv.write_text(text)
        looked.append({address_text(resolver) for resolver in watch.read(tmp_path).resolvers})
    first, last = {"10.0.0.53", "192.0.2.53"}, {"10.0.0.54", "192.0.2.53"}
    assert [first, first, first, last] == looked


def test_addresses() -> None:
    assert b"\x0a\0\0\x01" == address_bytes("::ffff:10.0.0.1")
    assert None is address_bytes("10.0.0")
    assert "10.0.0.1" == address_text(bytes(10) + b"\xff\xff\x0a\0\0\x01")
