from __future__ import annotations

import struct
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.dns.answer import MAX_ADDRESSES, MAX_ALIASES, MAX_RECORDS, Answer, Found, parse_answer


def answer(question: str, *records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    """Return an answer; a record is written as in a zone: name, seconds, type, data."""
    message = dns.message.make_response(dns.message.make_query(question, "A"))
    message.set_rcode(rcode)
    for record in records:
        name, ttl, kind, data = record.split(maxsplit=3)
        message.answer.append(dns.rrset.from_text(name, int(ttl), "IN", kind, data))
    return message.to_wire(max_size=65535)


def found(payload: bytes) -> list[Found]:
    read = parse_answer(payload)
    assert read is not None
    return list(read.found)


def test_an_address() -> None:
    read = parse_answer(answer("Example.ORG.", "example.org. 300 A 192.0.2.1"))
    assert Answer("example.org", (Found("192.0.2.1", ("example.org",), 300),)) == read


def test_several_addresses_of_both_versions() -> None:
    payload = answer("a.org.", "a.org. 300 A 192.0.2.1", "a.org. 200 AAAA 2001:db8::1", "a.org. 300 A 192.0.2.2")
    expected = [("192.0.2.1", 300), ("2001:db8::1", 200), ("192.0.2.2", 300)]
    assert expected == [(item.address, item.ttl_s) for item in found(payload)]


def test_an_address_mapped_into_ipv6_is_shown_as_ipv4() -> None:
    (one,) = found(answer("a.org.", "a.org. 1 AAAA ::ffff:192.0.2.1"))
    assert "192.0.2.1" == one.address


def test_a_chain_counts_whole_and_as_long_as_its_shortest_link() -> None:
    payload = answer("www.a.org.", "c.net. 50 A 192.0.2.1", "www.a.org. 900 CNAME b.com.", "b.com. 20 CNAME c.net.")
    assert [Found("192.0.2.1", ("www.a.org", "b.com", "c.net"), 20)] == found(payload)


def test_records_of_others_do_not_count() -> None:
    payload = answer("evil.org.", "bank.com. 300 A 192.0.2.1", "evil.org. 300 A 192.0.2.2")
    assert ["192.0.2.2"] == [item.address for item in found(payload)]


def test_a_service_hints_at_addresses() -> None:
    payload = answer("a.org.", "a.org. 60 HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1")
    assert ["192.0.2.1", "192.0.2.2", "2001:db8::1"] == [item.address for item in found(payload)]
    (one,) = found(answer("a.org.", "a.org. 60 HTTPS 0 b.net.", "b.net. 30 A 192.0.2.1"))
    assert Found("192.0.2.1", ("a.org", "b.net"), 30) == one


def test_a_dot_within_a_label_is_told_from_one_between_labels() -> None:
    read = parse_answer(answer("www\\.bank\\.com.evil.org.", "www\\.bank\\.com.evil.org. 1 A 192.0.2.1"))
    assert read is not None
    assert "www\\.bank\\.com.evil.org" == read.question


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(11),
        dns.message.make_query("a.org.", "A").to_wire(),
        answer("a.org.", rcode=dns.rcode.NXDOMAIN),
        answer("a.org.")[:14],
        struct.pack("!6H", 1, 0x8000, 0, 0, 0, 0),
        struct.pack("!6H", 1, 0x8000, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2,
        struct.pack("!6H", 1, 0x8000 | 0x2800, 1, 0, 0, 0) + b"\0\0\1\0\1",
    ],
    # Messages have random numbers, and every process that collects has to find the same names.
    ids=["empty", "short", "a query", "no such name", "cut off", "no question", "two questions", "another operation"],
)
def test_what_is_no_answer_to_one_question(payload: bytes) -> None:
    assert parse_answer(payload) is None


def test_loops_of_pointers_and_of_aliases_end() -> None:
    head = struct.pack("!6H", 1, 0x8000, 1, 1, 0, 0)
    assert parse_answer(head + b"\xc0\x0c\0\1\0\1") is None
    looping = head + b"\1a\0\0\1\0\1" + b"\xc0\x15\0\1\0\1\0\0\0\1\0\4\1\2\3\4"
    assert Answer("a", ()) == parse_answer(looping)
    assert [] == found(answer("a.org.", "a.org. 1 CNAME b.org.", "b.org. 1 CNAME a.org."))


def test_a_chain_longer_than_resolvers_follow_is_cut() -> None:
    links = [f"n{index}.org. 1 CNAME n{index + 1}.org." for index in range(MAX_ALIASES + 2)]
    payload = answer("n0.org.", *links, f"n{MAX_ALIASES + 2}.org. 1 A 192.0.2.1", "n1.org. 1 A 192.0.2.2")
    assert ["192.0.2.2"] == [item.address for item in found(payload)]


@pytest.mark.parametrize("lie", [0, 3, 5, 0xFFFF])
def test_lies_about_lengths_cost_what_follows(lie: int) -> None:
    first = answer("a.org.", "a.org. 1 A 192.0.2.1")
    bad = bytearray(answer("a.org.", "a.org. 1 A 192.0.2.1", "a.org. 1 A 192.0.2.2"))
    bad[len(first) + 10 : len(first) + 12] = struct.pack("!H", lie)
    assert ["192.0.2.1"] == [item.address for item in found(bytes(bad))][:1]


def test_thousands_of_records_of_the_longest_names_take_no_time() -> None:
    # A name of 127 labels once, and as many records as fit that point at it.
    name = b"\1a" * 126 + b"\0"
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\0\2\1"
    count = (65535 - 12 - len(name) - 4) // len(record)
    payload = struct.pack("!6H", 1, 0x8000, 1, count, 0, 0) + name + b"\0\1\0\1" + record * count
    began = time.process_time()
    read = parse_answer(payload)
    assert read is not None
    assert MAX_RECORDS == len(read.found)
    assert time.process_time() - began < 1


def test_a_service_with_thousands_of_hints_takes_no_time() -> None:
    hints = struct.pack("!HBHH", 1, 0, 4, 60_000) + bytes(60_000)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 65, 1, 60, len(hints)) + hints
    payload = struct.pack("!6H", 1, 0x8000, 1, 1, 0, 0) + b"\1a\0\0\1\0\1" + record
    began = time.process_time()
    assert MAX_ADDRESSES == len(found(payload))
    assert time.process_time() - began < 1


WHOLE = answer(
    "www.a.org.",
    "www.a.org. 900 CNAME b.com.",
    "b.com. 50 A 192.0.2.1",
    "b.com. 50 AAAA 2001:db8::1",
    "www.a.org. 60 HTTPS 1 c.org. ipv4hint=192.0.2.2",
)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_none(payload: bytes) -> None:
    parse_answer(payload)
    parse_answer(struct.pack("!6H", 1, 0x8000, 1, 0xFFFF, 0, 0) + payload)


@given(st.data())
def test_a_damaged_answer_is_an_answer_or_none(data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255) | st.sampled_from([0xC0, 0xFF, 0, 63, 64]))
    parse_answer(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
