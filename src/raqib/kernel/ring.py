"""The ring buffer's reader."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from raqib.kernel.layout import ffi
from raqib.kernel.object import BpfObject

_ENOUGH = -errno.EAGAIN
"""Returned to libbpf, it stops after the record in hand; the rest stays in the buffer."""


class Ring:
    """Hands each record to `receive` as a pointer that is valid only during the call."""

    def __init__(self, bpf: BpfObject, name: str, record: str, receive: Callable[[Any], None]) -> None:
        self._library = bpf.library
        pointer = ffi.typeof(record + " *")
        self._failed: list[BaseException] = []
        self._count = 0
        self._most: int | None = None

        @ffi.callback("ring_buffer_sample_fn")
        def sample(ctx: Any, data: Any, size: int) -> int:
            try:
                receive(ffi.cast(pointer, data))
            except Exception as error:  # an exception must not unwind through libbpf's frames
                self._failed.append(error)
            self._count += 1
            return _ENOUGH if self._count == self._most else 0

        self._sample = sample
        self._ring = self._library.calls.ring_buffer__new(bpf.map_fd(name), sample, ffi.NULL, ffi.NULL)
        if self._ring == ffi.NULL:
            raise self._library.error(f"cannot read the ring buffer {name}")

    def fileno(self) -> int:
        """Return a descriptor that is readable while there are records."""
        fd: int = self._library.calls.ring_buffer__epoll_fd(self._ring)
        return fd

    def consume(self, most: int | None = None) -> int:
        """Hand over waiting records, all of them or at most so many; return their number.

        Raises ExceptionGroup with what `receive` raised, after all records were handed over.
        """
        self._count, self._most = 0, most
        code: int = self._library.calls.ring_buffer__consume(self._ring)
        if code < 0 and code != _ENOUGH:
            raise self._library.error("cannot read the ring buffer", code)
        if self._failed:
            failed, self._failed = self._failed, []
            raise BaseExceptionGroup("records that could not be handled", failed)
        return self._count

    def close(self) -> None:
        """Stop reading."""
        if self._ring != ffi.NULL:
            self._library.calls.ring_buffer__free(self._ring)
            self._ring = ffi.NULL
