"""What must not be blocked, and policies that must not be in force: raqib must never be the outage."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from raqib.errors import RefusedError
from raqib.netpolicy.host import Host, address_text
from raqib.netpolicy.spec import PolicySpec, Prefix, Verdict, domain_of, prefix_of

WIDEST = {4: 16, 16: 48}
"""The shortest prefix that may be blocked, by the bytes of an address."""
_LOOPBACK = (prefix_of("127.0.0.0/8"), prefix_of("::1/128"))
_MAPPED = Prefix(bytes(4), 0).mapped[0]
"""Where IPv4 begins in IPv6."""
_NO_HOST = (prefix_of("0.0.0.0/8"), prefix_of("::/128"))


class Guards:
    """Judges runtime blocks. The host is looked at anew each time: addresses come and go."""

    def __init__(self, host: Callable[[], Host], protected: Iterable[str] = ()) -> None:
        """`protected` are networks that are never blocked. Raises ValueError if one is none."""
        self._host = host
        self._protected = tuple(prefix_of(cidr) for cidr in protected)

    def network(self, text: str) -> Prefix:
        """Return the network that a runtime block may hold for.

        Raises:
            RefusedError: it is no network, or must not be blocked.
        """
        try:
            prefix = prefix_of(text.strip())
        except ValueError as error:
            raise RefusedError(str(error)) from error
        widest = WIDEST[len(prefix.address)]
        if prefix.length < widest:
            raise RefusedError(f"expected a network of at most /{widest}, found {prefix}: it is too wide to be blocked")
        if holds_ipv4(prefix):
            raise RefusedError(f"{prefix} is not blocked: all of IPv4 lies in it")
        for meaning, networks in (
            ("loopback", _LOOPBACK),
            ("no host's address", _NO_HOST),
            ("protected by the configuration", self._protected),
        ):
            for network in networks:
                if overlap(prefix, network):
                    raise RefusedError(f"{prefix} is not blocked: {network} is {meaning}")
        host = self._host()
        for meaning, addresses in (
            ("an address of this host", host.own),
            ("the default gateway", host.gateways),
            ("a resolver of this host", host.resolvers),
        ):
            for address in addresses:
                if address in prefix:
                    raise RefusedError(f"{prefix} is not blocked: {address_text(address)} is {meaning}")
        return prefix

    def kept(self) -> list[Prefix]:
        """Return all networks and addresses that are never blocked."""
        host = self._host()
        addresses = (*host.gateways, *host.resolvers, *host.own)
        return [*_LOOPBACK, *_NO_HOST, *self._protected, *(Prefix(address, 8 * len(address)) for address in addresses)]

    def domain(self, text: str) -> str:
        """Return the domain that a runtime block may hold for.

        Raises:
            RefusedError: it is no domain, or a single label.
        """
        try:
            domain = domain_of(text)
        except ValueError as error:
            raise RefusedError(str(error)) from error
        if "." not in domain:
            raise RefusedError(f"{domain} is not blocked: a single label holds for far too many names")
        return domain


def overlap(prefix: Prefix, other: Prefix) -> bool:
    """Tell whether two networks have an address in common."""
    return prefix.address in other or other.address in prefix


def holds_ipv4(prefix: Prefix) -> bool:
    """Tell whether a network of IPv6 has all of IPv4 in it: where both families are in one map, it would match it."""
    return len(prefix.address) == 16 and prefix.length < 96 and _MAPPED in prefix


def cut_off(policy: PolicySpec, host: Host) -> list[str]:
    """Return what the policy would cut this host from: its gateways and its resolvers, each with its meaning.

    Nothing, if that is meant.
    """
    if not may_cut_off(policy):
        return []
    meanings = dict.fromkeys(host.gateways, "the default gateway")
    meanings.update(dict.fromkeys(host.resolvers, "a resolver"))
    verdicts = verdicts_for(policy, meanings)
    return [
        f"{address_text(address)} ({meaning})"
        for address, meaning in sorted(meanings.items())
        if verdicts[address] == "deny"
    ]


def cut_off_message(lost: list[str]) -> str:
    """Return what to say of a policy that would cut this host off from what `cut_off` returned."""
    return (
        "expected a policy that leaves this host its gateway and resolvers, found one that denies "
        f"{', '.join(lost)}; add allow rules, or i_know: true if that is meant"
    )


def may_cut_off(policy: PolicySpec) -> bool:
    """Tell whether a policy drops packets because of their address, and does not say that it is meant."""
    if policy.i_know or policy.cidr_mode in ("bypass", "alert"):
        return False
    return policy.cidr_policy == "deny" or any(rule.policy == "deny" for rule in policy.cidrs)


def verdicts_for(policy: PolicySpec, addresses: Iterable[bytes]) -> dict[bytes, Verdict]:
    """Return what the rules for networks say of some addresses: the longest prefix decides."""
    verdicts: dict[bytes, Verdict] = dict.fromkeys(addresses, policy.cidr_policy)
    lengths = dict.fromkeys(verdicts, -1)
    for rule in policy.cidrs:
        for address in verdicts:
            if rule.prefix.length > lengths[address] and address in rule.prefix:
                verdicts[address], lengths[address] = rule.policy, rule.prefix.length
    return verdicts
