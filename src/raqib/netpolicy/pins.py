"""What outlives the daemon: the policy's maps and the packet programs, pinned below a directory of a BPF filesystem."""

from __future__ import annotations

import contextlib
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.network import load_network
from raqib.kernel.object import BpfObject
from raqib.kernel.pinning import USUAL_PLACE, PinnedAttachment, is_bpf_filesystem, mount_bpf_filesystem, pinned_map
from raqib.netpolicy.lock import locked

DEFAULT_DIRECTORY = Path("/sys/fs/bpf/raqib")
_MAPS = (
    ".data.net_config",
    ".data.net_switch",
    ".data.net_learnings",
    "net_rules4",
    "net_rules6",
    "net_domains",
    "net_blocks",
    "net_domain_blocks",
    "net_guarded",
    "net_learned",
    "net_resolvers",
    "net_questions",
    "net_question_turns",
    "net_askers_hold",
    "net_drops",
    "net_marks",
)

_LINK = "link_"


class Pins:
    """One directory. Maps of another layout are in another one below it: nobody reads what he does not understand."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        """Name the directory; nothing is made yet."""
        self.root = directory
        header = files("raqib.kernel").joinpath("objects/layout/net.h").read_bytes()
        self.directory = directory / hashlib.sha256(header).hexdigest()[:16]

    def make(self) -> None:
        """Make the directory, and mount a BPF filesystem first if there is none at the usual place.

        Raises:
            NotPermittedError: it is not on a BPF filesystem.
        """
        if self.root.is_relative_to(USUAL_PLACE):
            mount_bpf_filesystem()
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotPermittedError(f"expected a directory of a BPF filesystem, found: {error}") from error
        if not is_bpf_filesystem(self.directory):
            with contextlib.suppress(OSError):
                self.directory.rmdir()
                self.root.rmdir()
            raise NotPermittedError(
                f"expected a BPF filesystem at {self.root}, found another; mount one: mount -t bpf bpf /sys/fs/bpf"
            )

    @property
    def exist(self) -> bool:
        """Whether there is a policy in force here, with or without a daemon."""
        return (self.directory / "net_blocks").exists()

    def open(self) -> BpfObject:
        """Open what is in force, to look and to change, without attaching anything.

        Raises:
            RaqibError: no network policy is in force.
        """
        if not self.exist:
            raise RaqibError(
                f"expected a network policy in force below {self.root}, found none; "
                "enable one: network_policy: in the configuration, or network: {enforce: true}"
            )
        return load_network(pins=self.maps(), only=("hash_name", "destroy_forbidden"))

    def maps(self) -> dict[str, Path]:
        """Return where each map is pinned."""
        return {name: self.directory / name.rpartition(".")[2] for name in _MAPS}

    def others(self) -> list[Path]:
        """Return the directories of other layouts."""
        if not self.root.is_dir():
            return []
        return [directory for directory in self.root.iterdir() if directory.is_dir() and directory != self.directory]

    def attach(self, bpf: BpfObject, cgroup: Path) -> PinnedAttachment:
        """Attach the packet programs to a cgroup, in the place of those that an earlier daemon left."""
        return PinnedAttachment(bpf, cgroup, lambda name: self.directory / f"{_LINK}{name}")

    def remove(self, directory: Path | None = None) -> None:
        """Take everything away: the programs are detached, and the maps gone when nobody uses them any more."""
        place = directory or self.directory
        if not place.is_dir():
            return
        # First what lets packets through, then what it looks at.
        for path in sorted(place.iterdir(), key=lambda path: not path.name.startswith(_LINK)):
            path.unlink()
        place.rmdir()
        with contextlib.suppress(OSError):
            self.root.rmdir()

    def remove_unattached(self) -> None:
        """Take away what is pinned if no program is: what was begun and failed."""
        if self.directory.is_dir() and not any(self.directory.glob(f"{_LINK}*")):
            self.remove()

    def switch_off(self) -> None:
        """Let the programs decide nothing any more, also those of a daemon that runs; then take everything away."""
        path = self.maps()[".data.net_switch"]
        if path.exists():
            with locked(self.directory), pinned_map(path, "uint32_t", "struct net_switch") as switches:
                value: Any = switches.get(switches.key(0))
                value.off = 1
                switches.set(switches.key(0), value)
        for directory in (self.directory, *self.others()):
            self.remove(directory)
