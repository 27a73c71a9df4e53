"""The network's eBPF object: its programs belong to a cgroup, which is found, not assumed."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.layout import constant, ffi
from raqib.kernel.libbpf import Libbpf
from raqib.kernel.object import BpfObject

NETWORK_HOOKS = ("net_egress", "net_ingress")
"""The programs that look at packets, both attached to one cgroup."""
SOCKET_HOOKS = (
    "net_sock_create",
    "net_sock_release",
    "net_connect4",
    "net_connect6",
    "net_sendmsg4",
    "net_sendmsg6",
    "net_getpeername4",
    "net_getpeername6",
    "net_sockops",
)
"""The programs that tell whose a socket is, attached to the same cgroup."""
_USE_TRACES = ("sock_recv_length",)
_OLDER_USE_TRACES = ("tcp_rcv_space_adjust",)
_SHARED = {
    "NET_SOCKETS": "net_sockets",
    "NET_FLOWS": "flows",
    "NET_LINKS": "flow_links",
    "NET_HEADS": "flow_heads",
    "NET_QUESTIONS": "net_questions",
}
"""Of what users have shares, by what the programs call it."""
_BTF_KIND_TYPEDEF, _BTF_KIND_FUNC = 8, 12
_DESTROY = ("bpf_sock_destroy", _BTF_KIND_FUNC)


def find_cgroup2() -> Path | None:
    """Return where cgroup v2 is mounted, which is its root; None if it is not."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(fields.split()[4].encode().decode("unicode_escape"))
    return None


def load_network(
    sizes: Mapping[str, int] | None = None,
    *,
    pins: Mapping[str, Path] | None = None,
    without: Collection[str] = (),
    only: Collection[str] | None = None,
) -> BpfObject:
    """Load the network's object, but nothing that this kernel does not have; see `BpfObject`."""
    unused = {*_USE_TRACES, *_OLDER_USE_TRACES} - {*use_traces()}
    if not can_destroy_sockets():
        unused.add("destroy_forbidden")
    bpf = BpfObject(sizes, name="net", pins=pins, without={*without, *unused}, only=only)
    rooms = bpf.map(".data.net_room", "uint32_t", "struct net_room")
    room = rooms.value({"pending_most": bpf.size("flows_pending")})
    for table, name in _SHARED.items():
        room.most[constant(table)] = bpf.size(name)
    rooms.set(rooms.key(0), room)
    return bpf


def use_traces() -> tuple[str, ...]:
    """Return the programs on tracepoints that tell of receiving on this kernel; 6.3 brought a better one."""
    wanted = {(f"btf_trace_{name}", _BTF_KIND_TYPEDEF) for name in _USE_TRACES}
    return _USE_TRACES if wanted <= _known_types() else _OLDER_USE_TRACES


def can_destroy_sockets() -> bool:
    """Tell whether this kernel lets a program end a connection: since 6.5."""
    return _DESTROY in _known_types()


@cache
def _known_types() -> frozenset[tuple[str, int]]:
    """Return which of the types that matter this kernel has; read once, for reading them all takes a while."""
    wanted = [_DESTROY, *((f"btf_trace_{name}", _BTF_KIND_TYPEDEF) for name in _USE_TRACES)]
    library = Libbpf()
    types = library.calls.btf__load_vmlinux_btf()
    if types == ffi.NULL:
        raise library.error("expected the kernel's types (BTF) to be readable, found")
    try:
        find = library.calls.btf__find_by_name_kind
        return frozenset((name, kind) for name, kind in wanted if find(types, name.encode(), kind) > 0)
    finally:
        library.calls.btf__free(types)


class CgroupAttachment:
    """The packet programs on one cgroup and all below it, until closed."""

    def __init__(self, bpf: BpfObject, cgroup: Path) -> None:
        """Attach.

        Raises NotPermittedError if this is no cgroup v2, or not ours to use.
        """
        self._library = bpf.library
        self._links: dict[str, Any] = {}
        try:
            fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotPermittedError(f"expected a directory of cgroup v2, found: {error}; give --cgroup PATH") from error
        try:
            for name in NETWORK_HOOKS:
                self._links[name] = bpf.attach_cgroup(name, fd)
        except RaqibError as error:
            self.close()
            raise NotPermittedError(
                f"expected a directory of cgroup v2 at {cgroup}, found: {error}; give --cgroup PATH"
            ) from error
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach, except what is pinned."""
        while self._links:
            self._library.calls.bpf_link__destroy(self._links.popitem()[1])
