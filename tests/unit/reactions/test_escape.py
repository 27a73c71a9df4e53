from __future__ import annotations

import pytest

from raqib.reactions.escape import escape


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain äöü 日本", "plain äöü 日本"),
        ("a\nb\tc\r\x00", r"a\x0ab\x09c\x0d\x00"),
        ("\x1b[31mred\x9b", r"\x1b[31mred\x9b"),
        ("turn\u202earound\u2028", r"turn\u202earound\u2028"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert escape(text) == escaped
