"""What a sensor tells of the network: one process took part in one flow of packets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntFlag
from functools import cache, reduce
from operator import or_
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec

from raqib.model.process import Process


class FlowAction(IntFlag):
    """A set of what a flow has done; the bit positions are those of `bpf/layout/net.h`."""

    CREATED = 1 << 0
    """Seen for the first time. A flow that was there before the sensors has it not."""
    INGRESS = 1 << 1
    """A packet came to this host's side."""
    EGRESS = 1 << 2
    """A packet left it."""
    INCOMING = 1 << 3
    """The remote side began."""
    OUTGOING = 1 << 4
    """This host's side began."""
    STARTED = 1 << 5
    """The first packet, or the connection is established."""
    ONGOING = 1 << 6
    """Both sides have sent."""
    ENDED = 1 << 7
    TERMINATOR = 1 << 8
    """This host's side ended it."""
    TERMINATED = 1 << 9
    """The remote side ended it."""


NO_FLOW_ACTIONS = FlowAction(0)
ALL_FLOW_ACTIONS: FlowAction = reduce(or_, FlowAction)

FLOW_ACTION_NAMES: Mapping[str, FlowAction] = MappingProxyType(
    {action.name.lower(): action for action in FlowAction if action.name}
)
"""Each single action by its name in recipes and events."""


@cache
def flow_action_names(actions: int) -> tuple[str, ...]:
    """Return the names of the actions in a set, in bit order."""
    return tuple(name for name, action in FLOW_ACTION_NAMES.items() if actions & action.value)


NamesFrom = Literal["resolver", "unlisted"]


class Named(NamedTuple):
    """The names of an address for a process, as an `Endpoint` has them."""

    names: tuple[str, ...] = ()
    hearsay: tuple[str, ...] = ()
    names_from: NamesFrom | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """One side of a flow."""

    address: str
    """IPv4 dotted, or IPv6 as RFC 5952 writes it; an IPv4 address mapped into IPv6 is shown as IPv4."""
    port: int = 0
    """0 where the protocol has none."""
    names: tuple[str, ...] = ()
    """What hosts really resolved to the address, without trailing dot: what this host's resolvers said, latest first,
    then what others did."""
    hearsay: tuple[str, ...] = ()
    """Those of them that no resolver of this host said, but another server that was asked. They can be made up."""
    names_from: NamesFrom | None = None
    """Where they come from, if there are such: `resolver` of the process's namespace, or `unlisted` of any server."""

    @property
    def sure_names(self) -> tuple[str, ...]:
        """The names that this host's resolvers said."""
        return tuple(name for name in self.names if name not in self.hearsay)

    def without_hearsay(self) -> Endpoint:
        """Return it with those names alone."""
        return Endpoint(self.address, self.port, self.sure_names) if self.hearsay else self


class Traffic(msgspec.Struct, frozen=True):
    """What a flow has carried so far. Bytes count network headers too."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class FlowObservation(msgspec.Struct, frozen=True):
    """A flow of a process that gained an action."""

    process: Process
    """As it was when the record was made."""
    protocol: str
    """`tcp`, `udp` or `icmp` (both versions)."""
    ip_version: int
    local: Endpoint
    """This host's side of the socket."""
    remote: Endpoint
    actions: FlowAction
    """All that the flow has done so far."""
    new: FlowAction
    """What of it is news: not delivered before."""
    timestamp_ns: int
    """CLOCK_BOOTTIME."""
    icmp_type: int | None = None
    icmp_code: int | None = None
    lost: int = 0
    """Flows of which the kernel side could not keep a record in this process's window."""
    traffic: Traffic = Traffic()
    first_ns: int = 0
    """CLOCK_BOOTTIME at which the flow was first seen; 0 is not known."""

    def without_hearsay(self) -> FlowObservation | None:
        """Return it with the names alone that this host's resolvers said; None if there are no others."""
        if not self.local.hearsay and not self.remote.hearsay:
            return None
        return msgspec.structs.replace(self, local=self.local.without_hearsay(), remote=self.remote.without_hearsay())
