from __future__ import annotations

import random

import pytest

from raqib.recipes.regex import BadExpressionError, Expression, ExpressionSet, subject


def test_a_set_finds_what_its_members_find_even_in_hostile_text() -> None:
    dice = random.Random(1)
    sources = [f"/{'abcdef'[index % 6]}[a-f]{{{2 + index % 9}}}.*{index}.*x" for index in range(300)]
    sources += [f"[ab].{{{index}}}c$" for index in range(12, 40)]
    together, alone = ExpressionSet(sources), [Expression(source) for source in sources]
    for _ in range(10):
        text = ("/" + "".join(dice.choice("abcdefx/0123456789") for _ in range(2000)) + "c").encode()
        expected = [index for index, one in enumerate(alone) if one.found_in(text)]
        assert expected == sorted(together.found_in(text))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_sets_of_every_size(count: int) -> None:
    found = ExpressionSet([f"^{index}$" for index in range(count)])
    assert [[index] for index in range(count)] == [found.found_in(b"%d" % index) for index in range(count)]
    assert found.found_in(b"x") == []


@pytest.mark.parametrize("source", ["a(", "(?=a)", r"\1", "[z-a]", "a{99999}", "\ud800"])
def test_what_re2_does_not_know(source: str) -> None:
    with pytest.raises(BadExpressionError):
        Expression(source)


@pytest.mark.parametrize(
    ("source", "text", "expected"),
    [
        ("^a.b$", b"a\nb", True),
        ("^a.b$", b"a\xffb", True),
        ("^ab$", b"ab\n", False),
        ("^é$", "é".encode(), True),
        ("(?i)ABC", b"xabcx", True),
        ("", b"", True),
    ],
)
def test_search(source: str, text: bytes, expected: bool) -> None:
    assert expected is Expression(source).found_in(subject(text))
