"""Names as programs make them up, in the ways that malware is known to; the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from string import ascii_lowercase, digits

COUNT = 1000

_Maker = Callable[[random.Random], str]


def _thrown(alphabet: str, low: int, high: int) -> _Maker:
    return lambda dice: "".join(dice.choices(alphabet, k=dice.randint(low, high)))


def _congruential(dice: random.Random) -> str:
    """A seed goes through a linear congruential generator, its low bits choose letters."""
    state, letters = dice.randrange(1 << 32), []
    for _ in range(12 + dice.randrange(6)):
        state = (1_103_515_245 * state + 12_345) & 0xFFFF_FFFF
        letters.append(ascii_lowercase[(state >> 16) % 25])
    return "".join(letters)


def _shifted(dice: random.Random) -> str:
    """The date is mixed by shifts and exclusive or, as often in bots of the years before 2015."""
    year, month, day = dice.randrange(2010, 2030), dice.randrange(1, 13), dice.randrange(1, 29)
    name = ""
    for _ in range(16):
        year = ((year ^ 8 * year) >> 11 ^ (year & 0xFFFF_FFF0) << 17) & 0xFFFF_FFFF
        month = ((month ^ 4 * month) >> 25 ^ 16 * (month & 0xFFFF_FFF8)) & 0xFFFF_FFFF
        day = ((day ^ (day << 13)) >> 19 ^ ((day & 0xFFFF_FFFE) << 12)) & 0xFFFF_FFFF
        name += ascii_lowercase[(year ^ month ^ day) % 25]
    return name


def _pronounceable(dice: random.Random) -> str:
    return "".join(dice.choice("bcdfghjklmnpqrstvwz") + dice.choice("aeiou") for _ in range(dice.randint(4, 7)))


def _two_words(dice: random.Random) -> str:
    words = (
        "above bridge carry dinner early follow garden heavy island journey kitchen little market north orange paper"
    )
    return "".join(dice.sample(words.split(), 2))


MAKERS: dict[str, _Maker] = {
    "8 to 11 letters": _thrown(ascii_lowercase, 8, 11),
    "12 to 16 letters": _thrown(ascii_lowercase, 12, 16),
    "16 to 24 letters": _thrown(ascii_lowercase, 16, 24),
    "letters, congruential": _congruential,
    "letters, from the date": _shifted,
    "10 to 14 letters and digits": _thrown(ascii_lowercase + digits, 10, 14),
    "16 to 20 letters and digits": _thrown(ascii_lowercase + digits, 16, 20),
    "12 to 16 hexadecimal digits": _thrown("0123456789abcdef", 12, 16),
    "32 hexadecimal digits": _thrown("0123456789abcdef", 32, 32),
    "syllables": _pronounceable,
    "two words": _two_words,
}


def generated(kind: str) -> list[str]:
    """Return names of one kind."""
    dice = random.Random(f"names of {kind}")
    endings = ("com", "net", "org", "info", "ru", "co.uk")
    return [f"{MAKERS[kind](dice)}.{dice.choice(endings)}" for _ in range(COUNT)]
