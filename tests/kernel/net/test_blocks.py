"""Runtime blocks: they hold at once, end when they should, and nobody is cut off by them."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from raqib.errors import RefusedError
from raqib.model import clock
from raqib.model.clock import boottime_ns
from raqib.netpolicy.blocks import ADMINISTRATOR, Blocks
from raqib.netpolicy.guards import Guards
from raqib.netpolicy.host import Host
from raqib.netpolicy.sockets import Reaper
from raqib.netpolicy.tables import Tables
from tests.kernel.net.enforcing import OWNER, WAIT_S, Enforcer
from tests.kernel.net.lab import IPV4, IPV6, Actor, Lab

WEB4, WEB6, ONLY6 = IPV4["web"], IPV6["web"], IPV6["web6"]
ADDRESSES = pytest.mark.parametrize("address", [WEB4, WEB6], ids=["ipv4", "ipv6"])
CUT_NS = 50_000_000
SOON_NS = 100_000_000
TRIES = 20
"""Far above what it takes, 5 ms, for machines that do other things too."""


@ADDRESSES
def test_a_block_holds_until_it_is_taken_off(lab: Lab, enforcer: Enforcer, address: str) -> None:
    assert enforcer.blocks.block(address, **OWNER)
    assert not enforcer.blocks.block(address, **OWNER)
    with lab.count("web") as came:
        assert "unreachable" == lab.client.ask("tcp", address=address)
        assert "unreachable" == lab.client.ask("udp", address=address)
        assert not lab.client.ask("ping", address=address)
    assert [0] == came
    told = enforcer.one("dropip")
    assert ("block", f"block of {address} by recipe: a test", True) == (told.source, told.rule, told.enforced)
    assert enforcer.blocks.unblock(address, by="recipe")
    assert not enforcer.blocks.unblock(address, by="recipe")
    assert "hello" == lab.client.ask("tcp", address=address)


@pytest.mark.parametrize("network", ["10.99.3.0/24", "fd99:3::/64"])
def test_a_block_is_stronger_than_any_rule(lab: Lab, enforcer: Enforcer, network: str) -> None:
    address = WEB6 if ":" in network else WEB4
    enforcer.use(f"cidr_mode: bypass\nrules: [{{cidr: '{address}', policy: allow}}]")
    enforcer.blocks.block(network, **OWNER)
    assert "unreachable" == lab.client.ask("tcp", address=address)
    enforcer.blocks.unblock(network, by="recipe")
    assert "hello" == lab.client.ask("tcp", address=address)


@ADDRESSES
def test_a_block_ends_by_itself(lab: Lab, enforcer: Enforcer, address: str) -> None:
    late_ns: list[int] = []
    # On a busy machine the client may come late to see it, but not each time.
    while not late_ns or late_ns[-1] > SOON_NS:
        assert len(late_ns) < TRIES, late_ns
        end = boottime_ns() + 400_000_000
        enforcer.blocks.block(address, **OWNER, until_ns=end)
        late_ns.append(lab.client.ask("until_reached", address=address) - end)
        assert 0 <= late_ns[-1]
        assert () == enforcer.blocks.list()


def test_what_has_ended_is_taken_away_and_counts_no_more(lab: Lab, enforcer: Enforcer) -> None:
    tables, soon = enforcer.policy.tables, boottime_ns() + 200_000_000
    enforcer.blocks.block("192.0.2.0/24", **OWNER)
    enforcer.blocks.block("192.0.2.1", **OWNER, until_ns=soon)
    enforcer.blocks.block_domain("bad.example", **OWNER, until_ns=soon)
    enforcer.policy.refresh()
    assert [2, 1, 1] == [len(tables.blocks.walk()), len(tables.domain_blocks.walk()), tables.switch().domain_blocks]
    before = tables.switch().generation
    enforcer.policy.refresh()
    assert before == tables.switch().generation
    time.sleep(0.25)
    enforcer.policy.refresh()
    assert [1, 0, 0] == [len(tables.blocks.walk()), len(tables.domain_blocks.walk()), tables.switch().domain_blocks]
    assert before < tables.switch().generation
    assert ["192.0.2.0/24"] == [block.target for block in enforcer.blocks.list()]


def test_one_that_has_ended_is_not_counted(enforcer: Enforcer) -> None:
    enforcer.blocks.block_domain("bad.example", **OWNER, until_ns=1)
    assert 0 == enforcer.policy.tables.switch().domain_blocks


def test_one_that_is_prolonged_while_it_is_taken_away_stays(
    enforcer: Enforcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks, table = enforcer.blocks, enforcer.policy.tables.blocks
    blocks.block(WEB4, **OWNER, until_ns=1)
    walk = table.walk

    def walked() -> list[Any]:
        found = walk()
        monkeypatch.setattr(table, "walk", walk)
        blocks.block(WEB4, **OWNER)
        return found

    monkeypatch.setattr(table, "walk", walked)
    enforcer.policy.refresh()
    assert [WEB4] == [block.target for block in blocks.list()]


def test_one_that_has_ended_does_not_hide_a_wider_one(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.blocks.block("10.99.3.0/24", **OWNER)
    enforcer.blocks.block("10.99.3.0/30", **OWNER, until_ns=1)
    enforcer.blocks.block(WEB4, **OWNER, until_ns=1)
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)


def test_a_block_is_prolonged_never_shortened(lab: Lab, enforcer: Enforcer) -> None:
    soon, later = boottime_ns() + 10**10, boottime_ns() + 10**11
    ends = []
    for until in (soon, later, soon, None, soon):
        enforcer.blocks.block(WEB4, **OWNER, until_ns=until)
        ends.append(enforcer.blocks.list()[0].end_ns)
    assert [soon, later, later, None, None] == ends


def test_blocks_are_listed_with_owner_and_reason(enforcer: Enforcer) -> None:
    enforcer.blocks.block("192.0.2.0/24", owner="one", reason="ü" * 300)
    enforcer.blocks.block("2001:db8::1", owner="two", reason="second")
    enforcer.blocks.block_domain("Bad.Example.", owner="three", reason="third")
    listed = enforcer.blocks.list()
    assert ["192.0.2.0/24", "2001:db8::1", "bad.example"] == [entry.target for entry in listed]
    assert ["network", "network", "domain"] == [entry.kind for entry in listed]
    assert ["one", "two", "three"] == [entry.owner for entry in listed]
    assert ["ü" * 95, "second", "third"] == [entry.reason for entry in listed]
    assert 3 == enforcer.blocks.clear()
    assert () == enforcer.blocks.list()


def test_an_administrators_block_is_his_own(enforcer: Enforcer) -> None:
    enforcer.blocks.block("192.0.2.1", owner=ADMINISTRATOR, reason="")
    with pytest.raises(RefusedError, match="administrator"):
        enforcer.blocks.unblock("192.0.2.1", by="recipe")
    assert enforcer.blocks.unblock("192.0.2.1", by=ADMINISTRATOR)


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        (IPV4["client"], "an address of this host"),
        ("10.99.1.1", "the default gateway"),
        ("10.99.1.0/24", "10.99.1"),
        (IPV4["dns"], "a resolver"),
        (IPV6["dns"], "a resolver"),
        ("fd99:2::/64", "a resolver"),
        ("10.0.0.0/8", "too wide"),
        ("2001:db8::/32", "too wide"),
        ("0.0.0.0/0", "too wide"),
        ("203.0.113.0/24", "protected"),
        ("nonsense", "expected an address"),
    ],
)
def test_what_must_not_be_blocked(lab: Lab, network: str, why: str, guarded_enforcer: Enforcer) -> None:
    with pytest.raises(RefusedError, match=why):
        guarded_enforcer.blocks.block(network, **OWNER)
    assert () == guarded_enforcer.blocks.list()


@pytest.mark.parametrize("domain", ["com", "", "*.example.com", "no good.example", "a..b"])
def test_domains_that_must_not_be_blocked(enforcer: Enforcer, domain: str) -> None:
    with pytest.raises(RefusedError):
        enforcer.blocks.block_domain(domain, **OWNER)


def test_a_blocked_domain_does_not_resolve(lab: Lab, enforcer: Enforcer) -> None:
    enforcer.blocks.block_domain("web.test", **OWNER)
    assert "unreachable" == lab.client.ask("resolve", name="www.web.test")
    assert "unreachable" == lab.client.ask("resolve", name="web.test", over="tcp")
    assert [] == lab.dns.ask("queries")
    told = enforcer.one("dropdomain")
    assert ("block of web.test by recipe: a test", "www.web.test") == (told.rule, told.name)
    assert enforcer.blocks.unblock_domain("web.test", by="recipe")
    assert [WEB4] == lab.client.ask("resolve", name="web.test")


@ADDRESSES
def test_what_a_blocked_domain_was_resolved_to_before_is_cut(lab: Lab, naming_enforcer: Enforcer, address: str) -> None:
    enforcer = naming_enforcer
    lab.answers(www__web__test=[["CNAME", "web.test", 60], ["A", WEB4, 60]], web__test=[["AAAA", WEB6, 60]])
    enforcer.resolved(lab.client, "www.web.test", WEB4)
    enforcer.resolved(lab.client, "web.test", WEB6, kind=28)
    client = lab.new_client()
    client.ask("opened", key="open", address=address, port=80)
    client.ask("opened", key="other", address=ONLY6, port=80)
    assert enforcer.blocks.block_domain("web.test", **OWNER)
    enforcer.reaped()
    assert "ConnectionAbortedError" == client.ask("hello", key="open")
    assert "hello" == client.ask("hello", key="other")
    with lab.count("web") as came:
        assert "unreachable" == client.ask("tcp", address=address)
        assert "unreachable" == client.ask("udp", address=address)
    assert [0] == came
    told = enforcer.one("dropip")
    assert ("domain_block", "block of web.test by recipe: a test") == (told.source, told.rule)
    assert enforcer.blocks.unblock_domain("web.test", by="recipe")
    assert "hello" == client.ask("tcp", address=address)


def test_it_is_open_again_when_the_block_ends_and_not_before(lab: Lab, naming_enforcer: Enforcer) -> None:
    naming_enforcer.resolved(lab.client, "web.test", WEB4)
    until = boottime_ns()
    for more_ns in (100_000_000, 400_000_000):
        naming_enforcer.blocks.block_domain("web.test", **OWNER, until_ns=until + more_ns)
    assert "unreachable" == lab.client.ask("tcp", address=WEB4, timeout_s=0.05)
    reached = lab.client.ask("until_reached", address=WEB4)
    assert 0 <= reached - until - 400_000_000 < 100_000_000


def test_what_must_not_be_blocked_stays_reachable_by_any_name(lab: Lab, naming_enforcer: Enforcer) -> None:
    lab.answers(trap__example=[["A", IPV4["dns"], 60], ["A", WEB4, 60]])
    naming_enforcer.resolved(lab.client, "trap.example", IPV4["dns"], WEB4)
    naming_enforcer.blocks.block_domain("trap.example", **OWNER)
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert [IPV4["dns"], WEB4] != lab.client.ask("resolve", name="trap.example")
    lab.answers(good__example=[["A", WEB4, 60]])
    assert [WEB4] == lab.client.ask("resolve", name="good.example")


def test_blocks_that_others_put_there_are_caught_up_with(lab: Lab, naming_enforcer: Enforcer) -> None:
    enforcer = naming_enforcer
    enforcer.resolved(lab.client, "web.test", WEB4)
    enforcer.policy.follow()
    others = Blocks(Tables(enforcer.sensor.bpf), Guards(Host))
    for domain in ("web.test", "www.web.test"):
        others.block_domain(domain, owner=ADMINISTRATOR, reason="")
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    enforcer.policy.follow()
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    assert others.unblock_domain("web.test", by=ADMINISTRATOR)
    assert "hello" == lab.client.ask("tcp", address=WEB4)
    enforcer.policy.follow()
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_of_two_blocked_domains_with_one_address_one_is_enough(lab: Lab, naming_enforcer: Enforcer) -> None:
    enforcer = naming_enforcer
    lab.answers(one__example=[["A", WEB4, 60]], two__example=[["A", WEB4, 60]])
    enforcer.resolved(lab.client, "one.example", WEB4)
    enforcer.resolved(lab.client, "two.example", WEB4)
    for domain in ("one.example", "two.example"):
        enforcer.blocks.block_domain(domain, **OWNER)
    for domain, expected in (("one.example", "unreachable"), ("two.example", "hello")):
        enforcer.blocks.unblock_domain(domain, by="recipe")
        assert expected == lab.client.ask("tcp", address=WEB4)


def test_the_same_where_somebody_else_takes_one_off(lab: Lab, naming_enforcer: Enforcer) -> None:
    enforcer = naming_enforcer
    lab.answers(one__example=[["A", WEB4, 60]], two__example=[["A", WEB4, 60]])
    enforcer.resolved(lab.client, "one.example", WEB4)
    enforcer.resolved(lab.client, "two.example", WEB4)
    others = Blocks(Tables(enforcer.sensor.bpf), Guards(Host))
    for domain in ("one.example", "two.example"):
        others.block_domain(domain, **OWNER)
    enforcer.policy.follow()
    for domain, expected in (("one.example", "unreachable"), ("two.example", "hello")):
        others.unblock_domain(domain, by="recipe")
        enforcer.policy.follow()
        assert expected == lab.client.ask("tcp", address=WEB4)


def test_addresses_that_a_chain_leads_to_from_a_blocked_domain(lab: Lab, enforcer: Enforcer) -> None:
    lab.answers(start__example=[["CNAME", "web.test", 60], ["A", WEB4, 60]])
    enforcer.blocks.block_domain("web.test", **OWNER)
    assert [WEB4] == lab.client.ask("resolve", name="start.example")
    assert "unreachable" == lab.client.ask("tcp", address=WEB4)
    enforcer.blocks.unblock_domain("web.test", by="recipe")
    assert "hello" == lab.client.ask("tcp", address=WEB4)


def test_the_block_of_a_domain_ends_by_itself(lab: Lab, enforcer: Enforcer) -> None:
    for wait_ns in (300_000_000, 3_000_000_000, 10_000_000_000):
        until_ns = boottime_ns() + wait_ns
        enforcer.blocks.block_domain("web.test", **OWNER, until_ns=until_ns)
        answer = lab.client.ask("resolve", name="web.test")
        # On a busy machine the question may come too late.
        if boottime_ns() < until_ns:
            break
    assert "unreachable" == answer
    assert enforcer.wait(lambda: [WEB4] == lab.client.ask("resolve", name="web.test"))


@ADDRESSES
def test_an_open_transfer_is_cut(lab: Lab, enforcer: Enforcer, address: str) -> None:
    took_ns: list[int] = []
    # On a busy machine the client may not run when the connection is cut, but not each time.
    while not took_ns or took_ns[-1] >= CUT_NS:
        assert len(took_ns) < TRIES, took_ns
        took_ns.append(cut_transfer(lab, enforcer, address))
        enforcer.blocks.unblock(address, by="recipe")


def cut_transfer(lab: Lab, enforcer: Enforcer, address: str) -> int:
    """Block an address from which a transfer runs; return how long after the call something still came, in ns."""
    client = lab.new_client()
    assert client.ask("opened", key="transfer", address=address)
    client.ask("reading", key="transfer")
    assert enforcer.wait(lambda: 10_000_000 < client.ask("read_so_far", key="transfer")["bytes"])
    before = enforcer.counter("destroyed")
    began_ns = time.monotonic_ns()
    enforcer.blocks.block(address, **OWNER)
    done = client.ask("read_so_far", key="transfer", wait=True)
    # The connection is told, and from the call on nothing came for longer than it may take.
    assert "ConnectionAbortedError" == done["end"]
    assert enforcer.wait(lambda: before < enforcer.counter("destroyed"))
    return int(done["last_ns"]) - began_ns


def test_the_peer_of_a_cut_connection_hears_of_it(lab: Lab, enforcer: Enforcer) -> None:
    client = lab.new_client()
    client.ask("opened", key="quiet", address=WEB4, port=80)
    assert "hello" == client.ask("hello", key="quiet")
    with lab.count("web") as came:
        enforcer.blocks.block(WEB4, **OWNER)
        enforcer.reaped()
    assert "ConnectionAbortedError" == client.ask("hello", key="quiet")
    # The reset, and nothing else.
    assert [1] == came


@ADDRESSES
def test_the_same_by_netlink(lab: Lab, enforcer: Enforcer, address: str) -> None:
    """As on kernels before 6.5."""
    other = ONLY6
    client = lab.new_client()
    client.ask("opened", key="quiet", address=address, port=80)
    client.ask("opened", key="other", address=other, port=80)
    enforcer.policy.reaper.close()
    with lab.count("web") as came:
        enforcer.blocks.block(address, **OWNER)
        reaper = Reaper(enforcer.sensor.bpf, by_program=False)
        reaper.start()
        assert reaper.wait(reaper.request(), 5.0)
        reaper.close()
    assert "ConnectionAbortedError" == client.ask("hello", key="quiet")
    assert [1] == came
    assert "hello" == client.ask("hello", key="other")


def test_other_connections_go_on(lab: Lab, enforcer: Enforcer) -> None:
    client = lab.new_client()
    client.ask("opened", key="other", address=ONLY6, port=80)
    enforcer.blocks.block(WEB4, **OWNER)
    enforcer.reaped()
    assert "hello" == client.ask("hello", key="other")


def test_which_names_are_denied(enforcer: Enforcer) -> None:
    enforcer.use("rules: [{domain: bad.example, policy: deny}, {domain: good.bad.example, policy: allow}]")
    enforcer.blocks.block_domain("blocked.good.bad.example", **OWNER)
    denied = {"bad.example", "x.BAD.example.", "blocked.good.bad.example", "x.blocked.good.bad.example"}
    allowed = {"good.bad.example", "x.good.bad.example", "example", "other.example", "", "..", "\xff\u0000.example"}
    assert denied == {address for address in denied | allowed if enforcer.policy.denies(address)}
    enforcer.use("resolve_policy: deny")
    assert enforcer.policy.denies("other.example")


def test_its_times_are_the_same_at_every_look(enforcer: Enforcer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if a look at two clocks is torn apart, if the host slept, and if somebody set the calendar in between."""
    before = time.time_ns()
    enforcer.blocks.block(WEB4, **OWNER, until_ns=boottime_ns() + 3600 * 10**9)
    after = time.time_ns()
    first = enforcer.blocks.list()[0]
    assert before <= first.created_epoch_ns <= after
    for late_ns in (0, 1, 40_000_000, -40_000_000):
        monkeypatch.setattr(clock, "boottime_ns", lambda late_ns=late_ns: boottime_ns() + late_ns)
        look = enforcer.blocks.list()[0]
        assert (first.created, first.end) == (look.created, look.end)
    assert first.end is not None
    hour_later = datetime.fromisoformat(first.end) + timedelta(hours=1)
    monkeypatch.setattr(clock, "boottime_ns", lambda: boottime_ns() - 3600 * 10**9)
    look = enforcer.blocks.list()[0]
    # The calendar was set an hour ahead: it was made when it was made, and ends as long from now as before.
    assert first.created == look.created
    assert look.end is not None
    assert hour_later == datetime.fromisoformat(look.end)


