"""Asks for kills that must be refused. Runs in a PID namespace, so that a guard that fails hits nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from raqib.actions.settings import Places
from raqib.model.execution import Finished
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import live_process, make_detection

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def hand_out_next(pid: int) -> None:
    LAST_PID.write_text(str(pid - 1))


async def main(directory: str) -> None:
    assert os.getpid() < 500, "this must run in a PID namespace of its own"
    finished: list[Finished] = []
    reactions = Reactions(
        ReactionSettings(min_pid=2, workers=1),
        Places(Path(directory)),
        on_log=lambda line: None,
        on_finished=finished.append,
    )
    await reactions.start()
    await reactions.wait_ready(2)
    with subprocess.Popen(["sleep", "60"]) as sleeper:  # noqa: ASYNC220
        targets = {"init": 1, "daemon": os.getpid(), "ancestor": os.getppid(), "worker": reactions.worker_pids[0]}
        answers: dict[str, object] = {}
        for name, pid in targets.items():
            for helper, code in (
                ("current", "function process() { KillCurrent() }"),
                ("process", f"function process() {{ KillProcess({pid}) }}"),
            ):
                reactions.submit(make_detection(code, ancestry=[live_process(pid)]))
                await reactions.drain()
                action = finished[-1].actions[0]
                answers[f"{name} {helper}"] = [action.decision, action.reason, finished[-1].outcome]
        # The number of a dead process is given to another one.
        dead = live_process(sleeper.pid)
        sleeper.kill()
        sleeper.wait()
        await asyncio.sleep(0.03)
        hand_out_next(dead.pid)
        with subprocess.Popen(["sleep", "60"]) as heir:  # noqa: ASYNC220
            reactions.submit(make_detection("function process() { KillCurrent() }", ancestry=[dead]))
            await reactions.drain()
            action = finished[-1].actions[0]
            answers["reused"] = [heir.pid == dead.pid, action.value, heir.poll() is None]
            heir.kill()
    await reactions.close()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
