"""The settings of the reactions."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from raqib.actions.context import PROTECTED_PROGRAMS, ActionSettings, EmergencySettings
from raqib.ledger.chain import KEPT_ARCHIVES, MAX_FILE_BYTES
from raqib.reactions.protocol import HelperStub, Setup

WORKER_UID = 1_990_000_000
"""Above all ranges that distributions, systemd and container engines give away."""

_MIB = 1 << 20
_OFF_HEAP_MIB = 192
"""Beyond V8's heap: the interpreter, the engine itself, and array buffers."""


def _default_workers() -> int:
    return max(2, os.cpu_count() or 2)


class ReactionsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings; the defaults are those of the contract."""

    data_dir: Path
    """Holds `store.db`, `ledger.jsonl`, `directories.json` and `evidence/`; made with mode 0700."""
    workers: int = msgspec.field(default_factory=_default_workers)
    """Executions at once. One more worker is kept warm."""
    timeout_s: float = 5.0
    """Wall time of one execution."""
    max_timeout_s: float = 60.0
    """What a recipe's own limit can raise it to."""
    heap_mib: int = 64
    """The limit of V8's heap in one execution; a worker may take 192 MiB beyond it."""
    max_heap_mib: int = 256
    """What a recipe's own limit can raise it to."""
    max_helper_calls: int = 10_000
    max_log_bytes: int = 256 * 1024
    max_waiting: int = 1024
    """Executions that may wait."""
    max_waiting_bytes: int = 16 << 20
    """And their memory. Shell reactions wait in a line of their own, with the same bounds."""
    shell: bool = False
    """Run shell reactions: as root, without any guard."""
    shell_timeout_s: float = 30.0
    """Wall time of one execution of a shell reaction."""
    dry_run: bool = False
    min_pid: int = 500
    protected_programs: tuple[str, ...] = PROTECTED_PROGRAMS
    write_paths: tuple[str, ...] = ("/tmp", "/var/log")  # noqa: S108 -- where recipes in the wild write
    """The evidence directory may be written as well."""
    own_paths: tuple[Path, ...] = ()
    """Files and directories of raqib's outside of `data_dir`, as its logs: no reaction writes them."""
    kills_per_minute: int = 30
    blocks_per_minute: int = 300
    critical_kills_per_minute: int = 120
    """Of recipes of that importance."""
    critical_blocks_per_minute: int = 1200
    max_kills_per_minute: int = 1000
    """What a recipe's own limit can raise it to."""
    max_blocks_per_minute: int = 10_000
    ledger_max_bytes: int = MAX_FILE_BYTES
    """A file of the ledger that has reached it becomes an archive."""
    ledger_keep: int = KEPT_ARCHIVES
    """So many archives are kept."""
    worker_uid: int = WORKER_UID
    """The user and group of the workers if the daemon is root; nothing else may belong to it."""
    emergency: EmergencySettings = EmergencySettings()
    """Which of PowerOff and Panic may be used."""
    evidence_dir: Path | None = None
    """`data_dir / "evidence"` if None."""

    @property
    def evidence(self) -> Path:
        """The evidence directory."""
        return self.evidence_dir or self.data_dir / "evidence"

    def setup(self, helpers: tuple[HelperStub, ...]) -> Setup:
        """Return what a worker is told first."""
        return Setup(
            helpers=helpers,
            heap_bytes=self.heap_mib * _MIB,
            data_bytes=memory_limit(self.heap_mib * _MIB),
            max_data_bytes=memory_limit(max(self.heap_mib, self.max_heap_mib) * _MIB),
            parent_pid=os.getpid(),
            uid=self.worker_uid if os.geteuid() == 0 else None,
        )

    def heap_bytes(self, wanted_mib: int | None) -> int:
        """Return the limit of V8's heap for a recipe that asks for one of its own, or for none."""
        return min(wanted_mib or self.heap_mib, max(self.heap_mib, self.max_heap_mib)) * _MIB

    def timeout(self, wanted_s: float | None, *, shell: bool = False) -> float:
        """Return the time limit for a recipe that asks for one of its own, or for none."""
        usual_s = self.shell_timeout_s if shell else self.timeout_s
        return min(wanted_s or usual_s, max(usual_s, self.max_timeout_s))

    def action_settings(self) -> ActionSettings:
        """Return what concerns the actions."""
        return ActionSettings(
            data_dir=self.data_dir,
            evidence_dir=self.evidence,
            own_paths=self.own_paths,
            min_pid=self.min_pid,
            protected_programs=self.protected_programs,
            write_paths=self.write_paths,
            kills_per_minute=self.kills_per_minute,
            blocks_per_minute=self.blocks_per_minute,
            critical_kills_per_minute=self.critical_kills_per_minute,
            critical_blocks_per_minute=self.critical_blocks_per_minute,
            max_kills_per_minute=self.max_kills_per_minute,
            max_blocks_per_minute=self.max_blocks_per_minute,
            emergency=self.emergency,
        )


def memory_limit(heap_bytes: int) -> int:
    """Return the limit of a worker's memory for a limit of the heap."""
    return heap_bytes + _OFF_HEAP_MIB * _MIB
