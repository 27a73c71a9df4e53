"""The flow sensor: who talks to whom, from the kernel's flow maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from raqib.kernel.layout import ffi
from raqib.kernel.network import find_cgroup2
from raqib.model.flow import NO_FLOW_ACTIONS, Endpoint, FlowAction, FlowObservation, Named, Traffic
from raqib.model.process import Process, ProcessKey
from raqib.sensors.network import NetworkSensor

Names = Callable[[str, int, Process], Named]
"""Finds what an address was really resolved from, in a network namespace and for a process."""

_TCP, _UDP, _ICMP = 6, 17, 1
PROTOCOLS = {_TCP: "tcp", _UDP: "udp", _ICMP: "icmp"}
_MOST_IN_AN_EVENT = 256
_MOST = 1 << 16


def no_names(address: str, net_ns: int, process: Process) -> Named:
    """Know no names."""
    return Named()


class FlowSensor:
    """Hands over flows that gained a wanted action, and answers which flows a process has. Belongs to one thread."""

    def __init__(
        self,
        network: NetworkSensor,
        observe: Callable[[FlowObservation], None],
        process: Callable[[ProcessKey], Process | None],
        *,
        names: Names = no_names,
    ) -> None:
        """Prepare; nothing is handed over before `set_wanted`. `process` looks a process up, living or not."""
        self._network = network
        self._observe = observe
        self._process = process
        self._names = names
        bpf = network.bpf
        self._flows = bpf.map("flows", "struct flow_key", "struct flow")
        self._sockets = bpf.map("net_sockets", "uint64_t", "struct net_socket")
        self._heads = bpf.map("flow_heads", "struct process_key", "struct flow_head")
        self._links = bpf.map("flow_links", "struct flow_link_key", "struct flow_link")
        self._pending = bpf.map("flows_pending", "struct flow_link_key", "struct flow_pending")
        self._configs = bpf.map(".data.flow_config", "uint32_t", "struct flow_config")
        self._zero = self._configs.key(0)
        self._config: Any = self._configs.value()
        self._write()
        self._swept = 0
        self._sweeping: Iterator[tuple[Any, Any]] | None = None
        network.on("NET_RECORD_FLOW", self._receive)

    def set_agent(self, pid: int) -> None:
        """Be told nothing of the flows of one process: the daemon itself."""
        self._config.agent = pid
        self._write()

    def set_cgroup(self, cgroup: Path) -> None:
        """Know only the sockets of this cgroup and of those below it, also where hooks have no such bound.

        Raises OSError if it is not there.
        """
        self._config.cgroup = 0 if cgroup == find_cgroup2() else cgroup.stat().st_ino
        self._write()

    def set_wanted(self, wanted: FlowAction) -> None:
        """Be told of flows that gain one of these actions, and of no others."""
        self._config.wanted = int(wanted)
        self._write()

    def take_existing(self) -> None:
        """Take in the sockets that were there before: whose they are, and the flows of those that are connected."""
        for step in (1, 2):
            self._config.step = step
            self._write()
            self._network.bpf.iterate("existing_sockets")

    def flows(self, key: ProcessKey, most: int = _MOST_IN_AN_EVENT) -> list[FlowObservation]:
        """Return the flows of a process, the newest first, as far as the kernel remembers; `most` are looked at.

        Their time is that of the first packet.
        """
        found: list[FlowObservation] = []
        process: Process | None = None
        for number, link in self._links_of(key, most):
            flow = self._flows.get(ffi.addressof(link, "key"))
            if flow is not None and flow.id == number:
                self._add_of_socket(link.key, flow)
                process = process or self._process_of(key)
                found.append(self._observation(link.key, flow, process, flow.first_ns))
        return found

    def remotes(self, key: ProcessKey) -> tuple[Endpoint, ...]:
        """Return every remote node in the flows of a process until now, each once, the newest first, without ports."""
        found = dict.fromkeys(
            (bytes(ffi.buffer(link.key.remote.bytes)), link.key.net_ns) for _, link in self._links_of(key, _MOST)
        )
        process = self._process_of(key)
        return tuple(self._endpoint(raw, 0, net_ns, process) for raw, net_ns in found)

    def _links_of(self, key: ProcessKey, most: int) -> Iterator[tuple[int, Any]]:
        """Yield number and link of each flow of a process."""
        raw_key = self._heads.key({"pid": key.pid, "start_ns": key.start_ns})
        head = self._heads.get(raw_key)
        at = head.last if head else 0
        visited: set[int] = set()
        while at and at not in visited and len(visited) < most:
            visited.add(at)
            link = self._links.get(self._links.key({"process": raw_key[0], "flow": at}))
            if link is None:
                return
            yield at, link
            at = link.next

    def net_ns_of(self, cookie: int) -> int:
        """Return the network namespace of a socket, by its cookie; 0 if it is not known any more."""
        socket = self._sockets.get(self._sockets.key(cookie))
        return int(socket.net_ns) if socket else 0

    def close(self) -> None:
        """Want nothing any more: what is pinned may go on without the daemon."""
        self.set_wanted(NO_FLOW_ACTIONS)

    @property
    def sweeping(self) -> bool:
        """Whether the last sweep ended before it had seen everything."""
        return self._sweeping is not None

    def sweep(self, most: int | None = None) -> int:
        """Deliver what did not fit into the ring buffer when it happened; return the number of records.

        No more than `most`: then the next call goes on from there.
        """
        if self._sweeping is None:
            pending = self._network.counters()["pending_flows"]
            if pending == self._swept:
                return 0
            self._swept = pending
            self._sweeping = self._pending.entries()
        count = 0
        request: Any = ffi.new("struct flow_take_request *")
        for key, _ in self._sweeping:
            request.place = key[0]
            self._network.bpf.run("take_pending", request, ffi.sizeof("struct flow_take_request"))
            if request.found:
                count += 1
                self._deliver_pending(key, request.pending)
            if count == most:
                return count
        self._sweeping = None
        return count

    def forgotten(self) -> int:
        """Return how many flows newer ones have pushed out so far. Goes over all flows."""
        counted = self._network.counters()["flows_made"]
        return max(0, counted - sum(1 for _ in self._flows.entries()))

    def _write(self) -> None:
        self._configs.set(self._zero, self._config)

    def _receive(self, raw: Any) -> None:
        record: Any = ffi.cast("struct flow_record *", raw)
        head = record.head
        self._hand_over(record.key, record, head.process, head.timestamp_ns, record.fresh, head.lost)

    def _deliver_pending(self, place: Any, pending: Any) -> None:
        flow = self._flows.get(ffi.addressof(pending, "key"))
        if flow is None or flow.id != place.flow:  # forgotten meanwhile
            flow = self._flows.value({"actions": pending.fresh})
        self._hand_over(pending.key, flow, place.process, pending.timestamp_ns, pending.fresh, pending.lost)

    def _hand_over(self, key: Any, flow: Any, owner: Any, timestamp_ns: int, fresh: int, lost: int) -> None:
        process = as_of(self._process_of(ProcessKey(owner.pid, owner.start_ns)), timestamp_ns)
        seen = self._observation(key, flow, process, timestamp_ns)
        self._observe(replace(seen, new=FlowAction(fresh), lost=lost))

    def _add_of_socket(self, key: Any, flow: Any) -> None:
        """Add what the flow's socket has counted and not yet handed on."""
        socket = self._sockets.get(self._sockets.key(flow.cookie))
        if socket is None or bytes(ffi.buffer(ffi.addressof(socket, "last"))) != bytes(ffi.buffer(ffi.addressof(key))):
            return
        for name in Traffic.__struct_fields__:
            setattr(flow.totals, name, getattr(flow.totals, name) + getattr(socket.totals, name))

    def _process_of(self, key: ProcessKey) -> Process:
        return self._process(key) or Process(key=key)

    def _observation(self, key: Any, flow: Any, process: Process, timestamp_ns: int) -> FlowObservation:
        """Describe a flow, of a `struct flow` or a `struct flow_record`."""
        is_icmp = key.protocol == _ICMP
        totals = flow.totals

        def endpoint(raw: Any, port: int) -> Endpoint:
            return self._endpoint(bytes(ffi.buffer(raw.bytes)), 0 if is_icmp else port, key.net_ns, process)

        return FlowObservation(
            process=process,
            protocol=PROTOCOLS[key.protocol],
            ip_version=key.version,
            local=endpoint(key.local, key.local_port),
            remote=endpoint(key.remote, key.remote_port),
            actions=FlowAction(flow.actions),
            new=NO_FLOW_ACTIONS,
            timestamp_ns=timestamp_ns,
            icmp_type=flow.icmp_type if is_icmp else None,
            icmp_code=flow.icmp_code if is_icmp else None,
            traffic=Traffic(totals.packets_in, totals.packets_out, totals.bytes_in, totals.bytes_out),
            first_ns=flow.first_ns,
        )

    def _endpoint(self, raw: bytes, port: int, net_ns: int, process: Process) -> Endpoint:
        address = address_text(raw)
        return Endpoint(address, port, *self._names(address, net_ns, process))


def address_text(raw: bytes) -> str:
    """Return 16 bytes as an address: IPv4 if it is mapped into IPv6."""
    address = IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def as_of(process: Process, timestamp_ns: int) -> Process:
    """Return a process as it was, if it has run another program only since then."""
    if process.previous is not None and process.image.exec_ns > timestamp_ns:
        return replace(process, image=process.previous, previous=None)
    return process
