"""Whether `arbitrary` lets an event pass: it passes if every group ends pertinent."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

from raqib.matcher.facts import Facts
from raqib.recipes.networks import number_of
from raqib.recipes.regex import Expression
from raqib.recipes.spec import Group, Item, RecipeSpec

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "smaller": operator.lt,
    "bigger": operator.gt,
    "equal": operator.eq,
}
_Test = Callable[[Facts], bool]


class Arbitrary:
    """The groups of one recipe, prepared."""

    __slots__ = ("_groups",)

    def __init__(self, spec: RecipeSpec) -> None:
        self._groups = [_PreparedGroup(group) for group in spec.groups]

    def passes(self, facts: Facts) -> bool:
        """Tell whether every group ends pertinent."""
        return all(group.is_pertinent(facts) for group in self._groups)


class _PreparedGroup:
    def __init__(self, group: Group) -> None:
        self._irrelevant = [compile_item(item) for item in group.items if not item.pertinent]
        self._pertinent = [compile_item(item) for item in group.items if item.pertinent]
        self._every = group.every
        self._otherwise = group.pertinent

    def is_pertinent(self, facts: Facts) -> bool:
        if any(matches(facts) for matches in self._irrelevant):
            return False
        if self._pertinent:
            decide = all if self._every else any
            return decide(matches(facts) for matches in self._pertinent)
        return self._otherwise


def compile_item(item: Item) -> _Test:
    """Return a function that tells whether the item matches; a fact that is not known never does.

    An address is smaller than a network if it lies before it, bigger if behind, among those of its version of IP.
    """
    what = item.what
    if item.pattern is not None:
        expression = Expression(item.pattern)
        if (index := item.index) is not None:
            return lambda facts: any(expression.found_in(text) for text in facts.argument(index))
        return lambda facts: any(expression.found_in(text) for text in facts.texts(what))
    compare = _COMPARE[item.when]
    if item.numbers is not None:
        numbers: Sequence[int] = item.numbers
        return lambda facts: any(compare(known, number) for known in facts.numbers(what) for number in numbers)
    if item.time is not None:
        second = int(item.time.timestamp())
        return lambda facts: any(compare(known, second) for known in facts.seconds(what))
    if item.cidr is not None:
        network = ip_network(item.cidr)
        bits = network.max_prefixlen - network.prefixlen
        number = int(network.network_address) >> bits
        return lambda facts: any(
            version == network.version and compare(known >> bits, number)
            for version, known in map(number_of, facts.addresses(what))
        )
    return lambda facts: False
