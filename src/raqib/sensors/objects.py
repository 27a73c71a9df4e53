"""Objects: files and directories that the kernel knows by what they are, whatever they are called.

Taught are those that recipes name, the nearest directory above each that exists, and the roots of the host's mounts.
A walk that meets one of them on the way up knows what the host calls the file, by whatever road it was reached.
"""

from __future__ import annotations

import os
import re
import select
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from raqib.kernel.layout import constant, ffi
from raqib.kernel.object import BpfObject
from raqib.sensors.directories import Change, Directories
from raqib.sensors.interests import fill_filter
from raqib.sensors.places import NOTHING_THERE, PatientOpener

FORMER = 4
"""So many former files or directories of a place stay known: what was moved away is still what it was."""
PORTION = 64
"""So many places are looked at again at once."""
_PATIENCE_S = 0.2
_OBJECT_BYTES = constant("OBJECT_BYTES")
_REMOTE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster", "afs", "lustre", "ocfs", "gfs", "autofs", "coda")
"""File systems of which a look-up may take as long as it likes: their roots are not looked at."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")

Key = tuple[int, int, int]
"""Inode, device, generation."""


class Mount(NamedTuple):
    """A mount of the host."""

    root: bytes
    """Which part of its file system it shows."""
    point: bytes
    kind: str

    @property
    def is_remote(self) -> bool:
        """Whether others than this host's kernel answer for it."""
        return self.kind.startswith(_REMOTE)


def mounts_in(mountinfo: bytes) -> Iterator[Mount]:
    """Read the lines of /proc/PID/mountinfo."""
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(b" - ")
        _, _, _, root, point, *_ = fields.split(b" ")
        yield Mount(_unescaped(root), _unescaped(point), rest.split(b" ")[0].decode(errors="replace"))


