"""What is to be said of exceptions that are well-formed: they cover everything, nothing, or whoever likes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from raqib.exceptions.claims import ROOTED, holds_firmly
from raqib.exceptions.counts import Count
from raqib.exceptions.rule import PROTECTED_KIND, ExceptionRule, is_protected
from raqib.library.selection import selector
from raqib.model.clock import rfc3339
from raqib.model.recipe import RecipeInfo
from raqib.recipes.diagnostic import Diagnostic, nearest, shown
from raqib.recipes.regex import Expression
from raqib.recipes.spec import Item

IDLE_S: Final = 30 * 86400.0
"""An exception that has covered nothing for so long is not needed any more."""

_PATHS = (b"/", b"/q7x", b"/usr/bin/zw", b"/tmp/k/.v")
_TEXTS = (b"q7x", b"/usr/bin/zw", b"-", b"198.51.100.9")


def doubts(
    rules: Iterable[ExceptionRule],
    recipes: Iterable[RecipeInfo] | None = None,
    counts: Mapping[str, Count] | None = None,
    now_s: float | None = None,
) -> Iterator[Diagnostic]:
    """Yield a warning for each doubt; without `recipes` or `counts`, what depends on them is not looked at."""
    known = None if recipes is None else list(recipes)
    now_s = time.time() if now_s is None else now_s
    for rule in rules:
        for message in _of_rule(rule, known, (counts or {}).get(rule.id), now_s):
            yield Diagnostic("warning", rule.source, rule.recipe, "", message, rule.line)


def _of_rule(rule: ExceptionRule, recipes: list[RecipeInfo] | None, count: Count | None, now_s: float) -> Iterator[str]:
    if not rule.when:
        yield "expected when: items that say where it is normal, found none: it covers everything of its recipes"
    elif all(map(says_nothing, rule.when)):
        yield "expected an item that some event fails, found none: it covers everything of its recipes"
    elif not any(map(holds_firmly, rule.when)):
        asked = ", ".join(dict.fromkeys(item.what for item in rule.when))
        yield (
            f"expected an item that a program cannot claim (unit, container, uid, exe, path), found only {asked}: "
            "whoever knows of this exception can hide behind it"
        )
    if rule.has_ended(now_s):
        yield f"it ended on {rule.until} and holds no more: take it out, or give it another date"
    if recipes is not None:
        yield from _of_recipes(rule, recipes)
    if count is not None and not rule.has_ended(now_s) and count.seen_s - max(count.since_s, count.last_s) >= IDLE_S:
        since = f"since {rfc3339(int(count.last_s * 1e9))[:10]}" if count.last_s else "ever"
        yield f"expected events that it covers, found none for 30 days ({since}): take it out if it is not needed"


def _of_recipes(rule: ExceptionRule, recipes: list[RecipeInfo]) -> Iterator[str]:
    one = selector(rule.recipe)
    meant = [recipe for recipe in recipes if one.matches(recipe)]
    if not meant:
        hint = nearest(one.pattern, [recipe.name for recipe in recipes]) if one.key == "name" else ""
        yield f"expected the name of a recipe, or a pattern that means some, found {shown(rule.recipe)}{hint}"
    elif all(map(is_protected, meant)):
        yield f"expected another recipe: no exception covers built-in recipes of kind {PROTECTED_KIND}"


def says_nothing(item: Item) -> bool:
    """Tell whether an item holds for whatever is known: `.`, `^/`, or an empty alternative."""
    if item.pattern is None or not item.pertinent:
        return False
    expression = Expression(item.pattern)
    probes = _PATHS if item.what in ROOTED or item.what == "cwd" else _TEXTS
    return all(map(expression.found_in, probes))
