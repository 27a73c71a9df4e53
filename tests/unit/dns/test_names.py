from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from raqib.dns.names import MAX_NAMES, MIN_TTL_S, NameCache
from raqib.model.process import ProcessKey
from tests.unit.dns.test_answer import answer

NS = 10**9
HOST, BOX = 1, 2
CURL, WGET, STUB = ProcessKey(7, 70), ProcessKey(8, 80), ProcessKey(5, 50)


class Clock:
    now_ns = 1000 * NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> NameCache:
    return NameCache(clock=clock)


def tell(
    cache: NameCache,
    *records: str,
    asker: ProcessKey = CURL,
    net_ns: int = HOST,
    at_ns: int = 1000 * NS,
    holder: int | None = None,
) -> None:
    question = records[0].split()[0]
    assert cache.learn(answer(question, *records), asker, net_ns, at_ns, holder=holder) is not None


def test_what_was_asked_for_comes_first_then_the_chain(cache: NameCache) -> None:
    tell(cache, "www.a.org. 300 CNAME b.com.", "b.com. 300 CNAME c.net.", "c.net. 300 A 192.0.2.1")
    assert ("www.a.org", "b.com", "c.net") == cache.names("192.0.2.1", HOST)
    assert () == cache.names("192.0.2.2", HOST)


def test_addresses_below_domains(cache: NameCache, clock: Clock) -> None:
    tell(cache, "www.a.org. 300 CNAME b.com.", "b.com. 300 A 192.0.2.1", "b.com. 300 A 192.0.2.2")
    tell(cache, "b.com. 300 A 192.0.2.1", net_ns=BOX)
    tell(cache, "nota.org. 300 A 192.0.2.3")
    tell(cache, "a.org. 60 A 192.0.2.4")
    found = cache.addresses_below({"a.org", "b.com", "www.a.org", "org.a"})
    assert [("192.0.2.1", "b.com"), ("192.0.2.1", "www.a.org")] == sorted(found)[1:3]
    assert {"192.0.2.1": 3, "192.0.2.2": 3, "192.0.2.4": 1} == Counter(address for address, _ in found)
    clock.now_ns += 100 * NS
    assert {"192.0.2.1", "192.0.2.2"} == {address for address, _ in cache.addresses_below({"a.org"})}
    assert {"192.0.2.1", "192.0.2.2"} == {
        address for address, _ in cache.addresses_below({"a.org", *(f"{number}.org" for number in range(100))})
    }
    assert () == cache.addresses_below(set())


