"""What outlives the daemon: the policy's maps and the packet programs, pinned below a directory of a BPF filesystem."""

from __future__ import annotations

import contextlib
import hashlib
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.layout import ffi
from raqib.kernel.libbpf import Libbpf
from raqib.kernel.maps import Map
from raqib.kernel.network import NETWORK_HOOKS, load_network
from raqib.kernel.object import BpfObject

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
    "net_learned",
    "net_resolvers",
    "net_questions",
    "net_drops",
    "net_marks",
)

ffi.cdef(
    "struct raqib_statfs { long f_type; long more[31]; }; int statfs(const char *path, struct raqib_statfs *info);"
)
_BPF_FS_MAGIC = 0xCAFE4A11
_LINK = "link_"


class Pins:
    """One directory. Maps of another layout are in another one below it: nobody reads what he does not understand."""

    def __init__(self, directory: Path = DEFAULT_DIRECTORY) -> None:
        """Name the directory; nothing is made yet."""
        self.root = directory
        header = files("raqib.kernel").joinpath("objects/net_layout.h").read_bytes()
        self.directory = directory / hashlib.sha256(header).hexdigest()[:16]

    def make(self) -> None:
        """Make the directory.

        Raises:
            NotPermittedError: there is no BPF filesystem.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise NotPermittedError(f"expected a directory of a BPF filesystem, found: {error}") from error
        if _filesystem_of(self.directory) != _BPF_FS_MAGIC:
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
        return [one for one in self.root.iterdir() if one.is_dir() and one != self.directory]

    def attach(self, bpf: BpfObject, cgroup: Path) -> PinnedAttachment:
        """Attach the packet programs to a cgroup, in the place of those that an earlier daemon left."""
        return PinnedAttachment(bpf, cgroup, self.directory)

    def remove(self, directory: Path | None = None) -> None:
        """Take everything away: the programs are detached, and the maps gone when nobody uses them any more."""
        place = directory or self.directory
        if not place.is_dir():
            return
        # First what lets packets through, then what it looks at.
        for path in sorted(place.iterdir(), key=lambda one: not one.name.startswith(_LINK)):
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
            library = Libbpf()
            fd = library.calls.bpf_obj_get(os.fsencode(path))
            if fd < 0:
                raise library.error(f"cannot open {path}", fd)
            try:
                switches = Map(library, fd, "net_switch", "uint32_t", "struct net_switch")
                value: Any = switches.get(switches.key(0))
                value.off = 1
                switches.set(switches.key(0), value)
            finally:
                os.close(fd)
        for directory in (self.directory, *self.others()):
            self.remove(directory)


class PinnedAttachment:
    """The packet programs on a cgroup; they stay there when this is closed."""

    def __init__(self, bpf: BpfObject, cgroup: Path, directory: Path) -> None:
        """Attach; a program that is there already is replaced without a moment between.

        Raises:
            NotPermittedError: this is no cgroup v2, or not ours to use.
        """
        self._library = bpf.library
        self._links: list[Any] = []
        try:
            fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotPermittedError(f"expected a directory of cgroup v2, found: {error}; give --cgroup PATH") from error
        try:
            for name in NETWORK_HOOKS:
                self._attach(bpf, name, fd, directory / f"{_LINK}{name}")
        except RaqibError as error:
            self.close()
            raise NotPermittedError(
                f"expected a directory of cgroup v2 at {cgroup}, found: {error}; give --cgroup PATH"
            ) from error
        finally:
            os.close(fd)

    def _attach(self, bpf: BpfObject, name: str, cgroup_fd: int, path: Path) -> None:
        calls = self._library.calls
        if path.exists():
            link = calls.bpf_link__open(os.fsencode(path))
            if link == ffi.NULL:
                raise self._library.error(f"cannot open the pinned link {path}")
            if self._cgroup_of(link) == os.fstat(cgroup_fd).st_ino:
                self._links.append(link)
                code = calls.bpf_link__update_program(link, bpf.program(name))
                if code:
                    raise self._library.error(f"cannot replace the program {name}", code)
                return
            path.unlink()
            calls.bpf_link__destroy(link)
        link = bpf.attach_cgroup(name, cgroup_fd)
        self._links.append(link)
        code = calls.bpf_link__pin(link, os.fsencode(path))
        if code:
            raise self._library.error(f"cannot pin the link of {name}", code)

    def _cgroup_of(self, link: Any) -> int:
        info: Any = ffi.new("struct bpf_link_info *")
        size = ffi.new("__u32 *", ffi.sizeof("struct bpf_link_info"))
        code = self._library.calls.bpf_obj_get_info_by_fd(self._library.calls.bpf_link__fd(link), info, size)
        if code:
            raise self._library.error("cannot look at a link", code)
        return int(info.cgroup_id)

    def close(self) -> None:
        """Let go; what is pinned stays attached."""
        while self._links:
            self._library.calls.bpf_link__destroy(self._links.pop())


def _filesystem_of(directory: Path) -> int:
    """Return the magic number of the filesystem that a directory is on."""
    info: Any = ffi.new("struct raqib_statfs *")
    libc: Any = ffi.dlopen(None)
    if libc.statfs(os.fsencode(directory), info):
        return 0
    return int(info.f_type)
