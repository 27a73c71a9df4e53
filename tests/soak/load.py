"""What the agent sees meanwhile: python -m tests.soak.load BAIT VICTIM CHURN; a line of counters after each round.

In each round a program opens the bait, a victim starts and waits to be killed, a connection is made, and many files are
made, renamed and removed that no recipe is about. It ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
from pathlib import Path

FILES = 50
PAUSE_S = 0.2


def churn(directory: Path) -> None:
    """Make files, write to them, and remove them under another name."""
    for number in range(FILES):
        file = directory / str(number)
        file.write_bytes(b"text")
        file.rename(directory / "renamed")
        (directory / "renamed").unlink()


def connect(server: socket.socket) -> None:
    """Make a connection over loopback and say something."""
    with socket.create_connection(server.getsockname()) as ours:
        theirs, _ = server.accept()
        with theirs:
            ours.sendall(b"hello")
            theirs.recv(5)


def main(bait: str, victim: str, directory: str) -> None:
    """Work until told to stop."""
    done = {"opened": 0, "started": 0, "killed": 0, "connected": 0}
    with socket.create_server(("127.0.0.1", 0)) as server:
        while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
            subprocess.run(["cat", bait], stdout=subprocess.DEVNULL, check=True)
            done["opened"] += 1
            # It waits for input that never comes, for as long as a reaction may take on a very busy machine.
            with subprocess.Popen([victim, "-c", "read line"], stdin=subprocess.PIPE) as process:
                done["started"] += 1
                with contextlib.suppress(subprocess.TimeoutExpired):
                    done["killed"] += process.wait(30) < 0
                process.kill()
            connect(server)
            done["connected"] += 1
            churn(Path(directory))
            print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
