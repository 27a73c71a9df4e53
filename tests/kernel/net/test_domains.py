"""Names: questions that must not leave, and addresses that are unreachable from the moment their answer arrives."""

from __future__ import annotations

from collections.abc import Callable
from socket import inet_aton

import pytest

from raqib.netpolicy.host import Host
from tests.kernel.net.enforcing import Enforcer
from tests.kernel.net.lab import IPV4, IPV6, Lab

WEB4, WEB6, ONLY6 = IPV4["web"], IPV6["web"], IPV6["web6"]
DNS4, DNS6 = IPV4["dns"], IPV6["dns"]
A, AAAA, HTTPS = 1, 28, 65
RESOLVERS = pytest.mark.parametrize("server", [DNS4, DNS6], ids=["ipv4", "ipv6"])
TRANSPORTS = pytest.mark.parametrize("over", ["udp", "tcp"])
MakeEnforcer = Callable[..., Enforcer]
DENY = "rules: [{domain: web.test, policy: deny}]"


@RESOLVERS
@TRANSPORTS
def test_an_allowed_name_resolves(lab: Lab, enforcer: Enforcer, server: str, over: str) -> None:
    enforcer.use(f"resolve_mode: both\n{DENY}")
    assert [ONLY6] == lab.client.ask("resolve", name="web6.test", server=server, kind=AAAA, over=over)
    assert "hello" == lab.client.ask("tcp", address=ONLY6)


@RESOLVERS
@TRANSPORTS
@pytest.mark.parametrize("name", ["web.test", "WEB.Test", "a.b.web.test"])
def test_a_denied_question_never_leaves(lab: Lab, enforcer: Enforcer, server: str, over: str, name: str) -> None:
    enforcer.use(f"resolve_mode: enforce\n{DENY}")
    assert "unreachable" == lab.client.ask("resolve", name=name, server=server, over=over)
    assert [] == lab.dns.ask("queries")


def test_of_a_denied_question_the_server_receives_no_packet(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"resolve_mode: enforce\n{DENY}")
    with lab.count("dns") as came:
        assert "unreachable" == lab.client.ask("resolve", name="web.test")
    assert [0] == came


def test_any_server_on_port_53_is_kept_from_a_denied_question(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"resolve_mode: enforce\n{DENY}")
    with lab.count("web") as came:
        lab.client.ask("resolve", name="web.test", server=WEB4)
    assert [0] == came


