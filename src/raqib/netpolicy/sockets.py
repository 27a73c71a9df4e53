"""Connections to what has become forbidden end, in every network namespace of the host."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

import structlog

from raqib.errors import RaqibError
from raqib.kernel.namespaces import enter_network
from raqib.kernel.network import can_destroy_sockets
from raqib.kernel.object import BpfObject
from raqib.netpolicy.diag import end_forbidden


def network_namespaces(proc: Path = Path("/proc")) -> dict[int, Path]:
    """Return a way to each network namespace that has a process or a mount, by its inode."""
    found: dict[int, Path] = {}
    with os.scandir(proc) as entries:
        for entry in entries:
            if entry.name.isdecimal():
                path = Path(entry.path, "ns/net")
                with contextlib.suppress(OSError):
                    found.setdefault(path.stat().st_ino, path)
    with contextlib.suppress(OSError):
        for line in (proc / "self/mountinfo").read_text().splitlines():
            fields, _, after = line.partition(" - ")
            words = fields.split()
            if after.startswith("nsfs ") and words[3].startswith("net:["):
                path = Path(words[4].encode().decode("unicode_escape"))
                with contextlib.suppress(OSError):
                    found.setdefault(path.stat().st_ino, path)
    return found


class Reaper(threading.Thread):
    """A thread of its own, because it goes from one network namespace to the next."""

    def __init__(self, bpf: BpfObject, *, by_program: bool | None = None) -> None:
        """Prepare; `start` begins. `by_program`: a program ends them, not netlink; None: if this kernel can."""
        super().__init__(name="connections", daemon=True)
        self._bpf = bpf
        self._by_program = can_destroy_sockets() if by_program is None else by_program
        self._wanted = threading.Event()
        self._done = threading.Condition()
        self._asked = self._served = 0
        self._stopping = False
        self._log = structlog.get_logger()

    def request(self) -> int:
        """Have all connections looked at soon; return the number of the request."""
        with self._done:
            self._asked += 1
            number = self._asked
        self._wanted.set()
        return number

    def wait(self, number: int, timeout_s: float) -> bool:
        """Wait until a request has been served; False if that takes too long."""
        with self._done:
            return self._done.wait_for(lambda: self._served >= number, timeout_s)

    def close(self) -> None:
        """Stop the thread."""
        self._stopping = True
        self._wanted.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        """Serve requests; several that wait are one."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping:
                return
            with self._done:
                number = self._asked
            try:
                self._reap()
            except (OSError, RaqibError) as error:
                # The packets are dropped all the same.
                self._log.error("forbidden connections not ended: the kernel refused", problem=str(error))
            with self._done:
                self._served = number
                self._done.notify_all()

    def _reap(self) -> None:
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            inside = os.fstat(own).st_ino
            self._reap_here()
            for inode, path in network_namespaces().items():
                if inode != inside:
                    # A namespace may vanish meanwhile, and its connections with it.
                    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                        self._reap_in(path)
        finally:
            enter_network(own)
            os.close(own)

    def _reap_in(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter_network(fd)
        finally:
            os.close(fd)
        self._reap_here()

    def _reap_here(self) -> None:
        if self._by_program:
            self._bpf.iterate("destroy_forbidden")
        else:
            end_forbidden(self._bpf)
