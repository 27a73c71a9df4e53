"""A worker that was taken over wholly: it knows the protocol and says, byte for byte, what the test wants it to say.

The code of its execution is a JSON list of steps: `["call", HELPER, ARGUMENTS]` asks and waits for the answer,
`["bytes", HEX]` sends bytes, `["hold"]` says nothing more.
"""

from __future__ import annotations

import json
import socket
import sys

from raqib.reactions.protocol import Call, Ended, Execute, Ready, Reply, Setup, WorkerChannel, pack


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    channel = WorkerChannel(connection)
    assert isinstance(channel.receive(), Setup)
    channel.send(Ready())
    while isinstance(job := channel.receive(), Execute):
        for step, *rest in json.loads(job.code):
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