def test_the_longest_name_decides(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(good__web__test=[["A", WEB4, 60]], bad__good__web__test=[["A", WEB4, 60]])
    enforcer.use(
        "resolve_mode: enforce\nrules: [{domain: test, policy: deny}, {domain: good.web.test, policy: allow}, "
        "{domain: bad.good.web.test, policy: deny}]"
    )
    assert [WEB4] == lab.client.ask("resolve", name="good.web.test")
    assert [WEB4] == lab.client.ask("resolve", name="good.web.test")
    for name in ("web.test", "bad.good.web.test", "x.bad.good.web.test"):
        assert "unreachable" == lab.client.ask("resolve", name=name)
    # No rule names it.
    assert [] == lab.client.ask("resolve", name="other.example")


def test_what_no_rule_names(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use("resolve_mode: enforce\nresolve_policy: deny\nrules: [{domain: web6.test, policy: allow}]")
    assert "unreachable" == lab.client.ask("resolve", name="web.test")
    assert [ONLY6] == lab.client.ask("resolve", name="web6.test", kind=AAAA)


@pytest.mark.parametrize(
    ("mode", "reported", "dropped"),
    [("bypass", False, False), ("alert", True, False), ("enforce", False, True), ("both", True, True)],
)
def test_modes(lab: Lab, enforcer: Enforcer, mode: str, reported: bool, dropped: bool) -> None:
    enforcer.use(f"resolve_mode: {mode}\n{DENY}")
    assert ("unreachable" if dropped else [WEB4]) == lab.client.ask(
        "resolve", name="Sub.web.test" if dropped else "web.test"
    )
    assert reported == enforcer.wait(lambda: bool(enforcer.drops), 5.0 if reported else 0.2)
    for drop in enforcer.drops:
        assert ("dropdomain", dropped, "domain: web.test, policy: deny") == (drop.kind, drop.enforced, drop.rule)
        assert ("sub.web.test" if dropped else "web.test") == drop.name
        assert drop.process is not None
        assert lab.client.ask("pid") == drop.process.pid


@TRANSPORTS
@RESOLVERS
def test_addresses_of_a_denied_name_are_unreachable(lab: Lab, enforcer: Enforcer, server: str, over: str) -> None:
    enforcer.use(DENY)
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    assert [WEB4] == lab.client.ask("resolve", name="web.test", server=server, over=over)
    assert [WEB6] == lab.client.ask("resolve", name="web.test", kind=AAAA, server=server, over=over)
    with lab.count("web") as came:
        for address in (WEB4, WEB6):
            assert "unreachable" == lab.client.ask("tcp", address=address)
            assert "unreachable" == lab.client.ask("udp", address=address)
            assert not lab.client.ask("ping", address=address)
    assert [0] == came
    told = enforcer.one("dropip")
    assert ("domain", "domain: web.test, policy: deny") == (told.source, told.rule)


def test_that_is_subject_to_the_mode_of_networks(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"cidr_mode: alert\n{DENY}")
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    told = enforcer.one("dropip")
    assert ("domain", False) == (told.source, told.enforced)


@pytest.mark.parametrize("name", ["start.example", "middle.example", "end.web.test"])
def test_a_chain_counts_whole(lab: Lab, enforcer: Enforcer, name: str) -> None:
    chain = [["CNAME", "middle.example", 60], ["CNAME", "end.web.test", 60], ["A", WEB4, 60]]
    lab.answers(start__example=chain)
    enforcer.use(f"rules: [{{domain: {name}, policy: deny}}]")
    assert [WEB4] == lab.client.ask("resolve", name="start.example")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_an_address_before_its_chain(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(start__example=[["A", WEB4, 60], ["CNAME", "web.test", 60]])
    enforcer.use(DENY)
    assert [WEB4] == lab.client.ask("resolve", name="start.example")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_hints_are_addresses_too(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(web__test=[["HTTPS", WEB4, 60], ["HTTPS", WEB6, 60]])
    enforcer.use(DENY)
    lab.client.ask("resolve", name="web.test", kind=HTTPS)
    for address in (WEB4, WEB6):
        assert "unreachable" == lab.client.ask("tcp", address=address)


def test_an_allowed_name_opens_its_addresses(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(web__test=[["CNAME", "elsewhere.example", 60], ["A", WEB4, 60], ["AAAA", WEB6, 60]])
    enforcer.use(
        f"cidr_policy: deny\nrules: [{{domain: web.test, policy: allow}}, {{cidr: 10.99.1.1, policy: allow}}, "
        f"{{cidr: {DNS4}, policy: allow}}, {{cidr: '{DNS6}', policy: allow}}]"
    )
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    # Its other address has not been answered yet.
    assert "unreachable" == lab.client.ask("tcp", address=WEB6)


def test_deny_is_stronger_for_an_address_that_serves_both(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(web__test=[["A", WEB4, 60]], good__example=[["A", WEB4, 60]])
    enforcer.use("rules: [{domain: web.test, policy: deny}, {domain: good.example, policy: allow}]")
    for name in ("good.example", "web.test", "good.example"):
        assert [WEB4] == lab.client.ask("resolve", name=name)
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_a_rule_for_just_the_address_is_its_equal(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"rules: [{{domain: web.test, policy: deny}}, {{cidr: {WEB4}, policy: allow}}]")
    lab.client.ask("resolve", name="web.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    enforcer.use(f"rules: [{{domain: web.test, policy: allow}}, {{cidr: {WEB4}, policy: deny}}]")
    lab.client.ask("resolve", name="web.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_addresses_age(lab: Lab, short_enforcer: Enforcer) -> None:
    lab.answers(web__test=[["A", WEB4, 1]])
    short_enforcer.use(DENY)
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert 0 < lab.client.ask("until_reached", address=WEB4)


def test_an_open_connection_outlives_the_time_to_live(lab: Lab, short_enforcer: Enforcer) -> None:
    lab.answers(web__test=[["A", WEB4, 1]])
    short_enforcer.use(
        f"cidr_policy: deny\nrules: [{{domain: web.test, policy: allow}}, {{cidr: 10.99.1.1, policy: allow}}, "
        f"{{cidr: {DNS4}, policy: allow}}, {{cidr: '{DNS6}', policy: allow}}]"
    )
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    lab.client.ask("opened", key="long", address=WEB4, port=80)
    assert short_enforcer.wait(lambda: "unreachable" == lab.client.ask("tcp", address=WEB4), 10.0)
    assert "hello" == lab.client.ask("hello", key="long")


def test_answers_that_nobody_asked_for_block_nothing(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(DENY)
    port = lab.client.ask("listen_udp", key="victim", port=7778)
    name = b"\x03web\x04test\x00".hex()
    forged = f"123481800001000100000000{name}00010001c00c000100010000003c0004" + bytes([10, 99, 3, 2]).hex()
    lab.dns.ask("forge", **{"from": 53, "to": IPV4["client"], "port": port, "data": forged})
    assert enforcer.wait(lambda: enforcer.counter("dns_unasked") == 1)
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_other_servers_answers_block_nothing(lab: Lab, short_enforcer: Enforcer) -> None:
    short_enforcer.use(DENY)
    short_enforcer.policy.tables.set_resolvers([])
    assert [WEB4] == lab.client.ask("resolve", name="web.test")
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_a_question_in_pieces_is_dropped_where_resolution_is_enforced(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use(f"resolve_mode: enforce\n{DENY}")
    assert "unreachable" == lab.client.ask("resolve", name="web.test", over="tcp", split=True)
    assert [] == lab.dns.ask("queries")
    assert enforcer.counter("dns_partial") > 0


@pytest.mark.parametrize("split", [False, True], ids=["whole", "in pieces"])
def test_an_answer_in_pieces_to_a_denied_question_is_not_let_in(lab: Lab, enforcer: Enforcer, split: bool) -> None:
    lab.dns.ask("pieces", size=40)
    enforcer.use(DENY)
    answer = lab.client.ask("resolve", name="web.test", over="tcp", split=split, timeout_s=1.0)
    assert 0 < enforcer.counter("dns_partial")
    # Once it is not acknowledged, the server may send it again in one piece; then it is read.
    expected = {"unreachable": "hello"}.get(str(answer), "unreachable")
    assert expected == lab.client.ask("tcp", address=WEB4)
    # To another question it is.
    assert [ONLY6] == lab.client.ask("resolve", name="web6.test", kind=AAAA, over="tcp")


@pytest.mark.parametrize("count", [1, 900])
def test_all_addresses_of_long_answers_count(lab: Lab, enforcer: Enforcer, count: int) -> None:
    records = [["A", f"10.98.{number >> 8}.{number & 255}", 60] for number in range(count)]
    lab.answers(web__test=[*records, ["A", WEB4, 60]])
    enforcer.use(DENY)
    assert count + 1 == len(lab.client.ask("resolve", name="web.test", timeout_s=2.0))
    assert count + 1 == sum(1 for _ in enforcer.policy.tables.learned.entries())
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_answers_that_are_far_too_long_are_not_let_in(lab: Lab, enforcer: Enforcer, over: str) -> None:
    records = [["A", f"10.98.{number >> 8}.{number & 255}", 60] for number in range(4000)]
    lab.answers(web__test=[["A", WEB4, 60], *records])
    enforcer.use(DENY)
    assert "unreachable" == lab.client.ask("resolve", name="web.test", over=over, timeout_s=1.0)
    assert "hello" == lab.client.ask("tcp", address=WEB4)


@pytest.mark.parametrize(
    "records",
    [
        # A pointer to itself, a pointer forwards, a length beyond the end, more records than there are.
        "123481800001000100000000{name}00010001c01a000100010000003c00040a630302",
        "123481800001000100000000{name}00010001c0ff000100010000003c00040a630302",
        "123481800001000100000000{name}00010001c00c000100010000003cffff0a630302",
        "12348180000100ff00000000{name}00010001c00c000100010000003c00040a630302",
        "12348180000100010000000003",
    ],
)
def test_malformed_answers_do_no_harm(lab: Lab, enforcer: Enforcer, records: str) -> None:
    name = b"\x03web\x04test\x00".hex()
    lab.dns.ask("raw", names={"web.test": records.replace("{name}", name)})
    enforcer.use(DENY)
    assert "unreachable" == lab.client.ask("resolve", name="web.test")
    assert enforcer.wait(lambda: enforcer.counter("dns_malformed") == 1)
    assert [ONLY6] == lab.client.ask("resolve", name="web6.test", kind=AAAA)


@pytest.mark.slow
def test_there_is_no_window(lab: Lab, enforcer: Enforcer) -> None:
    """Who resolves a denied name and connects at once never gets a packet through."""
    enforcer.use(DENY)
    with lab.count("web") as came:
        done = lab.client.ask("race", name="web.test", tries=10_000)
    assert {"answered": 10_000, "reached": 0} == done
    assert [0] == came


def test_no_answer_cuts_the_host_off(lab: Lab, make_enforcer: MakeEnforcer) -> None:
    """Whoever answers for a denied name may name whatever address he likes."""
    host = Host(gateways=frozenset([inet_aton(WEB4)]), resolvers=frozenset([inet_aton(DNS4)]))
    enforcer = make_enforcer(host=host, protected=[f"{ONLY6}/128"])
    lab.answers(
        web__test=[["A", WEB4, 600], ["A", DNS4, 600], ["A", "127.0.0.1", 600], ["AAAA", ONLY6, 600]],
        web6__test=[["AAAA", ONLY6, 600]],
    )
    enforcer.use(DENY)
    for kind in (A, AAAA):
        lab.client.ask("resolve", name="web.test", kind=kind)
    assert 4 == sum(1 for _ in enforcer.policy.tables.learned.entries())
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    assert "hello" == lab.client.ask("tcp", address=ONLY6)
    assert [ONLY6] == lab.client.ask("resolve", name="web6.test", kind=AAAA)
    # What is a gateway no more is denied, and what becomes one is not.
    enforcer.host = Host()
    enforcer.policy.refresh()
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    enforcer.host = host
    enforcer.policy.refresh()
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_datagrams_that_are_sent_as_one_are_judged_as_one(lab: Lab, enforcer: Enforcer) -> None:
    """The kernel cuts what UDP_SEGMENT joins after everybody has looked at it."""
    enforcer.use(f"resolve_mode: enforce\n{DENY}")
    with lab.count("dns") as came:
        assert "unreachable" == lab.client.ask("resolve_both", names=["web6.test", "web.test"])
    assert [0] == came
    assert [] == lab.dns.ask("queries")


def test_a_policy_does_not_weaken_a_block(lab: Lab, enforcer: Enforcer) -> None:
    """Another name of the same address, which the policy only reports."""
    lab.answers(other__test=[["A", WEB4, 60]], both__test=[["CNAME", "web.test", 60], ["A", WEB4, 60]])
    enforcer.use("cidr_mode: alert\nrules: [{domain: other.test, policy: deny}, {domain: both.test, policy: deny}]")
    enforcer.blocks.block_domain("web.test", owner="test", reason="test")
    assert [WEB4] == lab.client.ask("resolve", name="both.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert [WEB4] == lab.client.ask("resolve", name="other.test")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_ever_new_drops_do_not_fill_the_ring(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.use("rules: [{cidr: 10.200.0.0/16, policy: deny}]")
    lab.client.ask("udp_to_many", network="10.200", count=2000)
    assert enforcer.wait(lambda: len(enforcer.drops) >= 256)
    assert not enforcer.wait(lambda: len(enforcer.drops) > 256, 0.2)
    assert 2000 == sum(1 for _ in enforcer.policy._drops.entries())
