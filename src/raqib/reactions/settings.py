"""The settings of the reactions that users have, with those of the actions: the section `reactions`."""

from __future__ import annotations

import os

from raqib.actions.settings import ActionSettings
from raqib.ledger.chain import KEPT_ARCHIVES, MAX_FILE_BYTES
from raqib.model.quantity import Count, Seconds
from raqib.reactions.protocol import HelperStub, Setup

WORKER_UID = 1_990_000_000
"""The user and group of the workers if the daemon is root; nothing else may belong to it.

Above all ranges that distributions, systemd and container engines give away.
"""

_MIB = 1 << 20
_OFF_HEAP_MIB = 192
"""Beyond V8's heap: the interpreter, the engine itself, and array buffers."""


class ReactionSettings(ActionSettings, frozen=True, kw_only=True):
    """Limits and guards of reactions, as users name them; the defaults are those of the contract."""

    dry_run: bool = False
    shell: bool = False
    """Run shell reactions: as root, without any guard."""
    shell_timeout_s: Seconds = 30.0
    """Wall time of one execution of a shell reaction."""
    workers: Count | None = None
    """Executions at once; one more worker is kept warm. None: one for each core, at least 2."""
    timeout_s: Seconds = 5.0
    """Wall time of one execution."""
    max_timeout_s: Seconds = 60.0
    """What a recipe's own limit can raise it to; the same for every `max_` of a limit."""
    heap_mib: Count = 64
    """The limit of V8's heap in one execution; a worker may take 192 MiB beyond it."""
    max_heap_mib: Count = 256
    max_helper_calls: Count = 10_000
    max_log_bytes: Count = 256 << 10
    max_waiting: Count = 1024
    """Executions that may wait."""
    max_waiting_bytes: Count = 16 << 20
    """And their memory. Shell reactions wait in a line of their own, with the same bounds."""
    ledger_max_bytes: Count = MAX_FILE_BYTES
    """A file of the ledger that has reached it becomes an archive."""
    ledger_keep: Count = KEPT_ARCHIVES
    """So many archives are kept."""

    @property
    def worker_count(self) -> int:
        """How many executions run at once: `workers`, or what stands for None."""
        return self.workers or max(2, os.cpu_count() or 2)

    def setup(self, helpers: tuple[HelperStub, ...]) -> Setup:
        """Return what a worker is told first."""
        return Setup(
            helpers=helpers,
            heap_bytes=self.heap_mib * _MIB,
            data_bytes=memory_limit(self.heap_mib * _MIB),
            max_data_bytes=memory_limit(max(self.heap_mib, self.max_heap_mib) * _MIB),
            parent_pid=os.getpid(),
            uid=WORKER_UID if os.geteuid() == 0 else None,
        )

    def heap_bytes(self, wanted_mib: int | None) -> int:
        """Return the limit of V8's heap for a recipe that asks for one of its own, or for none."""
        return min(wanted_mib or self.heap_mib, max(self.heap_mib, self.max_heap_mib)) * _MIB

    def timeout(self, wanted_s: float | None, *, shell: bool = False) -> float:
        """Return the time limit for a recipe that asks for one of its own, or for none."""
        usual_s = self.shell_timeout_s if shell else self.timeout_s
        return min(wanted_s or usual_s, max(usual_s, self.max_timeout_s))


def memory_limit(heap_bytes: int) -> int:
    """Return the limit of a worker's memory for a limit of the heap."""
    return heap_bytes + _OFF_HEAP_MIB * _MIB
