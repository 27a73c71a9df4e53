"""Networks: what a policy says of them is what a server sees, whatever the family and the protocol."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from raqib.netpolicy.drops import Drop
from raqib.netpolicy.host import Host
from tests.kernel.net.enforcing import Enforcer
from tests.kernel.net.lab import IPV4, IPV6, Lab

WEB4, WEB6, ONLY6 = IPV4["web"], IPV6["web"], IPV6["web6"]
ADDRESSES = pytest.mark.parametrize("address", [WEB4, WEB6], ids=["ipv4", "ipv6"])


def reach_by_all(lab: Lab, address: str) -> list[object]:
    """TCP, UDP and ICMP."""
    return [
        lab.client.ask("tcp", address=address),
        lab.client.ask("udp", address=address),
        lab.client.ask("udp", address=address, connected=True),
        lab.client.ask("ping", address=address),
    ]


ALL = ["hello", "hhhhh", "hhhhh", True]
NONE = ["unreachable", "unreachable", "unreachable", False]


@ADDRESSES
def test_without_rules_everything_passes(lab: Lab, enforcer: Enforcer, address: str) -> None:
    assert ALL == reach_by_all(lab, address)


@ADDRESSES
def test_what_is_denied_does_not_leave(lab: Lab, enforcer: Enforcer, address: str) -> None:
    enforcer.use(f"rules: [{{cidr: {address}, policy: deny}}]")
    with lab.count("web") as came:
        assert NONE == reach_by_all(lab, address)
    assert [0] == came


def test_only_the_named_family_is_denied(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use("rules: [{cidr: '::/0', policy: deny}]\ni_know: true")
    assert ALL == reach_by_all(lab, WEB4)
    assert NONE == reach_by_all(lab, WEB6)


@pytest.mark.parametrize("network", ["::fffe:0:0/95", "::8000:0:0/81", "::/80"])
def test_a_rule_around_mapped_addresses_is_not_one_for_ipv4(lab: Lab, enforcer: Enforcer, network: str) -> None:
    enforcer.use(f"rules: [{{cidr: '{network}', policy: deny}}]")
    assert ALL == reach_by_all(lab, WEB4)
    assert "hello" == lab.client.ask("tcp", address=WEB4, mapped=True)


def test_a_mapped_address_is_ipv4(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"rules: [{{cidr: {WEB4}, policy: deny}}]")
    with lab.count("web") as came:
        assert "unreachable" == lab.client.ask("tcp", address=WEB4, mapped=True)
    assert [0] == came


@pytest.mark.parametrize(
    ("address", "wide", "narrow"),
    [(WEB4, "10.99.0.0/16", "10.99.3.0/24"), (ONLY6, "fd99::/16", "fd99:4::/64")],
    ids=["ipv4", "ipv6"],
)
def test_the_longest_prefix_decides(lab: Lab, enforcer: Enforcer, address: str, wide: str, narrow: str) -> None:
    enforcer.use(f"i_know: true\nrules: [{{cidr: '{wide}', policy: deny}}, {{cidr: '{narrow}', policy: allow}}]")
    assert ALL == reach_by_all(lab, address)
    enforcer.use(f"i_know: true\nrules: [{{cidr: '{wide}', policy: allow}}, {{cidr: '{narrow}', policy: deny}}]")
    assert NONE == reach_by_all(lab, address)
    enforcer.use(f"rules: [{{cidr: '{narrow}', policy: deny}}, {{cidr: '{address}', policy: allow}}]")
    assert ALL == reach_by_all(lab, address)


def test_between_equals_deny(lab: Lab, enforcer: Enforcer) -> None:
    for first, second in (("allow", "deny"), ("deny", "allow")):
        enforcer.use(f"rules: [{{cidr: {WEB4}, policy: {first}}}, {{cidr: {WEB4}, policy: {second}}}]")
        assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_what_no_rule_names(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(
        f"cidr_policy: deny\nrules: [{{cidr: {WEB4}, policy: allow}}, {{cidr: 10.99.1.1, policy: allow}}, "
        "{cidr: 10.99.2.2, policy: allow}, {cidr: 'fd99:2::2', policy: allow}]"
    )
    assert ALL == reach_by_all(lab, WEB4)
    with lab.count("web") as came:
        assert NONE == reach_by_all(lab, WEB6)
    assert [0] == came


@pytest.mark.parametrize(
    ("mode", "reported", "dropped"),
    [("bypass", False, False), ("alert", True, False), ("enforce", False, True), ("both", True, True)],
)
def test_modes(lab: Lab, enforcer: Enforcer, mode: str, reported: bool, dropped: bool) -> None:
    enforcer.use(f"cidr_mode: {mode}\nrules: [{{cidr: 10.99.3.0/24, policy: deny}}]")
    assert (NONE if dropped else ALL) == reach_by_all(lab, WEB4)
    assert reported == enforcer.wait(lambda: bool(enforcer.drops), 5.0 if reported else 0.2)
    for drop in enforcer.drops:
        assert ("dropip", dropped) == (drop.kind, drop.enforced)


def test_udp_senders_see_no_error(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"cidr_mode: enforce\nrules: [{{cidr: {WEB4}, policy: deny}}]")
    # "send: ..." would be an error of the call itself.
    assert "unreachable" == lab.client.ask("udp", address=WEB4)


def test_large_datagrams_pass_and_are_denied_whole(lab: Lab, enforcer: Enforcer) -> None:
    for address in (WEB4, WEB6):
        assert "hhhhh" == lab.client.ask("udp", address=address, size=20000)
    enforcer.use(f"rules: [{{cidr: {WEB4}, policy: deny}}, {{cidr: '{WEB6}', policy: deny}}]")
    with lab.count("web") as came:
        for address in (WEB4, WEB6):
            assert "unreachable" == lab.client.ask("udp", address=address, size=20000)
    assert [0] == came


def test_what_comes_in_is_judged_too(lab: Lab, enforcer: Enforcer) -> None:
    port = lab.client.ask("listen_udp", key="in", port=7777)
    lab.dns.ask("forge", **{"from": 9000, "to": IPV4["client"], "port": port, "data": "00"})
    assert lab.client.ask("take", key="in")
    enforcer.use(f"rules: [{{cidr: {IPV4['dns']}, policy: deny}}]\ni_know: true")
    lab.dns.ask("forge", **{"from": 9000, "to": IPV4["client"], "port": port, "data": "00"})
    assert not lab.client.ask("take", key="in")


def test_drops_are_counted_not_told_one_by_one(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"rules: [{{cidr: {WEB4}, policy: deny}}]")
    for _ in range(50):
        lab.client.ask("udp", address=WEB4, timeout_s=0.001)
    first = enforcer.one("dropip")
    assert (f"cidr: {WEB4}/32, policy: deny", "rule", 1) == (first.rule, first.source, first.count)
    assert ("udp", 4, True, WEB4, 80) == (
        first.protocol,
        first.ip_version,
        first.egress,
        first.remote,
        first.remote_port,
    )
    assert first.process is not None
    assert lab.client.ask("pid") == first.process.pid
    assert not enforcer.wait(lambda: len(enforcer.drops) > 1, 0.2)
    assert enforcer.counter("dropped") >= 50
    assert [] == list(enforcer.policy.unreported())


def test_what_was_not_told_is_told_later(lab: Lab, eager_enforcer: Enforcer) -> None:
    eager_enforcer.use(f"rules: [{{cidr: {WEB4}, policy: deny}}]")
    for _ in range(50):
        lab.client.ask("udp", address=WEB4, timeout_s=0.001)
    told: list[Drop] = []

    def all_told() -> bool:
        told.extend(eager_enforcer.policy.unreported())
        return 50 == sum(drop.count for drop in [*told, *eager_enforcer.drops])

    assert eager_enforcer.wait(all_told)
    assert {("dropip", WEB4, 80, f"cidr: {WEB4}/32, policy: deny")} == {
        (report.kind, report.remote, report.remote_port, report.rule) for report in told
    }
    assert {lab.client.ask("pid")} == {report.process.pid for report in told if report.process is not None}


def test_a_host_that_comes_to_be_cut_off_is_told_of(lab: Lab, enforcer: Enforcer) -> None:
    whole, enforcer.host = enforcer.host, Host()
    with capture_logs() as said:
        enforcer.use("cidr_policy: deny\nrules: [{cidr: 10.99.2.0/24, policy: allow}]")
    assert ["network policy: this host has no gateway or no resolver that it could be cut off from"] == [
        line["event"] for line in said
    ]
    enforcer.host = whole
    with capture_logs() as said:
        enforcer.policy.refresh()
        enforcer.policy.refresh()
    assert [("warning", ["10.99.1.1 (the default gateway)", "fd99:2::2 (a resolver)"])] == [
        (line["log_level"], line["denied"]) for line in said
    ]


@pytest.mark.parametrize(
    "text", ["rules: []", "cidr_policy: deny\ni_know: true", "cidr_mode: alert\ncidr_policy: deny"]
)
def test_nothing_is_told_where_nobody_can_be_cut_off(lab: Lab, enforcer: Enforcer, text: str) -> None:
    whole, enforcer.host = enforcer.host, Host()
    with capture_logs() as said:
        enforcer.use(text)
        enforcer.host = whole
        enforcer.policy.refresh()
    assert [] == said


def test_resolvers_stay_while_the_host_has_none(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use("rules: [{domain: web.test, policy: deny}]")
    enforcer.host = Host()
    enforcer.policy.refresh()
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
