from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.printers.escape import json_line, visible

STEERING = "\x00\x07\x08\n\r\x1b\x7f\x80\x9b\x9f\u061c\u200b\u200e\u2028\u202e\u2060\u2066\ufeff"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("plain", "plain"),
        (r"\x1b[2J", "\x1b[2J"),
        (r"a\nb\tc\rd", "a\nb\tc\rd"),
        (r"\x9b31m", "\x9b31m"),
        (r"\u202egnp.exe", "\u202egnp.exe"),
        (r"\U000e0001", "\U000e0001"),
        (r"\\x1b", r"\x1b"),
        ("žluťoučký 🐎", "žluťoučký 🐎"),
        ("abc…(+2)", "abcde"),
    ],
)
def test_visible(expected: str, text: str) -> None:
    assert expected == visible(text, limit=3 if text == "abcde" else 400)


@given(st.text() | st.text(STEERING))
def test_what_is_visible_steers_nothing(text: str) -> None:
    assert visible(text).isprintable()


@given(st.text(max_size=50), st.text(max_size=50))
def test_visible_texts_differ_where_texts_differ(one: str, other: str) -> None:
    assert (one == other) == (visible(one) == visible(other))


@given(st.dictionaries(st.text() | st.text(STEERING), st.text() | st.text(STEERING)))
def test_a_json_line_keeps_its_meaning_and_steers_nothing(value: dict[str, str]) -> None:
    line = json_line(msgspec.json.encode(value))
    assert value == json.loads(line)
    assert not set(line.decode()) & set(STEERING)


def test_a_plain_line_is_not_copied() -> None:
    line = b'{"a":"b"}'
    assert line is json_line(line)
