"""Run inside a virtual machine: the programs load, attach, and see a program start. Exit status 0 if so."""

from __future__ import annotations

import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from raqib.model.actions import ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.model.observation import FileObservation
from raqib.sensors.files import FileSensor, Hint, Interests

DEADLINE_S = 60.0


def main() -> int:
    seen: list[FileObservation] = []
    directory = Path(tempfile.mkdtemp(prefix="raqib-smoke-"))
    program = directory / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    name = os.fsencode(program)

    def interest(path: bytes) -> FileAction:
        return ALL_ACTIONS if path == name else NO_ACTIONS

    sensor = FileSensor()
    try:
        sensor.set_interests(Interests(ALL_ACTIONS, NO_ACTIONS, [Hint("exact", name, ALL_ACTIONS)], interest))
        sensor.start(seen.append)
        child = subprocess.Popen([program, "argument"])
        child.wait()
        descriptor = os.open(directory, os.O_RDONLY)
        subprocess.run(["rm", program], check=True)
        os.close(descriptor)
        deadline = time.monotonic() + DEADLINE_S
        while not {FileAction.EXECVE, FileAction.UNLINK} <= {action for each in seen for action in each.new}:
            if time.monotonic() > deadline:
                print(f"expected an execve and an unlink of {program}, found {seen}", file=sys.stderr)
                return 1
            select.select([sensor.fileno()], [], [], 0.1)
            sensor.consume()
        executed = next(each for each in seen if FileAction.EXECVE in each.new)
        if (child.pid, (os.fsencode(program), b"argument")) != (executed.process.pid, executed.process.image.args):
            print(f"expected process {child.pid}, found {executed}", file=sys.stderr)
            return 1
        living = {key.pid for key in sensor.processes.living()}
        if sensor.processes.find(executed.process.parent) is None or 1 not in living:
            print("expected the processes that were there before, found some missing", file=sys.stderr)
            return 1
        lost = {key: value for key, value in sensor.counters().items() if key.startswith("lost_") and value}
        print(f"kernel {platform.release()}: exec and unlink seen, lost {lost}")
        return 0
    finally:
        sensor.close()


if __name__ == "__main__":
    sys.exit(main())
