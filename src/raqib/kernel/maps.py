"""eBPF maps with keys and values in the shared layout."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from raqib.kernel.layout import ffi
from raqib.kernel.libbpf import Libbpf

NOEXIST = 1


class Map:
    """One map. Keys and values are cffi pointers to the layout's types."""

    def __init__(self, library: Libbpf, fd: int, name: str, key: str, value: str) -> None:
        self._library = library
        self._fd = fd
        self._key = ffi.typeof(key + " *")
        self._value = ffi.typeof(value + " *")
        self.name = name

    def key(self, initial: Any = None) -> Any:
        """Return a new key."""
        return ffi.new(self._key, initial)

    def value(self, initial: Any = None) -> Any:
        """Return a new value."""
        return ffi.new(self._value, initial)

    def get(self, key: Any) -> Any | None:
        """Return a copy of the value, or None if there is none."""
        value = ffi.new(self._value)
        code = self._library.calls.bpf_map_lookup_elem(self._fd, key, value)
        if code == -errno.ENOENT:
            return None
        if code:
            raise self._library.error(f"map {self.name}: look-up", code)
        return value

    def set(self, key: Any, value: Any, flags: int = 0) -> None:
        """Write a value."""
        code = self._library.calls.bpf_map_update_elem(self._fd, key, value, flags)
        if code:
            raise self._library.error(f"map {self.name}: update", code)

    def delete(self, key: Any) -> bool:
        """Remove an entry; False if there was none."""
        code = self._library.calls.bpf_map_delete_elem(self._fd, key)
        if code and code != -errno.ENOENT:
            raise self._library.error(f"map {self.name}: delete", code)
        return not code

    def keys(self) -> Iterator[Any]:
        """Yield a copy of each key. Entries that come and go meanwhile may be seen or not."""
        before: Any = ffi.NULL
        while True:
            key = ffi.new(self._key)
            code = self._library.calls.bpf_map_get_next_key(self._fd, before, key)
            if code == -errno.ENOENT:
                return
            if code:
                raise self._library.error(f"map {self.name}: next key", code)
            yield key
            before = key
