"""The network's programs, and their records: each kind goes to whom it is for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from raqib.kernel.layout import constant, ffi
from raqib.kernel.libbpf import Libbpf
from raqib.kernel.network import SOCKET_HOOKS, CgroupAttachment, find_cgroup2, load_network, use_traces
from raqib.kernel.object import BpfObject
from raqib.kernel.ring import Ring
from raqib.model.process import ProcessKey
from raqib.sensors.accounts import OTHERS, Lost

_TRACES = ("inet_sock_set_state",)

Handle = Callable[[Any], None]
"""Gets a `struct net_record *`, valid only during the call."""


class NetworkSensor:
    """Loads, attaches and reads. Belongs to one thread."""

    def __init__(
        self,
        sizes: Mapping[str, int] | None = None,
        *,
        pins: Mapping[str, Path] | None = None,
        without: Collection[str] = (),
    ) -> None:
        """Load the programs; nothing is seen before `start`. The arguments are those of `BpfObject`."""
        self._stack = ExitStack()
        self.bpf: BpfObject = load_network(sizes, pins=pins, without=without)
        self._stack.callback(self.bpf.close)
        self._handlers: dict[int, Handle] = {}
        self._counters = self.bpf.map(".data.net_counters", "uint32_t", "struct net_counters")
        self._zero = self._counters.key(0)
        self._accounts = self.bpf.map("net_accounts", "uint32_t", "struct net_account")
        self._accounts.set(self._accounts.key(OTHERS), self._accounts.value({"id": OTHERS}))
        self._lost: dict[int, int] = {}
        self._ring = Ring(self.bpf, "net_records", "struct net_record", self._receive)
        self._stack.callback(self._ring.close)

    def on(self, kind: str, handle: Handle) -> None:
        """Let `handle` have the records of a kind, such as `NET_RECORD_FLOW`."""
        self._handlers[constant(kind)] = handle

    def start(self, cgroup: Path, attach: Callable[[BpfObject, Path], Any] = CgroupAttachment) -> None:
        """See what happens in a cgroup and all below it, from now on.

        `attach` attaches the programs that look at packets, and returns what has a `close`; they come last, so that the
        owners of sockets are known before.

        Raises:
            NotPermittedError: this is no cgroup v2, or not ours to use.
        """
        self._tell_cgroup(cgroup)
        for name in (*_TRACES, *use_traces()):
            self.bpf.attach(name)
        fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in SOCKET_HOOKS:
                self._stack.callback(_destroy, self.bpf.library, self.bpf.attach_cgroup(name, fd))
        finally:
            os.close(fd)
        self._stack.callback(attach(self.bpf, cgroup).close)

    def fileno(self) -> int:
        """Return a descriptor that is readable while records wait."""
        return self._ring.fileno()

    def consume(self, most: int | None = None) -> int:
        """Hand over what waits, but no more than `most` records; return their number."""
        return self._ring.consume(most)

    def counters(self) -> dict[str, int]:
        """Return the kernel side's counters by name."""
        raw = self._counters.get(self._zero)
        return {name: getattr(raw, name) for name, _ in ffi.typeof("struct net_counters").fields or ()}

    def lost(self) -> list[Lost]:
        """Return what was lost since this was last asked. Goes over all users."""
        found = []
        for key, account in self._accounts.entries():
            count = account.lost - self._lost.get(key[0], 0)
            if count:
                self._lost[key[0]] = account.lost
                found.append(Lost("network", key[0], count, ProcessKey(account.loser.pid, account.loser.start_ns)))
        return found

    def _tell_cgroup(self, cgroup: Path) -> None:
        """Tell the programs that no cgroup bounds, those that end connections, where they are to look."""
        configs = self.bpf.map(".data.net_config", "uint32_t", "struct net_config")
        config: Any = configs.get(self._zero)
        with contextlib.suppress(OSError):  # attaching says what is wrong with it
            config.cgroup = 0 if cgroup == find_cgroup2() else cgroup.stat().st_ino
            configs.set(self._zero, config)

    def close(self) -> None:
        """Detach everything that is not pinned."""
        self._stack.close()

    def _receive(self, raw: Any) -> None:
        handle = self._handlers.get(raw.kind)
        if handle is not None:
            handle(raw)


def _destroy(library: Libbpf, link: Any) -> None:
    library.calls.bpf_link__destroy(link)
