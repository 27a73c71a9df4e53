"""Programs in a network and a mount namespace of their own, whose /etc/resolv.conf names another server.

A program asks a server that it is itself, and sends a datagram to a port of an address, once for each line that names
the port.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.cgroups import enter

CODE = """
    import subprocess, sys, threading
    from socket import *
    resolv_conf, server, name, address = sys.argv[1:]
    # Only in this mount namespace, which nobody else sees.
    for words in (
        ["mount", "--bind", resolv_conf, "/etc/resolv.conf"],
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", server + "/32", "dev", "lo"],
    ):
        subprocess.run(words, check=True)
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\\0"
    listening = socket(AF_INET, SOCK_DGRAM)
    listening.bind((server, 53))
    def serve():
        while True:
            question, asker = listening.recvfrom(512)
            answer = question[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + question[12:]
            listening.sendto(answer + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\1\\x2c\\0\\4" + inet_aton(address), asker)
    threading.Thread(target=serve, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        asking = socket(AF_INET, SOCK_DGRAM)
        asking.connect((server, 53))
        asking.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + wire + b"\\0\\1\\0\\1")
        asking.recv(512)
        socket(AF_INET, SOCK_DGRAM).sendto(b"hello", (address, int(line)))
"""


class Pod:
    """One such program."""

    def __init__(
        self, cgroup: Path, resolv_conf: Path, *, server: str, name: str, address: str, namespaces: tuple[str, ...] = ()
    ) -> None:
        # A file: on the command line it would be in every event.
        program = resolv_conf.with_suffix(".py")
        program.write_text(textwrap.dedent(CODE))
        command: list[str | Path] = ["unshare", "--net", "--mount", *namespaces, sys.executable, "-IS", program]
        self.process = subprocess.Popen(
            [*command, resolv_conf, server, name, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: enter(cgroup),
        )
        assert self.process.stdout is not None
        assert "ready\n" == self.process.stdout.readline()

    def talk(self, port: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{port}\n")
        self.process.stdin.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
