"""The settings of the actions that users have, each with its default; and what is no user's setting."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from raqib.model.quantity import Count

PROTECTED_PROGRAMS = (
    "/usr/sbin/sshd",
    "/usr/lib/openssh/sshd-session",
    "/usr/libexec/openssh/sshd-session",
    "/usr/lib/systemd/systemd",
    "/usr/lib/systemd/systemd-journald",
    "/usr/lib/systemd/systemd-logind",
    "/usr/lib/systemd/systemd-networkd",
    "/usr/lib/systemd/systemd-resolved",
    "/usr/lib/systemd/systemd-udevd",
    "/usr/bin/udevadm",
    "/usr/bin/dbus-daemon",
    "/usr/bin/dbus-broker",
    "/usr/bin/dbus-broker-launch",
    "/usr/bin/containerd",
    "/usr/bin/containerd-shim-runc-v2",
    "/usr/bin/dockerd",
    "/usr/bin/runc",
    "/usr/bin/crun",
    "/usr/bin/conmon",
    "/usr/bin/crio",
    "/usr/bin/kubelet",
    "/usr/sbin/NetworkManager",
)
"""The programs without which a host cannot be reached or run its containers."""

EmergencyHelper = Literal["PowerOff", "Panic"]


class EmergencySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two settings stand before each of the helpers that take the host down."""

    enabled: bool = False
    helpers: tuple[EmergencyHelper, ...] = ()
    """Those that may be used."""


NO_EMERGENCY = EmergencySettings()


class ActionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The guards' settings, as users name them."""

    min_pid: Count = 500
    protected_programs: tuple[str, ...] = PROTECTED_PROGRAMS
    write_paths: tuple[str, ...] = ("/tmp", "/var/log")  # noqa: S108 -- where recipes in the wild write
    """The evidence directory may be written as well."""
    kills_per_minute: Count = 30
    blocks_per_minute: Count = 300
    critical_kills_per_minute: Count = 120
    """Of recipes of that importance."""
    critical_blocks_per_minute: Count = 1200
    evidence_per_minute: Count = 30
    """How often a recipe may collect evidence."""
    critical_evidence_per_minute: Count = 120
    notices_per_minute: Count = 300
    """How many notices a recipe may send."""
    own_doing_per_minute: Count = 10
    """How often a recipe may react to what shell reactions have started."""
    written_bytes_per_minute: Count = 1 << 30
    """What a recipe may write to files, evidence included."""
    max_evidence_bytes: Count = 10 << 30
    """All evidence together; of that at most half for one recipe. Beyond it nothing more is collected."""
    max_kills_per_minute: Count = 1000
    """What a recipe's own limit can raise it to."""
    max_blocks_per_minute: Count = 10_000


class Places(msgspec.Struct, frozen=True):
    """Where raqib keeps what is its own."""

    data_dir: Path
    """Holds `store.db`, `ledger.jsonl`, `directories.json` and `evidence/`; created with mode 0700."""
    own_paths: tuple[Path, ...] = ()
    """Files and directories of raqib's elsewhere, as its logs: no reaction writes them."""
    temp_dir: Path = Path("/tmp")  # noqa: S108 -- the contract's
    """Where CreateTempDir makes directories."""

    @property
    def evidence_dir(self) -> Path:
        """Where evidence is collected."""
        return self.data_dir / "evidence"


class FileBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the actions on files keep to, whatever users set."""

    max_read_bytes: int = 1 << 20
    max_write_bytes: int = 1 << 20
    max_appended_bytes: int = 64 << 20
    """AppendFile lets no file grow beyond it."""
    min_free_bytes: int = 64 << 20
    """Nothing is written to a filesystem that has less left for unprivileged users."""
    min_free_inodes: int = 4096
    """Neither a file nor a directory is created on a filesystem that has fewer left."""
    max_hash_bytes: int = 1 << 30
    max_copy_bytes: int = 256 << 20
    """Of each file that CopyFile or CollectEvidence copies."""
