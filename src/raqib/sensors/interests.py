"""What the recipes want, taught to the kernel: literals, verdicts, and which syscalls to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from raqib.errors import RaqibError
from raqib.kernel.layout import constant, ffi
from raqib.kernel.object import BpfObject
from raqib.kernel.syscalls import fill
from raqib.model.actions import FileAction
from raqib.model.process import ProcessKey


class Hint(NamedTuple):
    """A literal that the kernel tries on names by itself: see `raqib.recipes.compile.Literal`."""

    kind: str
    value: bytes
    actions: FileAction


class Interests(NamedTuple):
    """What the recipes want, as far as the kernel can decide it."""

    wanted: FileAction
    residual: FileAction
    hints: Iterable[Hint]
    interest: Callable[[bytes], FileAction]
    """What a name means to the recipes; asked once for each name that the hints let through."""
    environments: bool = False
    """Whether the variables for the dynamic loader are kept of each program that starts."""


class Teacher:
    """Writes interests. Each set is a generation of its own, with which the literals and verdicts before it end."""

    def __init__(self, bpf: BpfObject, agent: ProcessKey) -> None:
        self._bpf = bpf
        self._literals = bpf.map("literals", "struct literal_key", "uint32_t")
        self._filter = bpf.map(".data.literals", "uint32_t", "struct filter")
        self._verdicts = bpf.map("verdicts", "uint64_t", "struct verdict")
        self._policies = bpf.map(".data.policy", "uint32_t", "struct policy")
        self._syscalls = bpf.map(".data.syscalls", "uint32_t", "struct syscall_table")
        self._zero = self._policies.key(0)
        self._known: list[Any] = []
        self._bits: Any = self._filter.value()
        policy: Any = ffi.new("struct policy *")
        policy.siphash_key = [int.from_bytes(os.urandom(8), "little") for _ in range(2)]
        policy.cpus, policy.agent = bpf.cpus, agent.pid
        policy.watched_most, policy.processes_most = bpf.size("watched"), bpf.size("processes") - bpf.cpus
        policy.exited_most = bpf.size("exited")
        self._policy = policy
        self._policies.set(self._zero, self._policy)

    def teach(self, interests: Interests) -> None:
        """Replace what the kernel was told of the recipes."""
        generation = self._policy.generation + 1
        depths = 0
        fresh: dict[tuple[int, int], int] = {}
        for hint in interests.hints:
            kind = constant(f"LITERAL_{hint.kind.upper()}")
            if hint.kind == "prefix":
                components = len([part for part in hint.value.split(b"/") if part])
                depths |= 1 << min(components, 63)
            hash_ = self._hash(b"/" + hint.value) if hint.kind == "base" else self._hash(hint.value)
            entry = (hash_.base_hash if hint.kind == "base" else hash_.hash, kind)
            fresh[entry] = fresh.get(entry, 0) | int(hint.actions)
        most = self._bpf.size("literals")
        if len(fresh) + len(self._known) > most:
            raise RaqibError(
                f"expected at most {most} literals in the recipes now in force and in these, "
                f"found {len(self._known)} and {len(fresh)}; sensors.literals makes room for more"
            )
        keys = []
        bits = fill_filter(self._filter.value(), (hash_ >> (kind - 1) * 16 for hash_, kind in fresh))
        self._filter.set(self._zero, _either(bits, self._bits, self._filter.value()))
        for (hash_value, kind), actions in fresh.items():
            key = self._literals.key({"hash": hash_value, "kind": kind, "generation": generation})
            self._literals.set(key, self._literals.value(actions))
            keys.append(key)
        self._policy.generation = generation
        self._policy.prefix_depths = depths
        self._policy.wanted = int(interests.wanted)
        self._policy.residual = int(interests.residual)
        self._policy.environments = interests.environments
        self._policies.set(self._zero, self._policy)
        table = self._syscalls.value()
        fill(table, interests.wanted)
        self._syscalls.set(self._zero, table)
        for key in self._known:
            self._literals.delete(key)
        self._known = keys
        self._filter.set(self._zero, bits)
        self._bits = bits

    def teach_verdict(self, hash_: int, interest: FileAction, generation: int) -> None:
        """Let the kernel answer for a name alone, unless the interests have changed since it was asked."""
        if generation == self._policy.generation:
            verdict = self._verdicts.value({"generation": generation, "interest": int(interest)})
            self._verdicts.set(self._verdicts.key(hash_), verdict)

    def _hash(self, path: bytes) -> Any:
        """Return the kernel's hashes of a path, as a `struct hash_request`."""
        text = ffi.from_buffer(path)
        request: Any = ffi.new("struct hash_request *")
        request.path, request.path_len = int(ffi.cast("uintptr_t", text)), len(path)
        code = self._bpf.run("hash_path", request, ffi.sizeof("struct hash_request"))
        if code:
            most = constant("PATH_BYTES") - 1
            raise RaqibError(f"expected a literal of at most {most} bytes in the recipes, found {len(path)}")
        return request


def fill_filter(bits: Any, values: Iterable[int]) -> Any:
    """Set the bits by which values are known in an empty `struct filter`; return it."""
    for value in values:
        bit = value % constant("FILTER_BITS")
        bits.words[bit // 64] |= 1 << bit % 64
    return bits


def _either(one: Any, other: Any, bits: Any) -> Any:
    for number in range(len(bits.words)):
        bits.words[number] = one.words[number] | other.words[number]
    return bits
