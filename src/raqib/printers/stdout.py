"""The printer for standard output: pretty on a terminal, JSON lines otherwise."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat

from raqib.model.event import Event
from raqib.printers.escape import json_line
from raqib.printers.pretty import Pretty

# A pipe that polls as writable takes a page at once, whoever reads or does not.
_CHUNK = select.PIPE_BUF
_NO_NOWAIT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_PIPE_BYTES = 1 << 20
"""What whoever is not root may ask for, as Linux is set up."""


class StdoutPrinter:
    """Writes to a descriptor that nobody may be reading; `close` breaks off a write that waits for a reader.

    Make it early: if standard output is closed, the next file that is opened gets its number.
    """

    name = "stdout"
    local = True
    compact = True

    def __init__(self, *, raw: bool = False, fd: int = 1, pretty: Pretty | None = None) -> None:
        """Write JSON lines if `raw`, else what `pretty` renders; by default that is only used on a terminal."""
        try:
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        except OSError:
            self._fd = -1
        if raw:
            self._pretty = None
        elif pretty is None and self._fd >= 0 and os.isatty(self._fd):
            with open(self._fd, "w", closefd=False) as terminal:
                self._pretty = Pretty.for_file(terminal)
        else:
            self._pretty = pretty
        # Elsewhere EAGAIN may come for ever: poll(2) has no say about regular files.
        mode = os.fstat(self._fd).st_mode if self._fd >= 0 else 0
        self._takes_nowait = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        if stat.S_ISFIFO(mode):
            # Less to wait for, if whoever may be the reader allows it.
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._close_event = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._close_event, select.POLLIN)
        if self._fd >= 0:
            self._poll.register(self._fd, select.POLLOUT)

    @property
    def reads_events(self) -> bool:
        """Whether it writes for people."""
        return self._pretty is not None

    def print(self, event: Event | None, line: bytes) -> None:
        """Write the event; waits as long as the reader does.

        Raises OSError if there is no reader any more, or none that reads until `close`.
        """
        if self._fd < 0:
            raise OSError(errno.EBADF, "standard output was closed when raqib started")
        if self._pretty and event:
            rest = memoryview(self._pretty.render(event).encode(self._pretty.encoding))
        else:
            rest = memoryview(json_line(line) + b"\n")
        while rest:
            rest = rest[self._write_now(rest) or self._write_when_ready(rest) :]

    def _write_now(self, rest: memoryview) -> int:
        """Write what there is room for, without waiting; return its size in bytes, 0 also where that is not known.

        Pipes know how since Linux 6.4, sockets since 6.5.
        """
        if not self._takes_nowait:
            return 0
        try:
            return os.pwritev(self._fd, [rest], -1, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno not in _NO_NOWAIT:
                raise
            self._takes_nowait = False
            return 0

    def _write_when_ready(self, rest: memoryview) -> int:
        # With the reader gone poll says POLLERR, and the write says EPIPE.
        if any(ready == self._close_event for ready, _ in self._poll.poll()):
            raise OSError(errno.ECANCELED, "standard output was not read until the end")
        return 0 if self._takes_nowait else os.write(self._fd, rest[:_CHUNK])

    def close(self) -> None:
        """Break off a write that waits. The descriptors stay: the waiting thread may still use them."""
        os.eventfd_write(self._close_event, 1)
