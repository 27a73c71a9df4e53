"""A worker that was taken over wholly: it knows the protocol and says, byte for byte, what the test wants it to say.

The code of its execution is a JSON list of steps: `["call", HELPER, ARGUMENTS]` asks and waits for the answer,
`["bytes", HEX]` sends bytes, `["early", HEX]` does so before it was told to begin, `["hold"]` says nothing more.
"""

from __future__ import annotations

import json
import socket
import sys

from raqib.reactions.protocol import Call, Ended, Execute, Go, Ready, Reply, Setup, WorkerChannel, pack


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    channel = WorkerChannel(connection)
    assert isinstance(channel.receive(), Setup)
    channel.send(Ready())
    while isinstance(job := channel.receive(), Execute):
        steps = json.loads(job.code)
        if steps and steps[0][0] == "early":
            connection.sendall(bytes.fromhex(steps[0][1]))
        assert isinstance(channel.receive(), Go)
        for step, *rest in steps:
            match step:
                case "call":
                    connection.sendall(pack(Call(*rest)))
                    assert isinstance(channel.receive(), Reply)
                case "bytes":
                    connection.sendall(bytes.fromhex(rest[0]))
                case "hold":
                    while connection.recv(65536):
                        pass
        channel.send(Ended("ok"))
        channel.send(Ready())


if __name__ == "__main__":
    main()
