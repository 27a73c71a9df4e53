"""The file sensor: what processes do to files, from the kernel's event core."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from raqib.kernel.layout import constant, ffi
from raqib.kernel.object import BpfObject
from raqib.kernel.ring import Ring
from raqib.kernel.syscalls import fill
from raqib.model.actions import NO_ACTIONS, FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Process, ProcessKey
from raqib.sensors.decode import Record, process
from raqib.sensors.resolve import Resolver

_HOOKS = ("sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_enter", "sys_exit")
_AS_GIVEN, _FOLLOW = constant("RECORD_AS_GIVEN"), constant("RECORD_FOLLOW")
_TRUNCATED, _UNDECIDED = constant("RECORD_PATH_TRUNCATED"), constant("RECORD_UNDECIDED")


class Hint(NamedTuple):
    """A literal that the kernel tries on names by itself: see `raqib.recipes.compile.Literal`."""

    kind: str
    value: bytes
    actions: FileAction


class Policy(NamedTuple):
    """What the recipes want, as far as the kernel can decide it."""

    wanted: FileAction
    residual: FileAction
    hints: Iterable[Hint]
    interest: Callable[[bytes], FileAction]
    """What a name means to the recipes; asked once for each name that the hints let through."""


class Accessed(NamedTuple):
    """A file that a process did something to."""

    path: bytes
    actions: FileAction


class FileSensor:
    """Hooks, maps and records. `observe` gets every observation in which some recipe may be interested."""

    def __init__(self, observe: Callable[[FileObservation], None], sizes: Mapping[str, int] | None = None) -> None:
        """Load the programs; nothing is seen before `start`."""
        self._observe = observe
        self._bpf = BpfObject(sizes)
        self._processes = self._bpf.map("processes", "struct process_key", "struct process")
        self._exited = self._bpf.map("exited", "struct process_key", "struct process")
        self._accesses = self._bpf.map("accesses", "struct access_key", "struct access")
        self._watched = self._bpf.map("watched", "struct access_key", "struct watched")
        self._paths = self._bpf.map("paths", "uint64_t", "struct context_path")
        self._texts = self._bpf.map("texts", "uint64_t", "struct long_text")
        self._verdicts = self._bpf.map("verdicts", "uint64_t", "struct verdict")
        self._literals = self._bpf.map("literals", "struct literal_key", "uint32_t")
        self._policy_map = self._bpf.map(".data.policy", "uint32_t", "struct policy")
        self._syscalls = self._bpf.map(".data.syscalls", "uint32_t", "struct syscall_table")
        self._counters = self._bpf.map(".data.counters", "uint32_t", "struct counters")
        self._zero = self._counters.key(0)
        self._resolver = Resolver()
        self._ring = Ring(self._bpf, "records", "struct record", self._receive)
        self._interest: Callable[[bytes], FileAction] = lambda name: NO_ACTIONS
        self._known: list[Any] = []
        self._swept = 0
        self.agent = self._identify()
        self._policy = self._new_policy()
        self._policy_map.set(self._zero, self._policy)

    def _identify(self) -> ProcessKey:
        key: Any = ffi.new("struct process_key *")
        self._bpf.run("identify", key, ffi.sizeof("struct process_key"))
        return ProcessKey(key.pid, key.start_ns)

    def _new_policy(self) -> Any:
        policy: Any = ffi.new("struct policy *")
        policy.siphash_key = [int.from_bytes(os.urandom(8), "little") for _ in range(2)]
        policy.cpus = self._bpf.cpus
        policy.agent = self.agent.pid
        return policy

    def set_policy(self, policy: Policy) -> None:
        """Teach the kernel what the recipes want; verdicts under the policy before end."""
        generation = self._policy.generation + 1
        depths = 0
        fresh: dict[tuple[int, int], int] = {}
        for hint in policy.hints:
            kind = constant(f"LITERAL_{hint.kind.upper()}")
            if hint.kind == "prefix":
                components = len([part for part in hint.value.split(b"/") if part])
                depths |= 1 << min(components, 63)
            hash_ = self.hash(b"/" + hint.value) if hint.kind == "base" else self.hash(hint.value)
            entry = (hash_.base_hash if hint.kind == "base" else hash_.hash, kind)
            fresh[entry] = fresh.get(entry, 0) | int(hint.actions)
        keys = []
        for (hash_value, kind), actions in fresh.items():
            key = self._literals.key({"hash": hash_value, "kind": kind, "generation": generation})
            self._literals.set(key, self._literals.value(actions))
            keys.append(key)
        self._interest = policy.interest
        self._policy.generation = generation
        self._policy.prefix_depths = depths
        self._policy.wanted = int(policy.wanted)
        self._policy.residual = int(policy.residual)
        self._policy_map.set(self._zero, self._policy)
        table = self._syscalls.value()
        fill(table, policy.wanted)
        self._syscalls.set(self._zero, table)
        for key in self._known:
            self._literals.delete(key)
        self._known = keys

    def start(self) -> None:
        """Attach every hook, then take in the processes that were there before."""
        for hook in _HOOKS:
            self._bpf.attach(hook)
        self._bpf.iterate("existing_processes")

    def fileno(self) -> int:
        """Return a descriptor that is readable while records wait."""
        return self._ring.fileno()

    def consume(self) -> int:
        """Hand over what waits; return the number of records."""
        return self._ring.consume()

    def hash(self, path: bytes) -> Any:
        """Return the kernel's hashes of a path, as a `struct hash_request`."""
        text = ffi.from_buffer(path)
        request: Any = ffi.new("struct hash_request *")
        request.path, request.path_len = int(ffi.cast("uintptr_t", text)), len(path)
        code = self._bpf.run("hash_path", request, ffi.sizeof("struct hash_request"))
        if code:
            raise ValueError(f"expected a path of less than 4096 bytes, found {len(path)}: {os.strerror(-code)}")
        return request

    def process(self, key: ProcessKey) -> Process | None:
        """Return what the kernel knows of a process, also if it has ended."""
        raw_key = self._processes.key({"pid": key.pid, "start_ns": key.start_ns})
        raw = self._processes.get(raw_key) or self._exited.get(raw_key)
        return process(raw, self._text) if raw else None

    def living(self) -> Iterator[ProcessKey]:
        """Yield the processes that live."""
        for key in self._processes.keys():  # noqa: SIM118  # a kernel map, not a dict
            yield ProcessKey(key.pid, key.start_ns)

    def accessed(self, key: ProcessKey, most: int = 1000) -> list[Accessed]:
        """Return what a process did to which files, the newest first, as far as the kernel remembers."""
        raw_key = self._processes.key({"pid": key.pid, "start_ns": key.start_ns})
        raw: Any = self._processes.get(raw_key) or self._exited.get(raw_key)
        found: list[Accessed] = []
        file = raw.last_access if raw else 0
        while file and len(found) < most:
            access = self._accesses.get(self._accesses.key({"process": raw.key, "file": file}))
            if access is None:
                break
            path = self._paths.get(self._paths.key(file))
            if path is not None and path.len <= len(path.path):
                found.append(Accessed(bytes(ffi.buffer(path.path, path.len)), FileAction(access.actions)))
            file = access.next
        return found

    def counters(self) -> dict[str, int]:
        """Return the kernel side's counters by name."""
        raw = self._counters.get(self._zero)
        return {name: getattr(raw, name) for name, _ in ffi.typeof("struct counters").fields or ()}

    def sweep(self) -> int:
        """Deliver what did not fit into the ring buffer when it happened; return the number of files."""
        pending = self.counters()["pending"]
        if pending == self._swept:
            return 0
        self._swept = pending
        count = 0
        for key in self._watched.keys():  # noqa: SIM118  # a kernel map, not a dict
            entry = self._watched.get(key)
            if entry is None:
                continue
            fresh = entry.actions & entry.interest & ~entry.reported
            if fresh:
                count += 1
                self._deliver_pending(key, entry, FileAction(fresh))
        return count

    def close(self) -> None:
        """Detach everything."""
        self._ring.close()
        self._bpf.close()

    def _text(self, hash_: int) -> bytes | None:
        raw = self._texts.get(self._texts.key(hash_))
        return bytes(ffi.buffer(raw.text, min(raw.len, len(raw.text)))) if raw else None

    def _receive(self, raw: Any) -> None:
        record = Record(raw, self._text)
        if record.flags & _AS_GIVEN:
            self._receive_as_given(record)
            return
        interest = NO_ACTIONS
        for hash_, name in record.names():
            meaning = self._interest(name)
            interest |= meaning
            if (
                record.flags & _UNDECIDED
                and not record.flags & _TRUNCATED
                and raw.generation == self._policy.generation
            ):
                verdict = self._verdicts.value({"generation": raw.generation, "interest": int(meaning)})
                self._verdicts.set(self._verdicts.key(hash_), verdict)
        if FileAction(raw.actions) & interest:
            self._observe(record.observation())

    def _receive_as_given(self, record: Record) -> None:
        self._observe_as_given(record.observation(), follow=bool(record.flags & _FOLLOW))

    def _observe_as_given(self, seen: FileObservation, *, follow: bool) -> None:
        """Find out where the name led, and join what the process has done to that file before."""
        actor = seen.process
        path = self._resolver.resolve(
            seen.path, pid=actor.pid, mnt_ns=actor.namespaces.mnt_ns, follow=follow and not seen.new & FileAction.UNLINK
        )
        if path is not None and path != seen.path:
            total = self._merge(actor.key, self.hash(path).hash, seen.new, NO_ACTIONS)
            seen = replace(seen, path=path, aliases=(seen.path, *seen.aliases), actions=total, as_given=False)
        elif path is not None:
            seen = replace(seen, as_given=False)
        if any(seen.actions & self._interest(name) for name in seen.names):
            self._observe(seen)

    def _merge(self, key: ProcessKey, file: int, actions: FileAction, reported: FileAction) -> FileAction:
        request: Any = ffi.new("struct merge_request *")
        request.key.process.pid, request.key.process.start_ns, request.key.file = key.pid, key.start_ns, file
        request.actions, request.reported = int(actions), int(reported)
        self._bpf.run("merge", request, ffi.sizeof("struct merge_request"))
        return FileAction(request.total)

    def _deliver_pending(self, key: Any, entry: Any, fresh: FileAction) -> None:
        identity = ProcessKey(key.process.pid, key.process.start_ns)
        actor = self.process(identity) or Process(key=identity)
        path = bytes(ffi.buffer(entry.path, min(entry.path_len, len(entry.path))))
        aliases = []
        if entry.path_len > len(entry.path):
            path = self._text(key.file) or path
        if entry.alias:
            alias = self._paths.get(self._paths.key(entry.alias))
            if alias is not None:
                aliases.append(bytes(ffi.buffer(alias.path, min(alias.len, len(alias.path)))))
        seen = FileObservation(
            process=actor,
            path=path,
            aliases=tuple(aliases),
            actions=FileAction(entry.actions),
            new=fresh,
            timestamp_ns=entry.timestamp_ns,
            as_given=bool(entry.flags & _AS_GIVEN),
            deleted=bool(entry.flags & constant("RECORD_DELETED")),
        )
        if seen.as_given:
            self._observe_as_given(seen, follow=bool(entry.flags & _FOLLOW))
        elif any(seen.actions & self._interest(name) for name in seen.names):
            self._observe(seen)
        self._merge(identity, key.file, NO_ACTIONS, fresh)
        if actor.exit_ns is not None:
            self._watched.delete(key)
