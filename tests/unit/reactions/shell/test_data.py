from __future__ import annotations

import json
import subprocess
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.reactions.shell.data import MAX_BYTES, reaction_data, spell

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_is_the_same_json_in_plain_ascii(value: Any) -> None:
    spelled = spell(msgspec.json.encode(value))
    assert value == json.loads(spelled)
    assert spelled.isascii()
    assert spelled.isprintable()
    assert "'" not in spelled
    inside = "".join(part for part in spelled.split('"')[1::2])
    assert inside.count("\\") == inside.count("\\u")


def test_each_kind_of_character() -> None:
    text = json.dumps("\"\\/\b\f\n\r\t\x1f\x7f'é\u2028😀").encode()
    assert (
        '"\\u0022\\u005c/\\u0008\\u000c\\u000a\\u000d\\u0009\\u001f\\u007f\\u0027\\u00e9\\u2028\\ud83d\\ude00"'
        == spell(text)
    )
    assert '"\\u002f\\u00e9"' == spell('"\\/é"'.encode())


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100))
def test_no_echo_changes_it(shell: str, text: str) -> None:
    data = spell(msgspec.json.encode({"name": text}))
    result = subprocess.run([shell, "-c", 'echo "$D"'], env={"D": data}, capture_output=True, check=True)
    assert data == result.stdout.decode().rstrip("\n")


def test_what_is_too_large_comes_without_its_background() -> None:
    event = {"uuid": "u", "background": {"x": "y" * MAX_BYTES}, "base": {"uuid": "u", "background": {"z": "w"}}}
    assert {"uuid": "u", "base": {"uuid": "u"}, "truncated": True} == json.loads(
        reaction_data(json.dumps(event).encode())
    )
    event["background"] = {"x": "y"}
    assert event == json.loads(reaction_data(json.dumps(event).encode()))


def test_what_is_too_large_even_then_is_cut_to_what_names_it() -> None:
    event = {"uuid": "u", "metadata": {"kind": "k"}, "note": "é" * MAX_BYTES}
    data = reaction_data(json.dumps(event).encode())
    assert {"uuid": "u", "metadata": {"kind": "k"}, "truncated": True} == json.loads(data)
    event["metadata"] = {"kind": "é" * MAX_BYTES}
    assert {"truncated": True} == json.loads(reaction_data(json.dumps(event).encode()))
