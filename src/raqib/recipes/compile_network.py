"""Recipes about flows become a set that answers quickly, however many they are and however long their lists.

Each recipe is found by the one of its fields that tells most: its names, its networks, its ports, or its protocols.
What few names and networks it has itself stand in indexes that all recipes share; each long list is asked by itself,
which costs the same whatever its length. The other fields are then tried on what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import Final

from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.recipes.networks import DomainIndex, DomainMatch, DomainSet, NetworkIndex, NetworkSet
from raqib.recipes.spec import NetworkPart, RecipeSpec

LONG: Final = 4096
"""A list of more entries in a recipe itself is asked as one in a file is."""


class _Names:
    """The names of one side that a recipe is about."""

    def __init__(self, names: tuple[str, ...], match: DomainMatch, lists: Iterable[DomainSet] = ()) -> None:
        self.names = names
        self.match = match
        self.sets = (*((DomainSet(names, match),) if names else ()), *lists)

    def has(self, endpoint: Endpoint) -> bool:
        return any(name in entries for name in endpoint.names for entries in self.sets)


class _Networks:
    """The networks of one side that a recipe is about."""

    def __init__(self, cidrs: tuple[str, ...], lists: Iterable[NetworkSet] = ()) -> None:
        self.cidrs = cidrs
        self.sets = (*((NetworkSet(cidrs),) if cidrs else ()), *lists)

    def has(self, endpoint: Endpoint) -> bool:
        return any(endpoint.address in entries for entries in self.sets)


class FlowRule:
    """A recipe about flows, prepared."""

    __slots__ = ("_all", "_local_ports", "_protocols", "_remote_ports", "_sides", "index", "part", "spec", "wanted")

    def __init__(self, index: int, spec: RecipeSpec) -> None:
        if spec.network is None:
            raise ValueError(f"expected a recipe about flows, found {spec.name}: {spec.mechanism}")
        part = spec.network
        self.index = index
        self.spec = spec
        self.part = part
        self.wanted = int(part.flow_actions)
        """The actions whose coming can make the recipe match."""
        self._all = part.flow_actions_all
        self._protocols = frozenset(part.protocols)
        self._local_ports = frozenset(part.local_ports)
        self._remote_ports = frozenset(part.remote_ports)
        self._sides = _sides(part)

    @property
    def telling(self) -> tuple[str, _Names | _Networks] | None:
        """What is asked of the sides that tells most, and its field; None if nothing is."""
        return next(iter(self._sides.items()), None)

    def satisfied_by(self, actions: int) -> bool:
        """Tell whether all that a flow did is enough."""
        return actions & self.wanted == self.wanted if self._all else actions & self.wanted != 0

    def failures(self, seen: FlowObservation) -> Iterator[str]:
        """Yield the fields that do not hold for a flow, what it did apart."""
        if self._protocols and seen.protocol not in self._protocols:
            yield "protocol"
        if self._local_ports and seen.local.port not in self._local_ports:
            yield "local_port"
        if self._remote_ports and seen.remote.port not in self._remote_ports:
            yield "remote_port"
        for field, wanted in self._sides.items():
            if not wanted.has(seen.local if field.startswith("local") else seen.remote):
                yield field

    def holds(self, seen: FlowObservation) -> bool:
        """Tell whether all fields hold for a flow, what it did apart."""
        return next(self.failures(seen), None) is None


def _sides(part: NetworkPart) -> dict[str, _Names | _Networks]:
    """Return what is asked of the two sides, by field; what tells most comes first."""
    domain_lists = tuple(listed.entries for listed in part.remote_domain_lists)
    network_lists = tuple(listed.entries for listed in part.remote_cidr_lists)
    sides: dict[str, _Names | _Networks] = {}
    if part.remote_domains or domain_lists:
        sides["remote_domains"] = _Names(part.remote_domains, part.remote_domains_type, domain_lists)
    if part.local_domains:
        sides["local_domains"] = _Names(part.local_domains, part.local_domains_type)
    if part.remote_cidrs or network_lists:
        sides["remote_cidrs"] = _Networks(part.remote_cidrs, network_lists)
    if part.local_cidrs:
        sides["local_cidrs"] = _Networks(part.local_cidrs)
    return sides


class _Side:
    """The recipes that are found by one side of a flow."""

    def __init__(self) -> None:
        self._names = DomainIndex()
        self._networks = NetworkIndex()
        self._long_names: list[tuple[DomainSet, int]] = []
        self._long_networks: list[tuple[NetworkSet, int]] = []
        self._ports: dict[int, list[int]] = {}

    def add(self, wanted: _Names | _Networks, rule: int) -> None:
        if isinstance(wanted, _Names):
            short = len(wanted.names) <= LONG
            if short:
                self._names.add(wanted.names, wanted.match, rule)
            self._long_names += [(entries, rule) for entries in wanted.sets[1 if short and wanted.names else 0 :]]
        else:
            short = len(wanted.cidrs) <= LONG
            if short:
                self._networks.add(wanted.cidrs, rule)
            self._long_networks += [(entries, rule) for entries in wanted.sets[1 if short and wanted.cidrs else 0 :]]

    def add_ports(self, ports: Iterable[int], rule: int) -> None:
        for port in ports:
            self._ports.setdefault(port, []).append(rule)

    def candidates(self, endpoint: Endpoint) -> Iterator[int]:
        for name in endpoint.names:
            yield from self._names.owners(name)
            yield from (rule for entries, rule in self._long_names if name in entries)
        yield from self._networks.owners(endpoint.address)
        yield from (rule for entries, rule in self._long_networks if endpoint.address in entries)
        yield from self._ports.get(endpoint.port, ())


class CompiledFlows:
    """All enabled recipes about flows, indexed. Immutable; a reload makes a new one."""

    def __init__(self, specs: Iterable[RecipeSpec]) -> None:
        """Take the recipes among these that are about flows."""
        about_flows = (spec for spec in specs if spec.network is not None)
        self.rules: tuple[FlowRule, ...] = tuple(FlowRule(index, spec) for index, spec in enumerate(about_flows))
        self._remote, self._local = _Side(), _Side()
        self._protocols: dict[str, list[int]] = {}
        self._always: list[int] = []
        for rule in self.rules:
            self._index(rule)
        self.wanted = FlowAction(reduce(or_, (rule.wanted for rule in self.rules), 0))
        """All that any recipe could need; 0 if none is about flows."""

    def _index(self, rule: FlowRule) -> None:
        part = rule.part
        telling = rule.telling
        if telling is not None:
            field, wanted = telling
            (self._local if field.startswith("local") else self._remote).add(wanted, rule.index)
        elif part.remote_ports:
            self._remote.add_ports(part.remote_ports, rule.index)
        elif part.local_ports:
            self._local.add_ports(part.local_ports, rule.index)
        elif part.protocols:
            for protocol in part.protocols:
                self._protocols.setdefault(protocol, []).append(rule.index)
        else:
            self._always.append(rule.index)

    def candidates(self, seen: FlowObservation) -> list[FlowRule]:
        """Return the rules whose fields hold for a flow, what it did apart, in their order."""
        found = set(self._always)
        found.update(self._protocols.get(seen.protocol, ()))
        found.update(self._remote.candidates(seen.remote))
        found.update(self._local.candidates(seen.local))
        return [rule for index in sorted(found) if (rule := self.rules[index]).holds(seen)]
