"""From what the kernel knows to the parts of an event."""

from __future__ import annotations

import base64
import os
import stat
import uuid
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

from msgspec import UNSET

from raqib.host.user_names import group_name, user_name
from raqib.model.actions import ACTION_NAMES, FileAction, action_names
from raqib.model.clock import rfc3339, rfc3339_of_boot
from raqib.model.event import Directory, FileInfo, FileMetadata, FileTree, ListedFile, NamespaceIds, Owner, ProcessInfo
from raqib.model.observation import FileObservation
from raqib.model.process import Process

_MINOR_BITS = 20


def text(raw: bytes) -> str:
    """Return bytes as text; U+FFFD stands for what is not UTF-8."""
    return raw.decode("utf-8", "replace")


def exact(raw: bytes) -> str | None:
    """Return bytes in base64 if their text is not the whole truth."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode("ascii")
    return None


def exact_list(raws: Sequence[bytes]) -> list[str] | None:
    """Return all of them in base64 if the text of one is not the whole truth."""
    if not any(map(exact, raws)):
        return None
    return [base64.b64encode(raw).decode("ascii") for raw in raws]


@cache
def _boot() -> uuid.UUID:
    return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip())


@lru_cache(maxsize=128)  # with thousands of arguments, one takes 160 KiB
def process_info(process: Process) -> ProcessInfo:
    """Describe a process. The answer is shared: it must not be changed."""
    image, before = process.image, process.previous
    line = b" ".join(image.args)
    status = process.exit_status
    return ProcessInfo(
        uuid=str(uuid.uuid5(_boot(), f"{process.key.pid}:{process.key.start_ns}")),
        start=rfc3339_of_boot(process.key.start_ns) if process.key.start_ns else None,
        exit=rfc3339_of_boot(process.exit_ns) if process.exit_ns else None,
        retcode=UNSET if status is None else (status >> 8 & 0xFF) if not status & 0x7F else -(status & 0x7F),
        uid=process.uid,
        pid=process.key.pid,
        ns_pid=process.ns_pid or UNSET,
        ppid=process.ppid,
        comm=text(process.comm),
        comm_b64=exact(process.comm),
        cmd=text(line),
        cmd_b64=exact(line),
        exe=text(image.exe) if image.exe else None,
        exe_b64=exact(image.exe),
        args=[text(arg) for arg in image.args],
        args_b64=exact_list(image.args),
        envs=[text(entry) for entry in process.envs],
        envs_b64=exact_list(process.envs),
        loader=text(image.loader) or None,
        loader_b64=exact(image.loader),
        prev_exe=text(before.exe) if before else None,
        prev_exe_b64=exact(before.exe) if before else None,
        prev_args=[text(arg) for arg in before.args] if before else [],
        prev_args_b64=exact_list(before.args) if before else None,
        prev_loader=(text(before.loader) or None) if before else None,
        prev_loader_b64=exact(before.loader) if before else None,
        namespaces=_namespaces(process),
    )


def _namespaces(process: Process) -> NamespaceIds:
    ids = process.namespaces
    return NamespaceIds(
        mnt_ns=ids.mnt_ns or None,
        pid_ns=ids.pid_ns or None,
        uts_ns=ids.uts_ns or None,
        ipc_ns=ids.ipc_ns or None,
        net_ns=ids.net_ns or None,
        cgroup_ns=ids.cgroup_ns or None,
    )


_KINDS = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
)


def file_info(seen: FileObservation) -> FileInfo:
    """Describe the file of an observation."""
    path = text(seen.path)
    directory, _, base = path.rpartition("/")
    return FileInfo(
        file=path,
        path=path,
        path_b64=exact(seen.path),
        dir=directory or "/",
        basename=base,
        type=next((name for test, name in _KINDS if test(seen.mode)), None) if seen.mode else None,
        actions=list(action_names(seen.actions)),
        owner=_owner(seen.uid, seen.gid) if seen.mode else None,
        permissions=stat.filemode(seen.mode) if seen.mode else None,
        metadata=_metadata(seen) if seen.mode else None,
        aliases=[text(alias) for alias in seen.aliases],
        aliases_b64=exact_list(seen.aliases),
        host_path=text(seen.host_path) if seen.host_path else None,
        host_path_b64=exact(seen.host_path) if seen.host_path else None,
        as_given=seen.as_given,
        deleted=seen.deleted,
        **_done(seen.actions.value),
    )


@lru_cache(maxsize=1024)
def _done(actions: int) -> dict[str, bool]:
    """Return whether each of the actions is in a set, by its name."""
    return {name: bool(actions & action.value) for name, action in ACTION_NAMES.items()}


def _metadata(seen: FileObservation) -> FileMetadata:
    return FileMetadata(
        size=seen.size,
        mtime=rfc3339(seen.mtime_ns),
        inode=seen.inode,
        device=f"{seen.device >> _MINOR_BITS}:{seen.device & (1 << _MINOR_BITS) - 1}",
    )


def _owner(uid: int, gid: int) -> Owner:
    return Owner(uid=uid, gid=gid, user=user_name(uid), group=group_name(gid))


def file_list(accessed: Iterable[tuple[bytes, FileAction]]) -> list[ListedFile]:
    """Describe the files that a process did something to."""
    return [
        ListedFile(
            path=text(path),
            base=text(os.path.basename(path)),  # noqa: PTH119
            actions=action_names(actions),
            path_b64=exact(path),
        )
        for path, actions in accessed
    ]


def file_tree(files: Sequence[ListedFile]) -> FileTree:
    """Return the same files as a tree."""
    root = Directory(path="/", base="/", dirs=[], files=[])
    known = {"": root}
    for file in files:
        at = ""
        node = root
        for part in file.path.split("/")[1:-1]:
            at = f"{at}/{part}"
            below = known.get(at)
            if below is None:
                below = known[at] = Directory(path=at, base=part, dirs=[], files=[])
                assert isinstance(node.dirs, list)  # noqa: S101  # made as a list above
                node.dirs.append(below)
            node = below
        assert isinstance(node.files, list)  # noqa: S101
        node.files.append(file)
    return FileTree(root=root)
