"""How much a name looks as if a program had made it up: 0 to 100, from the name alone.

Names that malware generates to find its masters have letters as dice throw them; those that people register are made
of words. Both are models that say how likely a label is: one of three letters in words of seven languages and in names
of software, one of dice with letters, with letters and digits, and with hexadecimal digits. The score is what Bayes'
rule makes of the two. Length, entropy and digits are in it: a short label is little evidence, and each digit among
letters is rare in words. Only the label that somebody registered counts: what stands before it is often made up by
honest machines.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from importlib import resources
from typing import Final

SYMBOLS: Final = "^abcdefghijklmnopqrstuvwxyz0-"
"""What the table tells apart: the edge of a label, letters, any digit, the hyphen."""
STEPS_PER_BIT: Final = 16
"""A byte of the table says how many bits a symbol costs after two others, in such steps."""

_PRIOR_BITS: Final = 12.0
"""So much evidence is needed for a score of 50."""
_STRANGER: Final = 0.04
"""How often a name that people made has a symbol that no words would have there: acronyms, other languages."""
_SHORTEST: Final = 7
"""All shorter names are registered by people, many for abbreviations; malware has to find free ones."""
_LONGEST: Final = 63
_DICE: Final = (
    ("abcdefghijklmnopqrstuvwxyz", 0.5),
    ("abcdefghijklmnopqrstuvwxyz0123456789", 0.3),
    ("0123456789abcdef", 0.2),
)
_SECOND_LEVEL: Final = frozenset(
    {"ac", "asso", "co", "com", "edu", "firm", "gen", "go", "gob", "gouv", "gov", "gub", "id", "ind", "info", "ltd",
     "me", "mil", "muni", "ne", "net", "nhs", "nom", "or", "org", "plc", "pp", "sch", "web"}
)  # fmt: skip
_OWN: Final = frozenset(
    {"arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost",
     "private", "test"}
)  # fmt: skip
"""Below these nobody registers names: they are of one's own machines, containers among them, and often made up."""
_PLACE: Final = {symbol: place for place, symbol in enumerate(SYMBOLS)} | dict.fromkeys("123456789", SYMBOLS.index("0"))


@lru_cache(maxsize=4096)
def domain_score(name: str) -> int:
    """Return how likely it is, in percent, that the registered label of a name was generated. What is no name has 0."""
    label = registered_label(name)
    if label.isdigit() or name.strip(".").lower().rpartition(".")[2] in _OWN:
        return 0
    if not _SHORTEST <= len(label) <= _LONGEST or label.startswith("xn--") or not set(label) <= _PLACE.keys():
        return 0
    evidence = _word_bits(label) - _dice_bits(label) - _PRIOR_BITS
    return round(100 / (1 + math.exp2(max(-60.0, min(60.0, -evidence)))))


def registered_label(name: str) -> str:
    """Return the label below the public suffix, as far as the usual suffixes tell; empty if there is none."""
    labels = name.strip(".").lower().split(".")
    suffix = 2 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 1
    return labels[-suffix - 1] if len(labels) > suffix else ""


def symbol_places(label: str) -> list[int]:
    """Return a label as places in `SYMBOLS`, with its edges."""
    return [0, 0, *(_PLACE[character] for character in label), 0]


@cache
def _table() -> bytes:
    return (resources.files("raqib.matcher") / "data" / "trigrams.bin").read_bytes()


def _word_bits(label: str) -> float:
    """Return how many bits the label costs if it is made of words."""
    table, size = _table(), len(SYMBOLS)
    places = symbol_places(label)
    digit = SYMBOLS.index("0")
    bits = 0.0
    for first, second, third in zip(places, places[1:], places[2:], strict=False):
        likely = 2.0 ** -(table[(first * size + second) * size + third] / STEPS_PER_BIT)
        likely = (1 - _STRANGER) * likely + _STRANGER / size
        bits -= math.log2(likely / 10 if third == digit else likely)
    return bits


def _dice_bits(label: str) -> float:
    """Return how many bits the label costs if it was thrown, its length being as likely as any of 32."""
    likely = 0.0
    for alphabet, weight in _DICE:
        if all(character in alphabet for character in label):
            likely += weight * 2.0 ** -(len(label) * math.log2(len(alphabet)))
    return 5 - math.log2(likely) if likely else math.inf