class Objects:
    """Belongs to one thread."""

    def __init__(self, bpf: BpfObject) -> None:
        """Nothing is taught before `watch`."""
        self._bpf = bpf
        self._map = bpf.map("objects", "struct object_key", "struct object")
        self._located = bpf.map("located", "uint32_t", "struct long_text")
        self._filter = bpf.map(".data.objects", "uint32_t", "struct filter")
        self._places = PatientOpener()
        self._directories = Directories()
        self._wanted: frozenset[bytes] = frozenset()
        self._watched: frozenset[bytes] = frozenset()
        self._queue: deque[bytes] = deque()
        self._keys: dict[bytes, list[Key]] = {}
        """The objects that a place has had, the present one last."""
        self._names: dict[Key, bytes] = {}
        self._found: dict[bytes, tuple[int, int, int]] = {}
        """What was at a place when it was looked at last: device, inode, time of its last change."""
        self._looked_at: set[bytes] = set()
        """In this round: many places lie in one directory."""
        self._asked = False
        """Whether there was a place in this round that the kernel has not cached.

        What is new is cached; procfs and sysfs never are, and one of them in a round is enough.
        """
        self._points: frozenset[bytes] = frozenset()
        self._full = False
        self._mountinfo = Path("/proc/self/mountinfo").open("rb", buffering=0)  # noqa: SIM115  # as long as the sensor
        self._changes = select.poll()
        self._changes.register(self._mountinfo, select.POLLPRI | select.POLLERR)
        self._log = structlog.get_logger()

    def watch(self, wanted: Iterable[bytes], directories: Iterable[bytes] = ()) -> None:
        """Know these absolute paths, and nothing else but the roots of mounts, from now on.

        What is removed from the `directories`, or moved, is told by `changes`.
        """
        self._wanted = frozenset(wanted)
        self._watched = frozenset(directories)
        self._queue = deque(sorted(self._wanted))
        for name in [name for name in self._keys if not self._is_wanted(name)]:
            self._forget(name)
        # What literals say of their names belongs to the policy before.
        for key, name in self._names.items():
            self._learn(name, key=key)
        self._write_filter()
        self._found.clear()
        self._looked_at.clear()
        for place in self._queue:
            self._look_at(place, patience_s=_PATIENCE_S)
        self._take_late()
        self._read_mounts()

    def refresh(self) -> None:
        """Look at some of the places again, and at the mounts if they have changed: to be called now and then."""
        self._looked_at.clear()
        self._asked = False
        self._take_late()
        if self._changes.poll(0):
            self._read_mounts()
        for place in list(self._queue)[:PORTION]:
            self._look_at(place)
        self._queue.rotate(-PORTION)

    def changes(self) -> list[Change]:
        """Return what has happened in the directories since this was last asked."""
        return self._directories.changes()

    def overflows(self) -> int:
        """Return how often, since this was last asked, more happened in the directories than could be kept."""
        return self._directories.take_overflows()

    def locate(self, fd: int) -> bytes | None:
        """Return what the host calls what is behind a descriptor of one's own; None if that is not known."""
        request: Any = ffi.new("struct locate_request *", {"fd": fd})
        if self._bpf.run("locate", request, ffi.sizeof("struct locate_request")):
            return None
        answer: Any = self._located.get(self._located.key(0))
        return bytes(ffi.buffer(answer.text, answer.len)) if answer.len else None

    def close(self) -> None:
        """Let go of the list of mounts, and of the directories."""
        self._places.close()
        self._directories.close()
        self._mountinfo.close()

    def _is_wanted(self, name: bytes) -> bool:
        """Whether it is a place, a directory above one, or where a file system is mounted."""
        below = name.rstrip(b"/") + b"/"
        return name in self._points or any(place == name or place.startswith(below) for place in self._wanted)

    def _look_at(self, place: bytes, *, patience_s: float = 0.0) -> None:
        """Teach what is at a place, or the nearest directory above it."""
        while place not in self._looked_at:
            self._looked_at.add(place)
            try:
                fd = self._places.open(place, patience_s=patience_s, cached=self._asked and not patience_s)
            except OSError as error:
                if error.errno not in NOTHING_THERE or place == b"/":
                    return
                place = _above(place)
                continue
            if fd is not None:
                self._take(place, fd)
            elif patience_s:
                self._take_late(patience_s=patience_s)
            else:
                self._asked = True
            return

    def _take(self, place: bytes, fd: int) -> None:
        """Teach what is there; a file also by the directory that it lies in."""
        try:
            found = os.fstat(fd)
            now = found.st_dev, found.st_ino, found.st_ctime_ns
            # What has several names from the start has them for a reason that is no attack.
            known = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
            if known and self._found.get(place) != now:
                self._teach(place, fd)
            self._found[place] = now
        finally:
            os.close(fd)
        if not stat.S_ISDIR(found.st_mode):
            self._look_at(_above(place))

    def _take_late(self, *, patience_s: float = 0.0) -> None:
        for place, fd in self._places.late():
            if fd is None:
                self._look_at(_above(place), patience_s=patience_s)
            elif self._is_wanted(place):
                self._take(place, fd)
            else:
                os.close(fd)

    def _teach(self, name: bytes, fd: int) -> None:
        key = self._learn(b"", fd=fd)
        if key is None:
            return
        if name in self._watched:
            self._directories.watch(name, fd)
        known = self._names.get(key)
        keys = self._keys.setdefault(name, [])
        if known is None:
            if self._learn(name, fd=fd) is None:
                return
            self._names[key] = name
            keys.append(key)
            if len(keys) > FORMER:
                self._drop(keys.pop(0))
        elif known == name and keys[-1] != key:  # it is back
            keys.remove(key)
            keys.append(key)

    def _learn(self, name: bytes, *, fd: int = -1, key: Key = (0, 0, 0)) -> Key | None:
        """Have the kernel know what is behind a descriptor, or has a key; without a name, ask for the key only."""
        if len(name) > _OBJECT_BYTES:
            return None
        text = ffi.from_buffer(name)
        request: Any = ffi.new("struct learn_request *", {"fd": fd, "path_len": len(name)})
        request.path = int(ffi.cast("uintptr_t", text))
        request.key.inode, request.key.device, request.key.generation = key
        if self._bpf.run("learn_object", request, ffi.sizeof("struct learn_request")):
            if not self._full:
                self._log.warning("files that recipes name are known by name only: no room", known=len(self._names))
            self._full = True
            return None
        return request.key.inode, request.key.device, request.key.generation

    def _forget(self, name: bytes) -> None:
        self._directories.forget(name)
        for key in self._keys.pop(name):
            self._drop(key)

    def _drop(self, key: Key) -> None:
        del self._names[key]
        inode, device, generation = key
        self._map.delete(self._map.key({"inode": inode, "device": device, "generation": generation}))

    def _write_filter(self) -> None:
        """Leave out what is no longer known."""
        bits = fill_filter(self._filter.value(), (inode for inode, _, _ in self._names))
        self._filter.set(self._filter.key(0), bits)

    def _read_mounts(self) -> None:
        """Know the roots of the host's mounts; where a file system is mounted first is what the host calls it."""
        self._mountinfo.seek(0)
        mounts = [mount for mount in mounts_in(self._mountinfo.read()) if not mount.is_remote]
        mounts.sort(key=lambda mount: mount.root != b"/")  # stable: else in the order of mounting
        gone = self._points - {mount.point for mount in mounts}
        self._points = frozenset(mount.point for mount in mounts)
        for point in gone & self._keys.keys():
            if not self._is_wanted(point):
                self._forget(point)
        for mount in mounts:
            try:
                fd = self._places.open(mount.point)
            except OSError:
                continue
            if fd is not None:
                try:
                    self._teach(mount.point, fd)
                finally:
                    os.close(fd)


def _above(place: bytes) -> bytes:
    return place.rpartition(b"/")[0] or b"/"


def _unescaped(field: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), field)
