"""Why a recipe's fields hold for a flow or do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from raqib.matcher.finding import Finding, quoted
from raqib.model.flow import Endpoint, FlowObservation, flow_action_names
from raqib.recipes.compile_network import FlowRule
from raqib.recipes.spec import NetworkPart, RecipeSpec

_MOST_ENTRIES = 5


def flow_findings(spec: RecipeSpec, part: NetworkPart, seen: FlowObservation) -> list[Finding]:
    """Return what the fields say of a flow, and what it did."""
    rule = FlowRule(0, spec)
    failures = set(rule.failures(seen))
    details = [
        f"{field} {wanted} {'does not hold' if field in failures else 'holds'} for {found}"
        for field, wanted, found in _fields(part, seen)
    ]
    needs = f"needs {'all' if part.flow_actions_all else 'any'} of {' '.join(flow_action_names(part.flow_actions))}"
    did = f"the flow did {' '.join(flow_action_names(seen.actions)) or 'nothing'}"
    return [
        Finding("flow", not failures, tuple(details) or ("any flow",)),
        Finding("flow_actions", rule.satisfied_by(int(seen.actions)), (needs, did)),
    ]


def _fields(part: NetworkPart, seen: FlowObservation) -> Iterator[tuple[str, str, str]]:
    """Yield each field that a recipe has, what it wants, and what the flow has there."""
    domain_files = [listed.path for listed in part.remote_domain_lists]
    network_files = [listed.path for listed in part.remote_cidr_lists]
    if part.protocols:
        yield "protocol", _some(part.protocols), seen.protocol
    if part.local_ports:
        yield "local_port", _some(part.local_ports), str(seen.local.port)
    if part.remote_ports:
        yield "remote_port", _some(part.remote_ports), str(seen.remote.port)
    if part.local_cidrs:
        yield "local_cidrs", _some(part.local_cidrs), seen.local.address
    if part.remote_cidrs or network_files:
        yield "remote_cidrs", _some((*part.remote_cidrs, *network_files)), seen.remote.address
    if part.local_domains:
        yield "local_domains", f"{part.local_domains_type} {_some(part.local_domains)}", _names(seen.local)
    if part.remote_domains or domain_files:
        wanted = f"{part.remote_domains_type} {_some((*part.remote_domains, *domain_files))}"
        yield "remote_domains", wanted, _names(seen.remote)


def _some(entries: Sequence[str | int]) -> str:
    more = f" and {len(entries) - _MOST_ENTRIES} more" if len(entries) > _MOST_ENTRIES else ""
    return ", ".join(quoted(str(entry))[1:-1] for entry in entries[:_MOST_ENTRIES]) + more


def _names(endpoint: Endpoint) -> str:
    return _some(endpoint.names) if endpoint.names else f"{endpoint.address}, of which no name is known"
