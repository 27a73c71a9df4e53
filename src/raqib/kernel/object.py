"""The compiled eBPF objects: opened, sized, loaded, attached, and taken away again."""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.layout import ffi
from raqib.kernel.libbpf import Libbpf
from raqib.kernel.maps import Map

ARCHITECTURES = ("x86_64", "aarch64")
HASH, LPM_TRIE = 1, 11
"""Kinds of maps."""
_NO_PREALLOC = 1
HOOKS = ("sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_enter", "sys_exit")
"""The programs that are attached, in this order: a process is known before what it does."""


class BpfObject:
    """All programs and maps of one object. What is not pinned ends with this process, however that ends."""

    def __init__(
        self,
        sizes: Mapping[str, int] | None = None,
        *,
        name: str = "files",
        pins: Mapping[str, Path] | None = None,
        without: Collection[str] = (),
        only: Collection[str] | None = None,
    ) -> None:
        """Load the object of that name for this processor.

        `sizes` sets the number of entries (bytes for ring buffers) of maps; `pins` tells where maps are pinned, and
        taken over from if there is one; `without` names programs that are not loaded, `only` those that are.

        Raises NotPermittedError if this kernel, processor or user may not load it; RaqibError if the kernel's verifier
        or libbpf refuse it; the message has their log.
        """
        self._stack = ExitStack()
        self._running = threading.Lock()
        self.library = Libbpf()
        self.cpus: int = self.library.calls.libbpf_num_possible_cpus()
        self._object = self._open(name)
        self._stack.callback(self.library.calls.bpf_object__close, self._object)
        own = {"scratches": self.cpus + 1} if name == "files" else {"dns_scratches": 2 * self.cpus + 1}
        try:
            for changed, entries in {**own, **(sizes or {})}.items():
                code = self.library.calls.bpf_map__set_max_entries(self._map(changed), entries)
                if code:
                    raise self.library.error(f"map {changed}: cannot have {entries} entries", code)
            for pinned, path in (pins or {}).items():
                code = self.library.calls.bpf_map__set_pin_path(self._map(pinned), os.fsencode(path))
                if code:
                    raise self.library.error(f"map {pinned}: cannot be pinned at {path}", code)
            for program in self.programs():
                if program in without or (only is not None and program not in only):
                    self.library.calls.bpf_program__set_autoload(self.program(program), False)
            code = self.library.calls.bpf_object__load(self._object)
            if code:
                raise self.library.error("cannot load the eBPF programs", code)
        except BaseException:
            self.close()
            raise

    def _open(self, name: str) -> Any:
        machine = platform.machine()
        if machine not in ARCHITECTURES:
            raise NotPermittedError(f"expected a processor of {', '.join(ARCHITECTURES)}, found {machine}")
        with as_file(files("raqib.kernel").joinpath(f"objects/{name}.{machine}.bpf.o")) as path:
            if not path.exists():
                raise RaqibError(f"expected the compiled programs at {path}, found none; build them: make -C bpf")
            opened = self.library.calls.bpf_object__open_file(os.fsencode(path), ffi.NULL)
        if opened == ffi.NULL:
            raise self.library.error("cannot open the eBPF object")
        return opened

    def _map(self, name: str) -> Any:
        found = self.library.calls.bpf_object__find_map_by_name(self._object, name.encode())
        if found == ffi.NULL:
            raise RaqibError(f"expected a map {name!r} in the eBPF object, found none")
        return found

    def programs(self) -> list[str]:
        """Return the names of all programs, also of those that are not loaded."""
        found: list[str] = []
        program = ffi.NULL
        while True:
            program = self.library.calls.bpf_object__next_program(self._object, program)
            if program == ffi.NULL:
                return found
            raw: Any = ffi.string(self.library.calls.bpf_program__name(program))
            found.append(raw.decode())

    def program(self, name: str) -> Any:
        """Return the program of that name."""
        found = self.library.calls.bpf_object__find_program_by_name(self._object, name.encode())
        if found == ffi.NULL:
            raise RaqibError(f"expected a program {name!r} in the eBPF object, found none")
        return found

    def program_fd(self, name: str) -> int:
        """Return a program's descriptor, which belongs to the object; below 0 if it is not loaded."""
        fd: int = self.library.calls.bpf_program__fd(self.program(name))
        return fd

    def map(self, name: str, key: str, value: str) -> Map:
        """Return a map with the types of its keys and values, such as `struct process_key`."""
        return Map(self.library, self.map_fd(name), name, key, value)

    def size(self, name: str) -> int:
        """Return how many entries a map can have; bytes, if it is a ring buffer."""
        entries: int = self.library.calls.bpf_map__max_entries(self._map(name))
        return entries

    def map_fd(self, name: str) -> int:
        """Return a map's descriptor; it belongs to the object."""
        fd: int = self.library.calls.bpf_map__fd(self._map(name))
        return fd

    def put_inner(
        self, outer: str, slot: int, kind: int, sizes: tuple[int, int], keys: bytearray, values: bytearray
    ) -> None:
        """Make a map of a kind, with keys and values of these sizes, and put it into a slot of an array of maps."""
        count = len(keys) // sizes[0]
        options: Any = ffi.new("struct bpf_map_create_opts *")
        options.sz = ffi.sizeof("struct bpf_map_create_opts")
        options.map_flags = _NO_PREALLOC
        calls = self.library.calls
        fd = calls.bpf_map_create(kind, outer.encode()[:15], *sizes, max(count, 1), options)
        if fd < 0:
            raise self.library.error(f"map {outer}: cannot have one of {count} entries", fd)
        try:
            if count:
                number = ffi.new("__u32 *", count)
                code = calls.bpf_map_update_batch(fd, ffi.from_buffer(keys), ffi.from_buffer(values), number, ffi.NULL)
                if code:
                    raise self.library.error(f"map {outer}: cannot be filled with {count} entries", code)
            code = calls.bpf_map_update_elem(self.map_fd(outer), ffi.new("__u32 *", slot), ffi.new("__u32 *", fd), 0)
            if code:
                raise self.library.error(f"map {outer}: cannot take another map", code)
        finally:
            os.close(fd)

    def attach(self, name: str) -> None:
        """Attach a program to the hook that its section names, until the object is closed."""
        link = self.library.calls.bpf_program__attach(self.program(name))
        if link == ffi.NULL:
            raise self.library.error(f"cannot attach {name}")
        self._stack.callback(self.library.calls.bpf_link__destroy, link)

    def attach_cgroup(self, name: str, cgroup_fd: int) -> Any:
        """Attach a program to a cgroup, beside what others attached there; return the link, which the caller ends."""
        link = self.library.calls.bpf_program__attach_cgroup(self.program(name), cgroup_fd)
        if link == ffi.NULL:
            raise self.library.error(f"cannot attach {name} to the cgroup")
        return link

    def iterate(self, name: str) -> None:
        """Run an iterator program over everything that it visits."""
        link = self.library.calls.bpf_program__attach(self.program(name))
        if link == ffi.NULL:
            raise self.library.error(f"cannot attach {name}")
        try:
            fd = self.library.calls.bpf_iter_create(self.library.calls.bpf_link__fd(link))
            if fd < 0:
                raise self.library.error(f"cannot start the iterator {name}", fd)
            try:
                while os.read(fd, 4096):
                    pass
            finally:
                os.close(fd)
        finally:
            self.library.calls.bpf_link__destroy(link)

    def run(self, name: str, request: Any, size: int) -> int:
        """Run a program with `request` as its context, which it may change; return its result.

        One at a time, whichever thread asks: such programs share their working memory.
        """
        opts: Any = ffi.new("struct bpf_test_run_opts *")
        opts.sz = ffi.sizeof("struct bpf_test_run_opts")
        opts.ctx_in = request
        opts.ctx_size_in = size
        program = self.program_fd(name)
        with self._running:
            code = self.library.calls.bpf_prog_test_run_opts(program, opts)
        if code:
            raise self.library.error(f"cannot run {name}", code)
        return int(ffi.cast("int32_t", opts.retval))

    def judge_packet(self, name: str, frame: bytes) -> tuple[int, int]:
        """Run a program on an Ethernet frame that exists nowhere else; return its result and its nanoseconds."""
        opts: Any = ffi.new("struct bpf_test_run_opts *")
        data = ffi.from_buffer(frame)
        opts.sz = ffi.sizeof("struct bpf_test_run_opts")
        opts.data_in = data
        opts.data_size_in = len(frame)
        code = self.library.calls.bpf_prog_test_run_opts(self.program_fd(name), opts)
        if code:
            raise self.library.error(f"cannot run {name}", code)
        return int(opts.retval), int(opts.duration)

    def close(self) -> None:
        """Detach and unload everything."""
        self._stack.close()
