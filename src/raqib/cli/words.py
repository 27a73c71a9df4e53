"""How commands say the same things."""

from __future__ import annotations

from collections.abc import Iterable

from raqib.matcher.explain import Finding

_VERDICTS = {True: "yes", False: "no", None: "depends"}


def count(number: int, what: str) -> str:
    """Return a number with its noun."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def stage_lines(findings: Iterable[Finding]) -> list[str]:
    """Return what each stage of matching says, as lines."""
    lines = []
    for finding in findings:
        lines.append(f"{finding.stage}: {_VERDICTS[finding.passed]}")
        lines += [f"  {detail}" for detail in finding.details]
    return lines
