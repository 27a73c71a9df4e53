"""Exceptions against a match: found by the one item that tells most, whatever their number."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from raqib.exceptions.claims import needs_host_mounts, sees_host_mounts
from raqib.exceptions.rule import ExceptionRule, is_protected
from raqib.library.selection import Selector, selector
from raqib.matcher.arbitrary import compile_item
from raqib.matcher.facts import Facts
from raqib.model.recipe import RecipeInfo
from raqib.recipes.regex import ExpressionSet
from raqib.recipes.spec import Item

_TELLING: Final = ("unit", "container", "pod", "path", "exe", "parent_exe", "remote", "cmdline", "image")
"""Facts by which exceptions are told apart best, the best first; then any other text."""
_MOST_BUCKETS: Final = 4096


class CompiledExceptions:
    """A set of exceptions. Belongs to one thread at a time."""

    def __init__(
        self, rules: Iterable[ExceptionRule], host_mnt_ns: int, clock: Callable[[], float] = time.time
    ) -> None:
        """`host_mnt_ns` is the inode number of the host's mount namespace, that of pid 1; 0 is not known."""
        self.rules = tuple(rules)
        self._prepared = [_Prepared(rule, host_mnt_ns) for rule in self.rules]
        self._selectors: list[Selector] = [selector(rule.recipe) for rule in self.rules]
        self._clock = clock
        self._buckets: dict[str, tuple[RecipeInfo, _Bucket]] = {}
        self._by_rules: dict[tuple[int, ...], _Bucket] = {}

    def prepare(self, recipes: Iterable[RecipeInfo]) -> None:
        """Make beforehand what takes time; recipes that are not named here are seen to when they match first."""
        for recipe in recipes:
            self._bucket(recipe)

    def covering(self, recipe: RecipeInfo, facts: Facts) -> ExceptionRule | None:
        """Return the first exception that covers a match now; None if there is none."""
        bucket = self._bucket(recipe)
        if not bucket.prepared:
            return None
        now_s = self._clock()
        return next((fact.rule for fact in bucket.candidates(facts) if fact.holds(facts, now_s)), None)

    def about(self, recipe: RecipeInfo) -> list[ExceptionRule]:
        """Return all that are about a recipe."""
        return [item.rule for item in self._bucket(recipe).prepared]

    def _bucket(self, recipe: RecipeInfo) -> _Bucket:
        known = self._buckets.get(recipe.name)
        if known is not None and known[0] is recipe:
            return known[1]
        meant: tuple[int, ...] = ()
        if not is_protected(recipe):
            meant = tuple(index for index, one in enumerate(self._selectors) if one.matches(recipe))
        bucket = self._by_rules.get(meant)
        if bucket is None:
            bucket = self._by_rules[meant] = _Bucket([self._prepared[index] for index in meant])
        if len(self._buckets) >= _MOST_BUCKETS:
            self._buckets.clear()
        self._buckets[recipe.name] = (recipe, bucket)
        return bucket


class _Prepared:
    """One exception with everything made that judging needs."""

    def __init__(self, rule: ExceptionRule, host_mnt_ns: int) -> None:
        self.rule = rule
        self._tests = [_compile(item) for item in rule.when]
        self._asks_path = any(item.what == "path" for item in rule.when)
        self._host_mnt_ns = host_mnt_ns if needs_host_mounts(rule) else None

    def holds(self, facts: Facts, now_s: float) -> bool:
        if self.rule.has_ended(now_s):
            return False
        if self._host_mnt_ns is not None and not sees_host_mounts(facts.process, self._host_mnt_ns):
            return False
        if self._asks_path and facts.file is not None and facts.file.as_given:
            # What a program named is not what it reached.
            return False
        return all(test(facts) for test in self._tests)

    @property
    def lead(self) -> Item | None:
        """The item by which it is found; None if there is none that could."""
        texts = [item for item in self.rule.when if item.pertinent and item.pattern is not None and item.index is None]
        order = {what: number for number, what in enumerate(_TELLING)}
        return min(texts, key=lambda item: order.get(item.what, len(order)), default=None)


class _Bucket:
    """The exceptions about some recipes, in their order."""

    def __init__(self, prepared: Sequence[_Prepared]) -> None:
        self.prepared = prepared
        self._always: list[int] = []
        by_fact: dict[str, dict[str, list[int]]] = defaultdict(dict)
        for number, one in enumerate(prepared):
            lead = one.lead
            if lead is None or lead.pattern is None:
                self._always.append(number)
            else:
                by_fact[lead.what].setdefault(lead.pattern, []).append(number)
        self._leads = [
            (what, ExpressionSet(list(patterns)), list(patterns.values())) for what, patterns in by_fact.items()
        ]

    def candidates(self, facts: Facts) -> Iterator[_Prepared]:
        found = set(self._always)
        for what, expressions, numbers in self._leads:
            for text in facts.texts(what):
                for index in expressions.found_in(text):
                    found.update(numbers[index])
        return (self.prepared[number] for number in sorted(found))


def _compile(item: Item) -> Callable[[Facts], bool]:
    matches = compile_item(item)
    if item.pertinent:
        return matches
    # What is not known is no reason to be quiet.
    return lambda facts: _is_known(item, facts) and not matches(facts)


def _is_known(item: Item, facts: Facts) -> bool:
    if item.index is not None:
        return bool(facts.argument(item.index))
    if item.time is not None:
        return bool(facts.seconds(item.what))
    if item.numbers is not None:
        return bool(facts.numbers(item.what))
    return bool(facts.addresses(item.what) if item.cidr is not None else facts.texts(item.what))
