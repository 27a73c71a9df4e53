"""A worker process: shuts itself in, then runs one reaction after the other, each in a fresh isolate.

Started by the daemon as `python -I -m raqib.reactions.worker.main SOCKET DIRECTORY` (two inherited descriptors).
It has one way out, the socket, and trusts what comes from there; nothing that it sends is trusted at the other end.
"""

from __future__ import annotations

import datetime  # noqa: F401 -- the engine imports it at its first error, which is too late in here
import socket
import sys

from raqib.reactions.protocol import (
    MAX_ARGUMENTS,
    Call,
    Check,
    Execute,
    Go,
    Log,
    Ready,
    Reply,
    Setup,
    WorkerChannel,
)
from raqib.reactions.worker import sandbox
from raqib.reactions.worker.engine import Engine

LOG_LEVELS = ("info", "warn", "error")

_TOO_LARGE = '[false,null,"the arguments take too much room"]'


class Worker:
    """Serves the daemon until it closes the socket."""

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel
        self._warming_up = True

    def serve(self, directory: int, connection: int) -> None:
        """Run until the daemon is gone."""
        setup = self._channel.receive()
        if not isinstance(setup, Setup):
            return
        missing = sandbox.enter(
            root=directory,
            keep=(connection,),
            uid=setup.uid,
            data_bytes=setup.data_bytes,
            max_data_bytes=setup.max_data_bytes,
            parent_pid=setup.parent_pid,
        )
        engine = Engine(setup.helpers, setup.heap_bytes, self._host)
        engine.warm_up()
        sandbox.close()
        self._warming_up = False
        while True:
            isolate = engine.isolate()
            self._channel.send(Ready(missing))
            waited = isolate.wait(self._channel.receive)
            match waited.job:
                case Execute() as job:
                    if job.heap_bytes != isolate.heap_bytes:
                        isolate.close()
                        sandbox.limit_memory(job.data_bytes, setup.max_data_bytes)
                        isolate = engine.isolate(job.heap_bytes)
                        self._channel.put_back(job)
                        waited = isolate.wait(self._channel.receive)
                    if not isinstance(waited.go, Go) or waited.ended is None:
                        return
                    ended = waited.ended
                case Check() as job:
                    ended = isolate.check(job)
                case _:
                    return
            self._channel.send(ended)
            if ended.outcome == "out_of_memory":
                # What is left of the process is not fit for another execution.
                return
            isolate.close()
            # The execution may have had a limit of its own.
            sandbox.limit_memory(setup.data_bytes, setup.max_data_bytes)

    def _host(self, name: str, payload: str) -> str:
        """Carry one helper call to the daemon and its answer back."""
        if self._warming_up:
            return '[true,true,""]'
        if len(payload) > MAX_ARGUMENTS // 4 and len(payload.encode()) > MAX_ARGUMENTS:
            return _TOO_LARGE
        self._channel.send(Log(name, payload) if name in LOG_LEVELS else Call(name, payload))
        reply = self._channel.receive()
        if not isinstance(reply, Reply):
            raise SystemExit(1)
        return reply.text


def main() -> None:
    """Run a worker on the descriptors that the command line names."""
    connection, directory = int(sys.argv[1]), int(sys.argv[2])
    Worker(WorkerChannel(socket.socket(fileno=connection))).serve(directory, connection)


if __name__ == "__main__":
    main()
