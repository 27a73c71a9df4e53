"""From the kernel's structs to processes and observations."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from raqib.kernel.layout import constant, ffi
from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Namespaces, Process, ProcessKey

TextOf = Callable[[int], bytes | None]
"""Finds a long text by its hash, if the kernel still has it."""

_AS_GIVEN = constant("RECORD_AS_GIVEN")
_DELETED = constant("RECORD_DELETED")
_HOST = constant("RECORD_HOST")
_ARGS_TRUNCATED = constant("IMAGE_ARGS_TRUNCATED")
_ENVIRONMENT = constant("IMAGE_ENVIRONMENT")


def _split_args(packed: bytes) -> tuple[bytes, ...]:
    return tuple(packed.removesuffix(b"\0").split(b"\0")) if packed else ()


def _image(raw: Any, text_of: TextOf) -> Image:
    exe = bytes(ffi.buffer(raw.exe, min(raw.exe_len, len(raw.exe))))
    args = bytes(ffi.buffer(raw.args, min(raw.args_len, len(raw.args))))
    truncated = bool(raw.flags & _ARGS_TRUNCATED)
    if raw.exe_len > len(exe):
        exe = text_of(raw.exe_hash) or exe
    if raw.args_len > len(args):
        whole = text_of(raw.args_hash)
        truncated = truncated or whole is None
        args = whole or args
    return Image(
        exe=exe,
        args=_split_args(args),
        loader=bytes(ffi.buffer(raw.loader, raw.loader_len)),
        exec_ns=raw.exec_ns,
        args_truncated=truncated,
        has_environment=bool(raw.flags & _ENVIRONMENT),
    )


def process(raw: Any, text_of: TextOf) -> Process:
    """Decode a `struct process`."""
    before = raw.before
    return Process(
        key=ProcessKey(raw.key.pid, raw.key.start_ns),
        parent=ProcessKey(raw.parent.pid, raw.parent.start_ns),
        ppid=raw.ppid,
        uid=raw.uid,
        gid=raw.gid,
        ns_pid=raw.ns_pid,
        comm=bytes(ffi.buffer(raw.comm)).split(b"\0")[0],
        image=_image(raw.now, text_of),
        previous=_image(before, text_of) if before.exe_len else None,
        namespaces=Namespaces(raw.mnt_ns, raw.pid_ns, raw.uts_ns, raw.ipc_ns, raw.net_ns, raw.cgroup_ns),
        cgroup_id=raw.cgroup_id,
        exit_ns=raw.exit_ns if raw.exited else None,
        exit_status=raw.exit_code if raw.exited else None,
    )


class Record:
    """A `struct record`, with its texts cut out. Valid only as long as the memory behind it."""

    def __init__(self, raw: Any, text_of: TextOf) -> None:
        self.raw = raw
        self.flags: int = raw.flags
        texts = bytes(ffi.buffer(raw.text, raw.path_len + raw.used_len + raw.inside_len + raw.exe_len + raw.args_len))
        ends = [0]
        for length in (raw.path_len, raw.used_len, raw.inside_len, raw.exe_len, raw.args_len):
            ends.append(ends[-1] + length)
        self.path, self.used, self.inside, exe, args = (texts[start:end] for start, end in pairwise(ends))
        long = {raw.process.now.exe_hash: exe, raw.process.now.args_hash: args}
        self._text_of: TextOf = lambda hash_: long.get(hash_) or text_of(hash_)

    def names(self) -> list[tuple[int, bytes]]:
        """Return (hash, name) of each name."""
        raw = self.raw
        named = ((raw.path_hash, self.path), (raw.used_hash, self.used), (raw.inside_hash, self.inside))
        return [(hash_, name) for hash_, name in named if name]

    def observation(self) -> FileObservation:
        """Return the typed form."""
        raw = self.raw
        host = bool(self.flags & _HOST)
        return FileObservation(
            process=process(raw.process, self._text_of),
            path=self.path,
            actions=FileAction(raw.actions),
            new=FileAction(raw.fresh),
            timestamp_ns=raw.timestamp_ns,
            aliases=tuple(name for name in (self.used, b"" if host else self.inside) if name),
            host_path=self.inside if host else b"",
            as_given=bool(self.flags & _AS_GIVEN),
            deleted=bool(self.flags & _DELETED),
            inode=raw.inode,
            device=raw.device,
            mode=raw.mode,
            uid=raw.uid,
            gid=raw.gid,
            size=raw.file_size,
            mtime_ns=raw.mtime_ns,
            lost=raw.lost,
        )
