"""The flow sensor: who talks to whom, from the kernel's flow maps."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any, NamedTuple

from msgspec.structs import replace

from raqib.kernel.layout import ffi
from raqib.model.flow import NO_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation
from raqib.model.process import Process, ProcessKey
from raqib.sensors.network import NetworkSensor

Names = Callable[[str], tuple[str, ...]]
"""Finds what an address was really resolved from, latest first."""

_TCP, _UDP, _ICMP = 6, 17, 1
PROTOCOLS = {_TCP: "tcp", _UDP: "udp", _ICMP: "icmp"}
_MOST_OF_ONE = 1000


class Totals(NamedTuple):
    """What a flow has carried. Bytes count network headers too."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


class KnownFlow(NamedTuple):
    """A flow as the kernel remembers it."""

    seen: FlowObservation
    totals: Totals
    first_ns: int
    """CLOCK_BOOTTIME at which it was first seen."""


def no_names(address: str) -> tuple[str, ...]:
    """Know no names."""
    return ()


class FlowSensor:
    """Hands over flows that gained a wanted action, and answers which flows a process has. Belongs to one thread."""

    def __init__(
        self,
        network: NetworkSensor,
        observe: Callable[[FlowObservation], None],
        process: Callable[[ProcessKey], Process | None],
        *,
        agent: int = 0,
        names: Names = no_names,
    ) -> None:
        """Prepare; nothing is handed over before `set_wanted`.

        `process` looks a process up, living or not; `agent` is the pid of the daemon itself, of whose own flows it is
        not told.
        """
        self._network = network
        self._observe = observe
        self._process = process
        self._names = names
        bpf = network.bpf
        self._flows = bpf.map("flows", "struct flow_key", "struct flow")
        self._heads = bpf.map("flow_heads", "struct process_key", "struct flow_head")
        self._links = bpf.map("flow_links", "struct flow_link_key", "struct flow_link")
        self._pending = bpf.map("flows_pending", "struct flow_link_key", "struct flow_record")
        self._configs = bpf.map(".data.flow_config", "uint32_t", "struct flow_config")
        self._zero = self._configs.key(0)
        self._config: Any = self._configs.value({"agent": agent})
        self._write()
        self._swept = 0
        network.on("NET_RECORD_FLOW", self._receive)

    def set_wanted(self, wanted: FlowAction) -> None:
        """Be told of flows that gain one of these actions, and of no others."""
        self._config.wanted = int(wanted)
        self._write()

    def take_existing(self) -> None:
        """Take in the sockets that were there before: whose they are, and the flows of those that are connected."""
        for step in (1, 2):
            self._config["pass"] = step
            self._write()
            self._network.bpf.iterate("existing_sockets")

    def flows(self, key: ProcessKey, most: int = _MOST_OF_ONE) -> list[KnownFlow]:
        """Return the flows of a process, the newest first, as far as the kernel remembers; `most` are looked at."""
        raw_key = self._heads.key({"pid": key.pid, "start_ns": key.start_ns})
        head = self._heads.get(raw_key)
        at = head.last if head else 0
        found: list[KnownFlow] = []
        visited: set[int] = set()
        process: Process | None = None
        while at and at not in visited and len(visited) < most:
            visited.add(at)
            link = self._links.get(self._links.key({"process": raw_key[0], "flow": at}))
            if link is None:
                break
            flow = self._flows.get(ffi.addressof(link, "key"))
            if flow is not None and flow.id == at:
                process = process or self._process(key) or Process(key=key)
                seen = self._observation(link.key, flow, process, FlowAction(flow.actions), NO_FLOW_ACTIONS)
                found.append(KnownFlow(replace(seen, timestamp_ns=flow.first_ns), _totals(flow.totals), flow.first_ns))
            at = link.next
        return found

    def sweep(self) -> int:
        """Deliver what did not fit into the ring buffer when it happened; return the number of records."""
        pending = self._network.counters()["pending_flows"]
        if pending == self._swept:
            return 0
        self._swept = pending
        count = 0
        for key, _ in list(self._pending.entries()):
            record = self._pending.take(key)
            if record is not None:
                count += 1
                self._receive(record)
        return count

    def _write(self) -> None:
        self._configs.set(self._zero, self._config)

    def _receive(self, raw: Any) -> None:
        record: Any = ffi.cast("struct flow_record *", raw)
        owner = record.head.process
        process = _as_of(self._process_of(ProcessKey(owner.pid, owner.start_ns)), record.head.timestamp_ns)
        seen = self._observation(record.key, record, process, FlowAction(record.actions), FlowAction(record.fresh))
        self._observe(replace(seen, timestamp_ns=record.head.timestamp_ns, lost=record.head.lost))

    def _process_of(self, key: ProcessKey) -> Process:
        return self._process(key) or Process(key=key)

    def _observation(
        self, key: Any, flow: Any, process: Process, actions: FlowAction, new: FlowAction
    ) -> FlowObservation:
        protocol = PROTOCOLS[key.protocol]
        is_icmp = protocol == "icmp"
        return FlowObservation(
            process=process,
            protocol=protocol,
            ip_version=key.version,
            local=self._endpoint(key.local, 0 if is_icmp else key.local_port),
            remote=self._endpoint(key.remote, 0 if is_icmp else key.remote_port),
            actions=actions,
            new=new,
            timestamp_ns=0,
            icmp_type=flow.icmp_type if is_icmp else None,
            icmp_code=flow.icmp_code if is_icmp else None,
        )

    def _endpoint(self, raw: Any, port: int) -> Endpoint:
        address = address_text(bytes(ffi.buffer(raw.bytes)))
        return Endpoint(address, port, self._names(address))


def address_text(raw: bytes) -> str:
    """Return 16 bytes as an address: IPv4 if it is mapped into IPv6."""
    address = IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def _totals(raw: Any) -> Totals:
    return Totals(raw.packets_in, raw.packets_out, raw.bytes_in, raw.bytes_out)


def _as_of(process: Process, timestamp_ns: int) -> Process:
    """Return a process as it was, if it has run another program only since then."""
    if process.previous is not None and process.image.exec_ns > timestamp_ns:
        return replace(process, image=process.previous, previous=None)
    return process
