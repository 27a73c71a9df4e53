"""ATT&CK names and identifiers: what a recipe's tactic, technique and subtechnique resolve to.

The table is `data/attack.txt`: one `identifier name` a line; a line that starts with a dot is a sub-technique of the
technique above it. Names are in snake case; of several lines with one name the first holds, so names of earlier
releases come last. Lines that start with # are comments. scripts/attack_table.py makes it from a release of ATT&CK.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import resources
from typing import NamedTuple

from raqib.recipes.diagnostic import nearest, shown

_NOT_WORD = re.compile(r"[^a-z0-9]+")
_IDENTIFIER = re.compile(r"(?i)ta?[0-9]")
_LISTED = 16
_SUBTECHNIQUE = re.compile(r"(T[0-9]{4})\.[0-9]{3}")


class AttackIdentifiers(NamedTuple):
    """The identifiers that were found, and for each field a message if nothing was."""

    tactic_id: str | None
    technique_id: str | None
    subtechnique_id: str | None
    problems: dict[str, str]


class _Table(NamedTuple):
    tactics: dict[str, str]
    techniques: dict[str, str]
    subtechniques: dict[str, dict[str, str]]
    """By technique, then by name."""


def resolve(tactic: str, technique: str, subtechnique: str) -> AttackIdentifiers:
    """Resolve names in snake case, or identifiers; an empty string is none."""
    table = _table()
    problems: dict[str, str] = {}
    split = _SUBTECHNIQUE.fullmatch(technique.upper())
    joined = split is not None and not subtechnique
    if split is not None:
        technique, subtechnique = split[1], subtechnique or technique
    tactic_id = _find(tactic, table.tactics, "tactic", "an ATT&CK tactic", problems)
    technique_id = _find(technique, table.techniques, "technique", "an ATT&CK technique", problems)
    subtechnique_id = None
    if subtechnique:
        own = table.subtechniques.get(technique_id or "", {})
        others = {} if own else dict(entry for names in table.subtechniques.values() for entry in names.items())
        owner = f"a sub-technique of {technique_id}" if own else "an ATT&CK sub-technique"
        # What `technique: T1059.004` says is told where it stands.
        field = "technique" if joined else "subtechnique"
        subtechnique_id = _find(subtechnique, own or others, field, owner, problems)
    return AttackIdentifiers(tactic_id, technique_id, subtechnique_id, problems)


def _find(text: str, known: dict[str, str], field: str, expected: str, problems: dict[str, str]) -> str | None:
    if not text:
        return None
    if text.upper() in known.values():
        return text.upper()
    found = known.get(snake(text))
    if found is None:
        problems[field] = f"expected {expected}, found {shown(text)}{_hint(text, known)}"
    return found


def _hint(text: str, known: dict[str, str]) -> str:
    identifiers = sorted(known.values())
    if _IDENTIFIER.match(text) and len(identifiers) <= _LISTED:
        return f"; known are {', '.join(identifiers)}"
    return nearest(snake(text), known)


def snake(text: str) -> str:
    """Return a name in snake case, in plain letters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_WORD.sub("_", plain.lower()).strip("_")


@cache
def _table() -> _Table:
    text = (resources.files("raqib.recipes") / "data" / "attack.txt").read_text("utf-8")
    table = _Table({}, {}, {})
    technique = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        identifier, name = line.split()
        if identifier.startswith("TA"):
            table.tactics.setdefault(name, identifier)
        elif identifier.startswith("T"):
            technique = identifier
            table.techniques.setdefault(name, identifier)
        else:
            table.subtechniques.setdefault(technique, {}).setdefault(name, technique + identifier)
    return table
