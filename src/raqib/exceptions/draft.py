"""From an event to an exception for it: narrow, and first by what a program cannot claim."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.report import described
from raqib.exceptions.rule import ExceptionRule
from raqib.matcher.facts import Facts
from raqib.model.recipe import RecipeInfo
from raqib.recipes.spec import Item

PLACEHOLDER: Final = "say here why this is normal"
_SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")
_PLAIN = re.compile(r"[A-Za-z_^/][\w^$\\./() -]*", re.ASCII)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


class Coverage(msgspec.Struct, frozen=True):
    """How many events an exception would have covered."""

    of: int
    covered: int
    without: dict[str, int]
    """By the item that is left out: how many it would have covered then."""


def draft(recipe: str, facts: Facts, *, without: Iterable[str] = (), reason: str, until: str) -> ExceptionRule:
    """Return an exception for events like one: its place, else its user; program, parent, file or peer."""
    left_out = frozenset(without)
    items = tuple(item for item in _items(facts) if item.what not in left_out)
    name = glob.escape(recipe)
    return ExceptionRule(f"name:{name}" if ":" in name else name, items, reason, until)


def _items(facts: Facts) -> Iterator[Item]:
    place = next((what for what in ("container", "unit") if facts.texts(what)), None)
    if place is not None:
        # Of a container the identifier comes first; a name would hold for the next of that name too.
        yield Item(place, True, pattern=_exactly(facts.texts(place)[0]))
    else:
        yield Item("uid", True, numbers=(facts.process.uid,))
    for what in ("exe", "parent_exe", "path"):
        for value in facts.texts(what)[:1]:
            yield Item(what, True, pattern=_exactly(value))
    for address in facts.addresses("remote")[:1]:
        if address:
            yield Item("remote", True, cidr=f"{address}/{128 if ':' in address else 32}")


def _exactly(value: bytes) -> str:
    return f"^{_SPECIAL.sub(lambda found: chr(92) + found[0], value.decode())}$"


def coverage(rule: ExceptionRule, recipe: RecipeInfo, events: Iterable[tuple[Facts, int]], mnt_ns: int) -> Coverage:
    """Return what an exception would have covered; each event counts as often as it says."""
    narrow = CompiledExceptions([rule], mnt_ns)
    wider = {
        item.what: CompiledExceptions(
            [replace(rule, when=tuple(other for other in rule.when if other is not item))], mnt_ns
        )
        for item in rule.when
    }
    of = covered = 0
    without = dict.fromkeys(wider, 0)
    for facts, count in events:
        of += count
        covered += count if narrow.covering(recipe, facts) else 0
        for what, one in wider.items():
            without[what] += count if one.covering(recipe, facts) else 0
    return Coverage(of, covered, without)


def as_yaml(rule: ExceptionRule) -> str:
    """Return an exception as a file has it."""
    lines = [f"- recipe: {_scalar(rule.recipe)}", "  when:"]
    for item in rule.when:
        inner = ", ".join(f"{name}: {_scalar(value)}" for name, value in described(item).items())
        lines.append(f"    - {{{inner}}}")
    if not rule.when:
        lines[-1] = "  when: []"
    lines.append(f"  reason: {_scalar(rule.reason)}")
    if rule.until:
        lines.append(f"  until: {_scalar(rule.until)}")
    return "\n".join(lines) + "\n"


def _scalar(value: object) -> str:
    """Return a value that YAML reads as it is; what attackers chose cannot become anything but a string."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and not value.endswith((" ", ":")) and value.lower() not in _WORDS:
            return value
        if value.isascii() and value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        return '"' + "".join(map(_escaped, value)) + '"'
    return msgspec.json.encode(value).decode()


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isascii() and character.isprintable() else f"\\U{ord(character):08x}"