def test_how_often_a_block_was_renewed_is_kept(enforcer: Enforcer) -> None:
    soon = boottime_ns() + 10**11
    for until in (soon, soon + 1, soon, soon + 2):
        enforcer.blocks.block("192.0.2.1", **OWNER, until_ns=until)
        enforcer.blocks.block_domain("bad.example", **OWNER, until_ns=until)
    assert [2, 2] == [block.renewals for block in enforcer.blocks.list()]
    found = enforcer.blocks.find("192.0.2.1/32")
    assert found is not None
    assert (soon + 2, 2) == (found.end_ns, found.renewals)
    assert enforcer.blocks.find("BAD.example.") is not None
    assert enforcer.blocks.find("192.0.2.0/24") is None
    assert enforcer.blocks.find("no domain") is None


@pytest.mark.parametrize("by_program", [None, False], ids=["as this kernel can", "netlink"])
def test_connections_of_others_than_the_policys_cgroup_go_on(
    lab: Lab, enforcer: Enforcer, by_program: bool | None
) -> None:
    """Their packets are none of the policy's business either."""
    client = lab.new_client()
    enforcer.policy.reaper.close()
    reaper = Reaper(enforcer.sensor.bpf, by_program=by_program)
    reaper.start()
    with closing(reaper), closing(Actor(lab.namespace("client"), "act.py")) as beside:
        beside.ask("opened", key="beside", address=WEB4, port=80)
        client.ask("opened", key="within", address=WEB4, port=80)
        enforcer.blocks.block(WEB4, **OWNER)
        assert reaper.wait(reaper.request(), WAIT_S)
        assert "hello" == beside.ask("hello", key="beside")
        assert "ConnectionAbortedError" == client.ask("hello", key="within")
