"""eBPF maps with keys and values in the shared layout."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from raqib.kernel.layout import ffi
from raqib.kernel.libbpf import Libbpf

_BATCH = 256


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

    def pop(self, key: Any) -> Any | None:
        """Remove an entry of a hash and return its value, in one step; None if there is none."""
        value = ffi.new(self._value)
        code = self._library.calls.bpf_map_lookup_and_delete_elem(self._fd, key, value)
        if code == -errno.ENOENT:
            return None
        if code:
            raise self._library.error(f"map {self.name}: take out", code)
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

    def walk(self) -> list[Any]:
        """Return the keys of any kind of map, also of a trie, from key to key: best effort while it changes."""
        found: list[Any] = []
        before: Any = ffi.NULL
        while True:
            after = ffi.new(self._key)
            code = self._library.calls.bpf_map_get_next_key(self._fd, before, after)
            if code == -errno.ENOENT:
                return found
            if code:
                raise self._library.error(f"map {self.name}: next key", code)
            found.append(after)
            before = after

    def entries(self) -> Iterator[tuple[Any, Any]]:
        """Yield a copy of each key and value of a hash; what stays there meanwhile is yielded exactly once.

        Keys are walked bucket by bucket: going from key to key would begin anew whenever one has gone.
        """
        place = ffi.new("__u32[2]")
        count = ffi.new("__u32 *")
        before: Any = ffi.NULL
        room = _BATCH
        while True:
            keys = ffi.new(ffi.typeof(self._key.item.cname + "[]"), room)
            values = ffi.new(ffi.typeof(self._value.item.cname + "[]"), room)
            count[0] = room
            code = self._library.calls.bpf_map_lookup_batch(
                self._fd, before, ffi.addressof(place, 1), keys, values, count, ffi.NULL
            )
            if code == -errno.ENOSPC:  # a bucket holds more
                room *= 2
                continue
            if code not in (0, -errno.ENOENT):
                raise self._library.error(f"map {self.name}: look-up of many", code)
            for index in range(count[0]):
                yield ffi.new(self._key, keys[index]), ffi.new(self._value, values[index])
            if code:
                return
            place[0] = place[1]
            before = place