def test_the_latest_answer_comes_first(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 192.0.2.1")
    tell(cache, "b.org. 300 A 192.0.2.1")
    assert ("b.org", "a.org") == cache.names("192.0.2.1", HOST)
    tell(cache, "a.org. 300 A 192.0.2.1")
    assert ("a.org", "b.org") == cache.names("192.0.2.1", HOST)


def test_namespaces_know_nothing_of_each_other(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 10.0.0.1", net_ns=HOST)
    tell(cache, "b.org. 300 A 10.0.0.1", net_ns=BOX)
    assert ("a.org",) == cache.names("10.0.0.1", HOST)
    assert ("b.org",) == cache.names("10.0.0.1", BOX)


def test_what_was_heard_in_a_namespace_that_is_not_known_counts_in_all(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 10.0.0.1", net_ns=0)
    tell(cache, "b.org. 300 A 10.0.0.1", net_ns=HOST, asker=WGET)
    assert ("b.org", "a.org") == cache.names("10.0.0.1", HOST)
    assert ("a.org",) == cache.names("10.0.0.1", BOX)
    assert ("a.org",) == cache.names("10.0.0.1", HOST, CURL)
    assert ("a.org",) == cache.names("10.0.0.1")
    assert (WGET, CURL) == cache.askers("10.0.0.1", HOST)


def test_a_process_that_asked_hears_its_own_names_only(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 192.0.2.1", asker=CURL)
    tell(cache, "b.org. 300 A 192.0.2.1", asker=WGET)
    assert ("a.org",) == cache.names("192.0.2.1", HOST, CURL)
    assert ("b.org",) == cache.names("192.0.2.1", HOST, WGET)
    assert ("b.org", "a.org") == cache.names("192.0.2.1", HOST, STUB)


def test_a_stub_resolver_does_not_hide_who_asked(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 192.0.2.1", asker=STUB)
    tell(cache, "a.org. 300 A 192.0.2.1", asker=CURL)
    assert (CURL, STUB) == cache.askers("192.0.2.1", HOST)


def test_names_age(cache: NameCache, clock: Clock) -> None:
    tell(cache, "a.org. 300 A 192.0.2.1", at_ns=clock.now_ns)
    tell(cache, "b.org. 0 A 192.0.2.1", at_ns=clock.now_ns)
    clock.now_ns += (MIN_TTL_S - 1) * NS
    assert ("b.org", "a.org") == cache.names("192.0.2.1", HOST)
    clock.now_ns += NS
    assert ("a.org",) == cache.names("192.0.2.1", HOST)
    clock.now_ns += 240 * NS
    assert () == cache.names("192.0.2.1", HOST)
    assert 0 == len(cache)


def test_an_answer_never_shortens_what_was_promised(cache: NameCache, clock: Clock) -> None:
    tell(cache, "a.org. 3600 A 192.0.2.1")
    tell(cache, "a.org. 1 A 192.0.2.1")
    clock.now_ns += 3000 * NS
    assert ("a.org",) == cache.names("192.0.2.1", HOST)


def test_it_is_counted_what_messages_were(cache: NameCache) -> None:
    assert cache.learn(b"\0" * 12, CURL, HOST, 0) is None
    tell(cache, "a.org. 300 A 192.0.2.1")
    assert (1, 1, 0) == cache.counters


def test_it_is_bounded_in_entries_and_the_oldest_goes(clock: Clock) -> None:
    cache = NameCache(max_entries=16, clock=clock)
    for number in range(40):
        tell(cache, f"n{number}.org. 300 A 192.0.2.{number}", asker=ProcessKey(number, 1))
    assert 16 == len(cache)
    assert () == cache.names("192.0.2.23", HOST)
    assert ("n24.org",) == cache.names("192.0.2.24", HOST)
    assert 24 == cache.counters.pushed_out


def test_it_is_bounded_in_bytes(clock: Clock) -> None:
    cache = NameCache(max_bytes=10_000, clock=clock)
    label = "x" * 60
    for number in range(100):
        tell(cache, f"{number}.{label}.{label}.{label}. 300 A 192.0.2.{number}", asker=ProcessKey(number, 1))
    assert len(cache) < 15
    assert 1 == len(cache.names("192.0.2.99", HOST))


def test_who_asks_without_end_pushes_out_its_own_names(clock: Clock) -> None:
    cache = NameCache(max_entries=64, clock=clock)
    tell(cache, "a.org. 300 A 192.0.2.1", asker=WGET)
    for number in range(200):
        tell(cache, f"n{number}.org. 300 A 198.51.100.{number}", asker=CURL)
    assert ("a.org",) == cache.names("192.0.2.1", HOST)
    assert 9 == len(cache)


def test_who_asks_by_many_processes_pushes_out_his_own_names(clock: Clock) -> None:
    cache = NameCache(max_entries=64, clock=clock)
    tell(cache, "a.org. 300 A 192.0.2.1", asker=WGET, holder=1)
    for number in range(200):
        tell(cache, f"n{number}.org. 300 A 198.51.100.{number}", asker=ProcessKey(number, 1), holder=2)
    assert ("a.org",) == cache.names("192.0.2.1", HOST)
    assert 9 == len(cache)


def test_long_answers_push_out_their_own(clock: Clock) -> None:
    cache = NameCache(max_bytes=40_000, clock=clock)
    label = "x" * 60
    for number in range(20):
        tell(cache, f"n{number}.org. 300 A 192.0.2.{number}", asker=WGET, holder=1 + number // 4)
    for number in range(200):
        tell(cache, f"{number}.{label}.{label}.{label}. 300 A 198.51.100.{number}", asker=CURL, holder=9)
    assert all(cache.names(f"192.0.2.{number}", HOST) for number in range(20))


def test_asking_the_same_takes_nothing_from_others(clock: Clock) -> None:
    cache = NameCache(max_entries=64, clock=clock)
    tell(cache, "a.org. 300 A 192.0.2.1", asker=WGET, holder=1)
    for other in range(2, 20):
        tell(cache, "a.org. 300 A 192.0.2.1", asker=CURL, holder=other)
        for number in range(10):
            tell(cache, f"n{number}.org. 300 A 198.51.{other}.{number}", asker=CURL, holder=other)
    assert ("a.org",) == cache.names("192.0.2.1", HOST)


def test_who_holds_most_loses_first(clock: Clock) -> None:
    cache = NameCache(max_entries=64, clock=clock)
    tell(cache, "a.org. 300 A 192.0.2.1", asker=WGET, holder=0)
    for number in range(200):
        tell(cache, f"n{number}.org. 300 A 198.51.100.{number}", asker=CURL, holder=1 + number % 12)
    assert 64 == len(cache)
    assert ("a.org",) == cache.names("192.0.2.1", HOST)


def test_many_names_of_an_address_push_out_those_of_their_asker(cache: NameCache) -> None:
    tell(cache, "a.org. 300 A 192.0.2.1", asker=WGET, holder=1)
    for number in range(MAX_NAMES * 2):
        tell(cache, f"n{number}.org. 300 A 192.0.2.1", asker=ProcessKey(number, 1), holder=2)
    assert "a.org" in cache.names("192.0.2.1", HOST)
    assert ("a.org",) == cache.names("192.0.2.1", HOST, WGET)


def test_an_address_has_a_bounded_number_of_names(cache: NameCache) -> None:
    for number in range(MAX_NAMES * 2):
        tell(cache, f"n{number}.org. 300 A 192.0.2.1", asker=ProcessKey(number, 1))
    names = cache.names("192.0.2.1", HOST)
    assert MAX_NAMES == len(names)
    assert f"n{MAX_NAMES * 2 - 1}.org" == names[0]


class Anything(RuleBasedStateMachine):
    """Whatever happens in whatever order, the indexes agree and the bounds hold."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.cache = NameCache(max_entries=12, max_bytes=8_000, clock=self.clock)

    @rule(
        name=st.integers(0, 9),
        address=st.integers(0, 4),
        asker=st.integers(1, 12),
        holder=st.none() | st.integers(0, 9),
        ttl=st.integers(0, 200),
    )
    def answered(self, name: int, address: int, asker: int, holder: int | None, ttl: int) -> None:
        record = f"n{name}.org. {ttl} A 192.0.2.{address}"
        tell(self.cache, record, asker=ProcessKey(asker, 1), at_ns=self.clock.now_ns, holder=holder)

    @rule(address=st.integers(0, 4), asker=st.none() | st.integers(1, 12))
    def looked_up(self, address: int, asker: int | None) -> None:
        self.cache.names(f"192.0.2.{address}", HOST, None if asker is None else ProcessKey(asker, 1))

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.now_ns += seconds * NS

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.cache) <= 12
        known = self.cache._known.values()
        assert sum(entry.size for entry in known) == self.cache._bytes <= 8_000
        assert len(self.cache) == sum(map(len, self.cache._questions.values()))
        held = self.cache._held
        assert all(key in self.cache._known for holder in held.values() for key in holder.keys)
        assert all(key in held[holder].keys for key, one in self.cache._known.items() for holder in one.holders)
        for hold in held.values():
            assert sum(self.cache._known[key].size for key in hold.keys) == hold.bytes


TestAnything = Anything.TestCase
TestAnything.settings = settings(max_examples=30, stateful_step_count=60)
