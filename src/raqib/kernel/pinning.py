"""What outlives a process: links and maps below a directory of a BPF filesystem."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.layout import ffi
from raqib.kernel.libbpf import Libbpf
from raqib.kernel.maps import Map
from raqib.kernel.network import NETWORK_HOOKS
from raqib.kernel.object import BpfObject

ffi.cdef(
    """
    struct raqib_statfs { long f_type; long more[31]; };
    int statfs(const char *path, struct raqib_statfs *info);
    int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options);
    """
)

USUAL_PLACE = Path("/sys/fs/bpf")
"""Where a BPF filesystem is on every host that has one."""

_BPF_FS_MAGIC = 0xCAFE4A11
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8


@contextlib.contextmanager
def pinned_map(path: Path, key: str, value: str) -> Iterator[Map]:
    """Open a map that is pinned, with the types of its keys and values.

    Raises RaqibError if there is none, or it may not be opened.
    """
    library = Libbpf()
    fd = library.calls.bpf_obj_get(os.fsencode(path))
    if fd < 0:
        raise library.error(f"cannot open {path}", fd)
    try:
        yield Map(library, fd, path.name, key, value)
    finally:
        os.close(fd)


def is_bpf_filesystem(directory: Path) -> bool:
    """Tell whether things can be pinned in a directory."""
    info: Any = ffi.new("struct raqib_statfs *")
    libc: Any = ffi.dlopen(None)
    return not libc.statfs(os.fsencode(directory), info) and info.f_type == _BPF_FS_MAGIC


def mount_bpf_filesystem() -> bool:
    """Mount one at the usual place, as systemd does, if there is none; return whether there is one now."""
    if is_bpf_filesystem(USUAL_PLACE):
        return True
    libc: Any = ffi.dlopen(None)
    return not libc.mount(b"bpf", bytes(USUAL_PLACE), b"bpf", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, b"mode=700")


class PinnedAttachment:
    """The packet programs on a cgroup; they stay there when this is closed."""

    def __init__(self, bpf: BpfObject, cgroup: Path, place: Callable[[str], Path]) -> None:
        """Attach, each link pinned at its `place`; a program that is there is replaced without a moment between.

        Raises NotPermittedError if this is no cgroup v2, or not ours to use.
        """
        self._library = bpf.library
        self._links: list[Any] = []
        try:
            fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotPermittedError(f"expected a directory of cgroup v2, found: {error}; give --cgroup PATH") from error
        try:
            for name in NETWORK_HOOKS:
                self._attach(bpf, name, fd, place(name))
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
