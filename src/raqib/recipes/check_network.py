"""Which flows: ports, networks, domains and what a flow did."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from raqib.model.flow import ALL_FLOW_ACTIONS, FLOW_ACTION_NAMES, NO_FLOW_ACTIONS, FlowAction, flow_action_names
from raqib.recipes.check_arbitrary import FLOW_FACTS, network
from raqib.recipes.diagnostic import shown, shown_path
from raqib.recipes.lists import BadListError, Entries, Lists, Read
from raqib.recipes.networks import DomainMatch, normal
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import Breed, Group, NetworkPart

_KNOWN_ACTIONS = {**FLOW_ACTION_NAMES, "any": ALL_FLOW_ACTIONS}
_PROTOCOLS = ("tcp", "udp", "icmp", "any")
_TYPES: tuple[DomainMatch, ...] = ("exact", "suffix", "prefix")
_TYPE_FIELDS = {
    side: (f"{side}_domains_type", f"{side}_domains_trie_type", f"{side}_trie_type") for side in ("local", "remote")
}
_CIDR_FIELDS = {side: (f"{side}_cidrs", f"{side}_ips") for side in ("local", "remote")}

NETWORK_FIELDS = (
    "protocol",
    "local_port",
    "remote_port",
    *_CIDR_FIELDS["local"],
    *_CIDR_FIELDS["remote"],
    "local_domains",
    "remote_domains",
    *_TYPE_FIELDS["local"],
    *_TYPE_FIELDS["remote"],
    "remote_domains_file",
    "remote_cidrs_file",
    "flow_actions",
    "flow_actions_how",
    "flow_actions_excl",
)

_NARROWING = frozenset(
    {"remote_domains_file", "remote_cidrs_file", "local_port", "remote_port"}
    | {f"{side}_{kind}" for side in ("local", "remote") for kind in ("domains", "cidrs", "ips")}
)
"""Without one of these, a recipe is about any peer."""

_DOMAIN = re.compile(r"(?=.{1,253}\Z)[^\s/:@.]{1,63}(\.[^\s/:@.]{1,63})*")


def check_network_part(
    reader: Reader, fields: dict[str, At], breed: Breed, groups: Sequence[Group], whole: At, lists: Lists
) -> NetworkPart:
    """Return what a recipe's fields say about flows; what is wrong is noted in the reader."""
    protocols = tuple(
        word
        for text, place in reader.texts(fields.get("protocol"))
        if (word := reader.word(text, place, _PROTOCOLS)) is not None
    )
    remote_match = _domain_match(reader, fields, "remote")
    part = NetworkPart(
        protocols=() if "any" in protocols else protocols,
        local_ports=_ports(reader, fields.get("local_port")),
        remote_ports=_ports(reader, fields.get("remote_port")),
        local_cidrs=_cidrs(reader, fields, "local"),
        remote_cidrs=_cidrs(reader, fields, "remote"),
        local_domains=_domains(reader, fields.get("local_domains")),
        remote_domains=_domains(reader, fields.get("remote_domains")),
        local_domains_type=_domain_match(reader, fields, "local"),
        remote_domains_type=remote_match,
        remote_domain_lists=_lists(
            reader, fields.get("remote_domains_file"), lambda path: lists.domains(path, remote_match)
        ),
        remote_cidr_lists=_lists(reader, fields.get("remote_cidrs_file"), lists.networks),
        flow_actions=_flow_actions(reader, fields),
        flow_actions_all=reader.choice(fields.get("flow_actions_how"), ("any", "all")) == "all",
    )
    if not fields.keys() & _NARROWING and not any(item.what in FLOW_FACTS for group in groups for item in group.items):
        reader.warning(whole, f"expected {breed} for the breed of that name, found none: any peer matches")
    return part


def _ports(reader: Reader, at: At | None) -> tuple[int, ...]:
    found = (reader.integer(entry, 0, 65535) for entry in reader.entries(at, split=True))
    ports = tuple(port for port in found if port is not None)
    return () if 0 in ports else ports


def _cidrs(reader: Reader, fields: dict[str, At], side: str) -> tuple[str, ...]:
    entries = (entry for name in _CIDR_FIELDS[side] for entry in reader.entries(fields.get(name), split=True))
    return tuple(cidr for entry in entries if (cidr := network(reader, entry)) is not None)


def _domains(reader: Reader, at: At | None) -> tuple[str, ...]:
    result = []
    for text, place in reader.texts(at):
        name = normal(text)
        if _DOMAIN.fullmatch(name) and "*" not in name:
            result.append(name)
            continue
        hint = "; all below a name is meant by the type suffix" if "*" in name else ""
        reader.error(place, f"expected a domain name as example.org, found {shown(text)}{hint}")
    return tuple(result)


def _domain_match(reader: Reader, fields: dict[str, At], side: str) -> DomainMatch:
    for name in _TYPE_FIELDS[side]:
        if name in fields:
            return reader.choice(fields[name], _TYPES) or "exact"
    return "exact"


def _lists(reader: Reader, at: At | None, read: Callable[[str], Read[Entries]]) -> tuple[Entries, ...]:
    result = []
    for path, place in reader.texts(at, split=False):
        try:
            entries, warnings = read(path)
        except BadListError as error:
            reader.error(place, f"{error}: {shown_path(path)}")
            continue
        result.append(entries)
        for warning in warnings:
            reader.warning(place, f"{warning}: {shown_path(path)}")
    return tuple(result)


def _flow_actions(reader: Reader, fields: dict[str, At]) -> FlowAction:
    named = check_flow_actions(reader, fields.get("flow_actions"), ALL_FLOW_ACTIONS)
    excluded = check_flow_actions(reader, fields.get("flow_actions_excl"), NO_FLOW_ACTIONS)
    if named and not named & ~excluded:
        words = " ".join(flow_action_names(named))
        reader.error(fields["flow_actions_excl"], f"expected to leave some flow action, found that all go: {words}")
    return named & ~excluded


def check_flow_actions(reader: Reader, at: At | None, default: FlowAction) -> FlowAction:
    """Return a set of flow actions given by names."""
    if at is None:
        return default
    result = NO_FLOW_ACTIONS
    for text, place in reader.texts(at):
        word = reader.word(text, place, _KNOWN_ACTIONS)
        if word is not None:
            result |= _KNOWN_ACTIONS[word]
    return result
