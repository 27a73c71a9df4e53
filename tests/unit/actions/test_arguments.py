from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.actions.arguments import decode_arguments, describe_arguments
from raqib.actions.declare import Argument, Failed, Helper

HELPER = Helper(
    "Test",
    (
        Argument("key", "string"),
        Argument("text", "string", may_be_empty=True, content=True),
        Argument("count", "integer", optional=True),
        Argument("seconds", "number", optional=True),
        Argument("fields", "object", optional=True),
    ),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["k",""]', ("k", "")),
        ('["k","t",3]', ("k", "t", 3)),
        ('["k","t",3.0,0.5,{"a":1}]', ("k", "t", 3, 0.5, {"a": 1})),
    ],
)
def test_good_arguments(text: str, expected: tuple[Any, ...]) -> None:
    assert decode_arguments(HELPER, text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "Test: expected 2 to 5 arguments, got 0"),
        ('["a","b",1,1,{},1]', "expected 2 to 5 arguments, got 6"),
        (f'["{"k" * 4097}","b"]', "key: expected at most 4096 characters, got 4097"),
        ('["a","b",' + "1" * 5000 + "]", "expected"),
        ('["","b"]', "key: expected a string that is not empty"),
        ('[null,"b"]', "key: expected a string, got nothing (null)"),
        ('["a\\u0000","b"]', "key: expected a string without NUL"),
        ('[1,"b"]', "key: expected a string, got 1"),
        ('["a","b",null]', "count: expected an integer, got nothing (null)"),
        ('["a","b",1.5]', "count: expected an integer, got 1.5"),
        ('["a","b",true]', "count: expected an integer, got a boolean"),
        ('["a","b",9007199254740993]', "count: expected an integer"),
        ('["a","b",1,"2"]', "seconds: expected a number"),
        ('["a","b",1,1,[]]', "fields: expected an object, got an array"),
        ("{}", "expected arguments that are valid text"),
        ("nonsense", "expected arguments that are valid text"),
        ('["\\ud800","b"]', "expected arguments that are valid text"),
        ("[" * 100_000, "expected arguments that are valid text"),
    ],
)
def test_bad_arguments(text: str, problem: str) -> None:
    result = decode_arguments(HELPER, text)
    assert isinstance(result, Failed)
    assert problem in result.reason


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(decode_arguments(HELPER, text), Failed | tuple)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(_json))
def test_any_array_is_answered_and_types_hold(values: list[Any]) -> None:
    result = decode_arguments(HELPER, msgspec.json.encode(values).decode())
    if isinstance(result, tuple):
        assert isinstance(result[0], str)
        assert result[0]
        assert len(result) < 3 or isinstance(result[2], int)


def test_contents_are_described_by_size_and_hash() -> None:
    assert describe_arguments(HELPER, ("k", "abc")) == {
        "key": "k",
        "text": {"size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    }
