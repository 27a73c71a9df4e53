"""`arbitrary` and `times`: further conditions on who, when, and how often."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Literal

from raqib.recipes.diagnostic import shown
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import Group, Item, TimesKind, TimesLimit, When

FactKind = Literal["text", "number", "time", "address"]

FACTS: dict[str, FactKind] = {
    "uid": "number",
    "pid": "number",
    "retcode": "number",
    "parent_pid": "number",
    "start": "time",
    "exit": "time",
    **dict.fromkeys(("exe", "comm", "cmd", "cmdline", "args", "envs"), "text"),
    **dict.fromkeys(("parent_exe", "parent_comm", "parent_cmd", "parent_args", "parent_envs"), "text"),
    **dict.fromkeys(("path", "arg", "cwd", "user", "parent_cmdline"), "text"),
    **dict.fromkeys(("unit", "container", "image", "pod", "namespace", "label"), "text"),
    **dict.fromkeys(("parent_or_prev_exe", "task_or_prev_exe"), "text"),
    **dict.fromkeys(("task_or_parent_exe", "task_or_parent_comm", "task_or_parent_cmd", "task_or_parent_args"), "text"),
    "task_or_parent_envs": "text",
    **dict.fromkeys(("ancient_exe", "ancient_cmd", "ancient_args", "ancient_envs"), "text"),
    **dict.fromkeys(("proto", "family"), "text"),
    **dict.fromkeys(("local", "remote", "any_peers"), "address"),
    **dict.fromkeys(("local_ports", "remote_ports", "any_ports"), "number"),
    "any_peers_and_ports": "text",
    "remote_domain_score": "number",
}
"""Every fact by its canonical name."""

FLOW_FACTS = frozenset(
    {"proto", "family", "local", "remote", "any_peers", "local_ports", "remote_ports", "any_ports"}
    | {"any_peers_and_ports", "remote_domain_score"}
)
"""Those that are known of flows only."""

FACT_ALIASES = {f"any_{name}": name for name in FACTS if name.startswith("ancient_")}
_WHENS: tuple[When, ...] = ("smaller", "bigger", "equal")
_TESTS = ("pattern", "number", "numbers", "time", "cidr")
ALLOWED_TESTS: dict[FactKind, tuple[str, ...]] = {
    "text": ("pattern",),
    "number": ("number", "numbers", "pattern"),
    "time": ("time",),
    "address": ("cidr", "pattern"),
}
_WHICH_SLIPS = {
    "contains": "a pattern already searches anywhere; which says what a match means for the event",
    "relevant": "it is called pertinent",
    "include": "it is called pertinent",
    "exclude": "it is called irrelevant",
}
_ITEM_SLIPS = {
    "regex": "the expression of an item is called pattern",
    "how": "how belongs to the group",
    "value": "write pattern, number, numbers, time or cidr",
}
TIMES_KINDS: dict[str, TimesKind] = {
    "times_per_proc": "times_per_proc",
    "times_per_parent_proc": "times_per_parent_proc",
    "times_per_exe": "times_per_exe",
    "times_per_parent_exe": "times_per_parent_exe",
    "times_per_cmd": "times_per_cmd",
    "times_per_full_ancestry": "times_per_full_ancestry",
    "times_per_hostname": "times_per_hostname",
    "times_per_host": "times_per_host",
    "times_in_total": "times_per_host",
}


def check_groups(reader: Reader, at: At | None) -> tuple[Group, ...]:
    """Return the groups of `arbitrary`."""
    return tuple(_check_group(reader, entry) for entry in reader.entries(at))


def _check_group(reader: Reader, at: At) -> Group:
    fields = reader.fields(at, ("how", "which", "items"), {"what": "what belongs to an item: put it below items"})
    how = reader.choice(fields.get("how"), ("and", "or"))
    which = reader.choice(fields.get("which"), ("pertinent", "irrelevant"), _WHICH_SLIPS) or "pertinent"
    found = [check_item(reader, entry, which) for entry in reader.entries(fields.get("items"))]
    items = tuple(item for item in found if item is not None)
    pertinent = sum(item.pertinent for item in items)
    if how is None and "how" not in fields and pertinent > 1:
        reader.error(at, "expected how: AND or how: OR where several items are pertinent, found none")
    if len(items) == len(found):
        _warn_if_idle(reader, at, which == "pertinent", items, pertinent)
    return Group(how == "and", which == "pertinent", items)


def _warn_if_idle(reader: Reader, at: At, stands: bool, items: tuple[Item, ...], pertinent: int) -> None:
    if not items:
        verdict = "changes nothing" if stands else "never lets an event pass"
        reader.warning(at, f"expected items: without them the group {verdict}")
    elif not pertinent and not stands:
        reader.warning(at, "expected a pertinent item or which: pertinent: this group never lets an event pass")


def check_item(reader: Reader, at: At, inherited: str) -> Item | None:
    """Return an item, `inherited` being what `which` is if it is left out; None if something is wrong with it."""
    fields = reader.fields(at, ("what", "which", "when", "index", *_TESTS), _ITEM_SLIPS)
    what_at = fields.get("what")
    if what_at is None:
        reader.error(at, "expected what: the fact that is tested, found none")
        return None
    word = reader.choice(what_at, (*FACTS, *FACT_ALIASES))
    which = reader.choice(fields.get("which"), ("pertinent", "irrelevant"), _WHICH_SLIPS) or inherited
    when: When = reader.choice(fields.get("when"), _WHENS) or "equal"
    tests = [name for name in _TESTS if name in fields]
    if len(tests) != 1:
        reader.error(at, f"expected one of {', '.join(_TESTS)}, found {' and '.join(tests) or 'none'}")
        return None
    if word is None:
        return None
    what = FACT_ALIASES.get(word, word)
    test = tests[0]
    if test not in ALLOWED_TESTS[FACTS[what]]:
        allowed = " or ".join(ALLOWED_TESTS[FACTS[what]])
        reader.error(fields[test], f"expected {allowed} for {what}, found {test}")
        return None
    if "when" in fields and test == "pattern":
        reader.warning(fields["when"], "expected when only beside a number, time or cidr: it does nothing to pattern")
    value = fields[test]
    if "index" in fields and what != "arg":
        reader.error(fields["index"], f"expected index only beside what: arg, found it beside {what}")
        return None
    index = reader.integer(fields.get("index"), 0, 65535)
    if index is None and "index" in fields:
        return None
    item = Item(what, which == "pertinent", when=when, index=index)
    if test == "pattern":
        pattern = reader.expression(value)
        return None if pattern is None else _with(item, pattern=pattern)
    if test == "time":
        moment = _moment(reader, value)
        return None if moment is None else _with(item, time=moment)
    if test == "cidr":
        cidr = network(reader, value)
        return None if cidr is None else _with(item, cidr=cidr)
    entries = reader.entries(value, split=True) if test == "numbers" else [value]
    numbers = [reader.integer(entry, -(2**31), 2**32) for entry in entries]
    known = tuple(number for number in numbers if number is not None)
    return _with(item, numbers=known) if known and len(known) == len(numbers) else None


def _with(
    item: Item,
    *,
    pattern: str | None = None,
    numbers: tuple[int, ...] | None = None,
    time: datetime | None = None,
    cidr: str | None = None,
) -> Item:
    return Item(item.what, item.pertinent, pattern, numbers, time, cidr, item.when, item.index)


def _moment(reader: Reader, at: At) -> datetime | None:
    text = reader.text(at)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    reader.error(at, f"expected a time as 2026-01-31T10:00:00Z (RFC 3339), found {shown(text)}")
    return None


def network(reader: Reader, at: At) -> str | None:
    """Return a network in canonical form; an address alone is a network of one."""
    text = reader.text(at)
    if text is None:
        return None
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        reader.error(at, f"expected an address or a network as 10.0.0.0/8, found {shown(text)}")
        return None


def check_times(reader: Reader, at: At | None) -> tuple[TimesLimit, ...]:
    """Return the limits of `times`."""
    result = []
    for entry in reader.entries(at):
        fields = reader.fields(entry, ("kind", "max"))
        for name in ("kind", "max"):
            if name not in fields:
                reader.error(entry, f"expected {name}, found none")
        kind = reader.choice(fields.get("kind"), TIMES_KINDS)
        most = reader.integer(fields.get("max"), 1, 10**9)
        if kind is not None and most is not None:
            result.append(TimesLimit(TIMES_KINDS[kind], most))
    return tuple(result)
