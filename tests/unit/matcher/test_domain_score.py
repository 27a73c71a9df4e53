from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.matcher.domain_score import domain_score, registered_label
from tests.unit.matcher.generated_names import COUNT, MAKERS, generated

SURE = 90
"""What the built-in recipe asks for."""
LEAST_RECALL = {
    "8 to 11 letters": 0.55,
    "12 to 16 letters": 0.80,
    "16 to 24 letters": 0.95,
    "letters, congruential": 0.85,
    "letters, from the date": 0.85,
    "10 to 14 letters and digits": 0.85,
    "16 to 20 letters and digits": 0.97,
    "12 to 16 hexadecimal digits": 0.99,
    "32 hexadecimal digits": 0.99,
}
BY_DESIGN_UNSEEN = {"syllables", "two words"}


def popular() -> list[str]:
    lines = (Path(__file__).parent / "popular_names.txt").read_text().splitlines()
    return [name for line in lines if not line.startswith("#") for name in line.split()]


def test_every_kind_has_a_bound() -> None:
    assert MAKERS.keys() == LEAST_RECALL.keys() | BY_DESIGN_UNSEEN


@pytest.mark.parametrize("kind", LEAST_RECALL)
def test_generated_names_are_recognised(kind: str) -> None:
    recognised = sum(domain_score(name) > SURE for name in generated(kind))
    assert LEAST_RECALL[kind] <= recognised / COUNT


def test_popular_names_are_not() -> None:
    names = popular()
    assert len(names) > 400
    assert [] == [name for name in names if domain_score(name) > SURE]


def test_precision_where_one_name_in_twenty_is_generated() -> None:
    names = popular()
    mixed = random.Random(1).sample([name for kind in LEAST_RECALL for name in generated(kind)], len(names) // 20)
    true = sum(domain_score(name) > SURE for name in mixed)
    false = sum(domain_score(name) > SURE for name in names)
    assert true / (true + false) > 0.95


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("example.org", "example"),
        ("WWW.Example.ORG.", "example"),
        ("a.b.example.co.uk", "example"),
        ("example.com.br", "example"),
        ("co.uk", "co"),
        ("org", ""),
        ("", ""),
    ],
)
def test_the_label_that_somebody_registered(name: str, label: str) -> None:
    assert label == registered_label(name)


def test_only_the_registered_label_counts() -> None:
    assert domain_score("xkqzjvwbtrpfhgd.example.org") < SURE
    assert domain_score("www.xkqzjvwbtrpfhgd.org") > SURE


UNJUDGED = [
    "xn--80ak6aa92e.com",
    "under_score.com",
    "x" * 64 + ".com",
    "\\032.com",
    "xkqzjv.com",
    "3f2a9c1b7d4e.local",
    "5201314.com",
]


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_cannot_be_judged_has_no_score(name: str) -> None:
    assert 0 == domain_score(name)


@given(st.text(max_size=80))
def test_a_score_is_a_percentage(name: str) -> None:
    assert 0 <= domain_score(name) <= 100
    assert 0 <= domain_score(name + ".com") <= 100
