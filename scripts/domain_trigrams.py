"""Makes src/raqib/matcher/data/trigrams.bin: how many bits a symbol costs after two others, in names made of words.

Usage: domain_trigrams.py OUTPUT FILE...

Each FILE has a word a line and counts the same, however long it is. The table that is kept was made from the word lists
of Debian 12's packages wamerican, wngerman, wfrench, wspanish, witalian, wdutch and wportuguese, and from the names of
Debian's packages (`apt-cache pkgnames`).
"""

from __future__ import annotations

import math
import random
import sys
import unicodedata
from pathlib import Path

from raqib.matcher.domain_score import STEPS_PER_BIT, SYMBOLS, symbol_places

WORDS_OF_EACH = 60_000
JOINED = 0.5
"""Names are often of two words in one."""
SIZE = len(SYMBOLS)


def words_of(path: Path, dice: random.Random) -> list[str]:
    """Return some words of a file, in plain letters, and some pairs of them."""
    found = set()
    for line in path.read_text(encoding="utf-8", errors="replace").split():
        plain = unicodedata.normalize("NFKD", line.lower()).encode("ascii", "ignore").decode()
        word = "".join(character for character in plain if character.isalnum() or character == "-").strip("-")
        if 2 <= len(word) <= 30:
            found.add(word)
    words = sorted(found)
    chosen = dice.sample(words, min(WORDS_OF_EACH, len(words)))
    pairs = [one + other for one, other in zip(chosen, dice.sample(chosen, len(chosen)), strict=True)]
    return chosen + pairs[: int(len(pairs) * JOINED)]


def main() -> None:
    """Count, smooth, write."""
    output, *files = map(Path, sys.argv[1:])
    dice = random.Random(1)  # noqa: S311  # the same table each time
    ones, twos, threes = [0.0] * SIZE, [0.0] * SIZE**2, [0.0] * SIZE**3
    for file in files:
        for word in words_of(file, dice):
            places = symbol_places(word)
            for first, second, third in zip(places, places[1:], places[2:], strict=False):
                ones[third] += 1
                twos[second * SIZE + third] += 1
                threes[(first * SIZE + second) * SIZE + third] += 1
    table = bytearray()
    total = sum(ones)
    for first in range(SIZE):
        for second in range(SIZE):
            row = threes[(first * SIZE + second) * SIZE :][:SIZE]
            pair = twos[second * SIZE :][:SIZE]
            for third in range(SIZE):
                one = (ones[third] + 1) / (total + SIZE)
                two = (pair[third] + 50 * one) / (sum(pair) + 50)
                three = (row[third] + 50 * two) / (sum(row) + 50)
                table.append(min(255, round(-math.log2(three) * STEPS_PER_BIT)))
    output.write_bytes(table)


if __name__ == "__main__":
    main()
