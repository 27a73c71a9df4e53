"""Makes src/raqib/recipes/data/attack.txt, the ATT&CK names and identifiers that recipes may use.

Usage: attack_table.py STIX [TABLE]

STIX is MITRE's enterprise-attack.json (attack-stix-data, STIX 2.1). TABLE is written anew. Names that the release does
not have any more but TABLE had, or that the release calls revoked or deprecated, stay below as those of earlier
releases.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raqib.recipes.attack import snake

TABLE = Path(__file__).parents[1] / "src/raqib/recipes/data/attack.txt"
_IDENTIFIER = re.compile(r"TA[0-9]{4}|T[0-9]{4}(\.[0-9]{3})?")
_HEAD = """\
# MITRE ATT&CK Enterprise {release} ({day}), written by scripts/attack_table.py.
# © {year} The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation.
# Identifiers and names in snake case: tactics first, then techniques with their sub-techniques.
"""
_OLD = "# Of earlier releases: names that changed, and what was revoked or deprecated.\n"

Names = dict[str, list[str]]
"""By identifier."""


def read_stix(objects: Iterable[dict[str, Any]]) -> tuple[Names, Names, str, str]:
    """Return what is current, what is not any more, the release and the day it is of."""
    current: Names = {}
    retired: Names = {}
    release = day = ""
    for item in objects:
        if item.get("type") == "x-mitre-collection":
            release, day = str(item["x_mitre_version"]), str(item["modified"])[:10]
        if item.get("type") not in ("attack-pattern", "x-mitre-tactic"):
            continue
        references = item.get("external_references", ())
        identifier = next((ref["external_id"] for ref in references if ref.get("source_name") == "mitre-attack"), "")
        if not _IDENTIFIER.fullmatch(identifier):
            continue
        gone = item.get("revoked") or item.get("x_mitre_deprecated")
        (retired if gone else current).setdefault(identifier, []).append(snake(item["name"]))
    return current, retired, release, day


def read_table(text: str) -> Names:
    """Return all that a table has."""
    found: Names = {}
    above = ""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            identifier, name = line.split()
            above = above if identifier.startswith(".") else identifier
            found.setdefault(above + identifier if identifier.startswith(".") else identifier, []).append(name)
    return found


def lines(names: Names, others: Names) -> Iterable[str]:
    """Yield a table's lines; a sub-technique whose technique is not there comes below the name that `others` has."""
    written = ""
    for identifier in sorted(names, key=lambda one: (not one.startswith("TA"), one)):
        technique, dot, number = identifier.partition(".")
        if dot and technique != written:
            yield f"{technique} {others[technique][0]}"
        written = technique
        yield from (f".{number} {name}" if dot else f"{identifier} {name}" for name in names[identifier])


def make_table(bundle: dict[str, Any], before: str) -> str:
    """Return the new table. Raises ValueError if the bundle is none of ATT&CK."""
    current, retired, release, day = read_stix(bundle.get("objects", ()))
    if not current or not release:
        raise ValueError("expected a STIX bundle of ATT&CK with an x-mitre-collection object, found none")
    old: Names = {}
    for names in (retired, read_table(before)):
        for identifier, found in names.items():
            known = [*current.get(identifier, ()), *old.get(identifier, ())]
            fresh = [fromkey for fromkey in dict.fromkeys(found) if fromkey not in known]
            if fresh:
                old.setdefault(identifier, []).extend(fresh)
    head = _HEAD.format(release=release, day=day, year=day[:4])
    return "\n".join([head.rstrip(), *lines(current, current), _OLD.rstrip(), *lines(old, {**old, **current}), ""])


def main() -> None:
    """Write the table."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    table = Path(sys.argv[2]) if len(sys.argv) == 3 else TABLE
    try:
        made = make_table(
            json.loads(Path(sys.argv[1]).read_bytes()), table.read_text("utf-8") if table.exists() else ""
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise SystemExit(f"{sys.argv[1]}: expected enterprise-attack.json: {error!r}") from error
    table.write_text(made, "utf-8")
    print(made.splitlines()[0].removeprefix("# "))


if __name__ == "__main__":
    main()
