"""What is told of exceptions, by a running agent or without one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from raqib.exceptions.counts import Count
from raqib.exceptions.rule import ExceptionRule
from raqib.model.clock import rfc3339
from raqib.recipes.spec import Item


def summary(rule: ExceptionRule, counts: Mapping[str, Count]) -> dict[str, Any]:
    """Return an exception with what it has covered, as plain values."""
    count = counts.get(rule.id)
    return {
        "id": rule.id,
        "recipe": rule.recipe,
        "when": [described(item) for item in rule.when],
        "reason": rule.reason,
        "until": rule.until or None,
        "ended": rule.has_ended(time.time()),
        "source": rule.source,
        "line": rule.line,
        "count": count.count if count else 0,
        "withheld": count.withheld if count else 0,
        "since": _moment(count.since_s) if count else None,
        "last": _moment(count.last_s) if count else None,
        "last_uuid": (count.last_uuid or None) if count else None,
        "last_exe": (count.last_exe or None) if count else None,
        "last_what": (count.last_what or None) if count else None,
    }


def described(item: Item) -> dict[str, Any]:
    """Return an item as a file has it."""
    plain: dict[str, Any] = {"what": item.what}
    if not item.pertinent:
        plain["which"] = "irrelevant"
    if item.index is not None:
        plain["index"] = item.index
    if item.pattern is not None:
        plain["pattern"] = item.pattern
    elif item.numbers is not None:
        plain["numbers"] = list(item.numbers)
    elif item.time is not None:
        plain["time"] = item.time.isoformat()
    else:
        plain["cidr"] = item.cidr
    if item.when != "equal":
        plain["when"] = item.when
    return plain


def line_of(item: Mapping[str, Any]) -> str:
    """Return an item in one line."""
    return "{" + ", ".join(f"{name}: {_plain(value)}" for name, value in item.items()) + "}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _moment(seconds: float) -> str | None:
    return rfc3339(int(seconds) * 10**9)[:19] + "Z" if seconds else None
