"""Durations and sizes as people write them: `10m`, `1h30m`, `64MiB`; a number alone means seconds, or bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]

_DURATIONS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES: Final = {
    "B": 1,
    **{f"{letter}{end}": 1024**power for power, letter in enumerate("KMGT", 1) for end in ("", "iB")},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
}
_NUMBER: Final = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"
_BARE: Final = re.compile(_NUMBER)
_PART: Final = re.compile(rf"({_NUMBER})\s*([A-Za-z]+)\s*")
_LONGEST_S: Final = 100 * 366 * 86400
_LARGEST: Final = 1 << 62
_MS: Final = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def parse_duration(text: str) -> float:
    """Return seconds: of `90`, `0.25`, `250ms`, `10m`, `1h30m`, `2d`, `1w`.

    Raises ValueError if it is no duration, or longer than a hundred years; the message says what was expected and
    found.
    """
    total = _total(text, _DURATIONS, "a duration such as 30s, 10m or 1h", several=True)
    if total > _LONGEST_S:
        raise ValueError(f"expected at most a hundred years, found {_shown(text)}")
    return total


def parse_size(text: str) -> int:
    """Return bytes: of `65536`, `64KiB`, `1.5MiB`, `2G` (like GiB), `10MB` (a million bytes each).

    Raises ValueError if it is no size, no whole number of bytes, or too large; the message says what was expected and
    found.
    """
    total = _total(text, _SIZES, "a size such as 512KiB, 64MiB or 1GiB", several=False)
    if total > _LARGEST:
        raise ValueError(f"expected at most 4194304TiB, found {_shown(text)}")
    if total != int(total):
        raise ValueError(f"expected a whole number of bytes, found {_shown(text)}")
    return int(total)


def format_duration(seconds: float) -> str:
    """Return a duration as `parse_duration` reads it, to the millisecond: `1h30m`, `250ms`, `0s`."""
    rest = round(seconds * 1000)
    parts = []
    for unit, length in _MS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(size: int) -> str:
    """Return a size exactly, as `parse_size` reads it: `64MiB`, `1536KiB`, `1000B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return f"{size}B"


def _total(text: str, units: Mapping[str, float], expected: str, *, several: bool) -> float:
    stripped = text.strip()
    if _BARE.fullmatch(stripped):
        return float(stripped) if "." in stripped else int(stripped)
    total: float = 0
    end = 0
    while found := _PART.match(stripped, end):
        number, unit = found.groups()
        if unit not in units:
            raise ValueError(f"expected {expected}, found the unit {_shown(unit)}; known are {', '.join(units)}")
        total += (float(number) if "." in number else int(number)) * units[unit]
        end = found.end()
        if not several:
            break
    if not end or end != len(stripped):
        raise ValueError(f"expected {expected}, found {_shown(text)}")
    return total


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:57] + "...")
