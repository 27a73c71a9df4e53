"""How commands say the same things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raqib.matcher.finding import Finding

_VERDICTS = {True: "yes", False: "no", None: "depends"}


def count(number: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def printable(text: str) -> str:
    """Return text that cannot steer a terminal; other than with `visible`, a backslash stays one: for expressions."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def columns(title: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines that are never wrapped, so that they can be searched and cut."""
    widths = [max(map(len, cells)) for cells in zip(title, *rows, strict=True)]
    table = [title, *rows]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def stage_lines(findings: Iterable[Finding]) -> list[str]:
    """Return what each stage of matching says, as lines in which every name is escaped already."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.stage}: {_VERDICTS[finding.passed]}")
        lines += [f"  {detail}" for detail in finding.details]
    return lines
