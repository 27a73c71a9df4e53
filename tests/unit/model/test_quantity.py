"""Durations and sizes as people write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.model.quantity import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 90), ("0.25", 0.25), (" 5 ", 5), ("250ms", 0.25), ("10m", 600), ("10 min", 600), ("1h", 3600),
        ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("2d", 172800), ("1w", 604800), ("30s", 30),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert seconds == pytest.approx(parse_duration(text))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("65536", 65536), ("64KiB", 65536), ("64K", 65536), ("64 MiB", 64 << 20), ("1.5MiB", 3 << 19),
        ("2G", 2 << 30), ("10MB", 10_000_000), ("1kB", 1000), ("7B", 7), ("1TiB", 1 << 40),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert size == parse_size(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("soon", "expected a duration such as 30s, 10m or 1h, found 'soon'"),
        ("", "found ''"),
        ("-5", "found '-5'"),
        ("-5s", "found '-5s'"),
        ("nan", "found 'nan'"),
        ("inf", "found 'inf'"),
        ("1e3", "found the unit 'e'"),
        ("10 hours", "found the unit 'hours'; known are ms, s, m, min, h, d, w"),
        ("10M", "found the unit 'M'"),
        ("1h30", "found '1h30'"),
        ("h", "found 'h'"),
        ("1,5s", "found '1,5s'"),
        ("99999w", "expected at most a hundred years"),
        ("9" * 400, "found '999"),
        ("\u0661s", "\\u0661"),
        ("1s\x1b[31m", "\\x1b"),
    ],
)
def test_what_is_no_duration(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("many", "expected a size such as 512KiB, 64MiB or 1GiB, found 'many'"),
        ("-1", "found '-1'"),
        ("64mib", "found the unit 'mib'; known are B, K, KiB"),
        ("10m", "found the unit 'm'"),
        ("0.3B", "expected a whole number of bytes, found '0.3B'"),
        ("1.5", "expected a whole number of bytes, found '1.5'"),
        ("1MiB 5KiB", "found '1MiB 5KiB'"),
        ("9999999TiB", "expected at most 4194304TiB"),
    ],
)
def test_what_is_no_size(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (90, "1m30s"), (86400, "1d"), (5400, "1h30m"), (0.2501, "250ms"), (604801, "1w1s")],
)
def test_durations_are_written(seconds: float, text: str) -> None:
    assert text == format_duration(seconds)


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1000, "1000B"), (64 << 20, "64MiB"), (3 << 19, "1536KiB")])
def test_sizes_are_written(size: int, text: str) -> None:
    assert text == format_size(size)


@given(st.integers(0, 10**12))
def test_what_is_written_is_read(number: int) -> None:
    assert number == parse_size(format_size(number))
    assert number / 1000 == pytest.approx(parse_duration(format_duration(number / 1000)))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue
