"""Starting, stopping and what listeners do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from raqib.actions.settings import Places
from raqib.errors import NotPermittedError, RaqibError
from raqib.model.execution import Finished
from raqib.reactions import Reactions, ReactionSettings, process
from raqib.testing import make_detection

from .conftest import Host, RunScenario


def make_reactions(tmp_path: Path) -> Reactions:
    settings, places = ReactionSettings(workers=1), Places(tmp_path / "data")
    return Reactions(settings, places, on_log=lambda line: None, on_finished=lambda finished: None)


def test_start_says_why_no_worker_comes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WORKER_ARGUMENTS", ("-c", "raise SystemExit('no luck')"))
    with pytest.raises(NotPermittedError, match="no worker for reactions comes up: no luck"):
        asyncio.run(make_reactions(tmp_path).start())


def test_second_daemon_on_the_same_data_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        first, second = make_reactions(tmp_path), make_reactions(tmp_path)
        await first.start()
        with pytest.raises(RaqibError, match="in use by another process"):
            await second.start()
        await first.close()
        await second.start()
        await second.close()
        await second.close()

    asyncio.run(scenario())


def test_submit_without_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        make_reactions(tmp_path).submit(make_detection(""))


def test_close_drops_what_waits_and_runs(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(2)
        host.reactions.submit(make_detection("for (;;) ;", "for (;;) ;"))

    host = run_scenario(scenario, workers=1, timeout_s=60)
    assert [finished.outcome for finished in host.finished] == ["dropped", "dropped"]
    assert host.reactions.worker_pids == ()


def test_nothing_is_left_open(run_scenario: RunScenario) -> None:
    def descriptors() -> list[str]:
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    async def scenario(host: Host) -> None:
        await host.run("function process() { DataIncr('a'); Info('b') }")
        await host.run("for (;;) ;")

    before = descriptors()
    run_scenario(scenario, timeout_s=0.2)
    assert descriptors() == before


def test_a_listener_that_fails_stops_nothing(run_scenario: RunScenario) -> None:
    problems: list[str] = []

    async def scenario(host: Host) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context["message"]))

        def fail(line: object) -> None:
            raise ValueError("listener")

        host.on_log = fail
        assert (await host.run("function process() { Info('x') }")).outcome == "ok"
        assert (await host.run("throw 1")).outcome == "error"
        host.on_log = host.lines.append
        assert (await host.run("function process() { Info('x') }")).outcome == "ok"

    run_scenario(scenario)
    assert problems == ["a listener of the reactions failed"] * 2


def test_waiting_workers_use_no_processor_time(run_scenario: RunScenario) -> None:
    def ticks(pid: int) -> int:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return int(fields[11]) + int(fields[12])

    async def scenario(host: Host) -> None:
        await host.run("function process() {}")
        await host.warm(3)
        before = sum(map(ticks, host.reactions.worker_pids))
        await asyncio.sleep(1)
        used = sum(map(ticks, host.reactions.worker_pids)) - before
        assert used <= os.sysconf("SC_CLK_TCK") // 20

    run_scenario(scenario)


def test_timings_are_in_order(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        finished: Finished = await host.run("function process() { DataIncr('a') }")
        timings = finished.timings
        assert timings.started_ns is not None
        assert timings.first_action_ns is not None
        assert timings.ended_ns is not None
        assert timings.queued_ns <= timings.started_ns < timings.first_action_ns < timings.ended_ns
        assert finished.as_dict()["actions"][0]["action"] == "DataIncr"

    run_scenario(scenario)


def test_helpers_of_files_and_data_work_from_javascript(run_scenario: RunScenario, tmp_path: Path) -> None:
    path = tmp_path / "w" / "file"
    code = f"""function process() {{
        Info(WriteFile('{path}', 'hällo'), AppendFile('{path}', '!'), ReadFile('{path}'), Errno() === '');
        Info(Stat('{path}').size, Stat('/nowhere'), Errno());
        Info(NetBlockIp(), Errno(), DataIncr('{path}', 'x'));
        Info(ReadFile('/dev/null') === '', Errno());
    }}"""

    async def scenario(host: Host) -> None:
        assert (await host.run(code)).outcome == "ok"

    host = run_scenario(scenario, write_paths=(str(tmp_path),))
    assert [line.text for line in host.lines if line.level == "info"] == [
        "0 0 hällo! true",
        "7 null /nowhere: No such file or directory",
        "-1 network policy is not enabled NaN",
        "true /dev/null: expected a regular file",
    ]
    assert path.read_text() == "hällo!"


def test_workers_come_up_without_root() -> None:
    code = """
import asyncio, sys, pathlib
from raqib.actions.settings import Places
from raqib.reactions import Reactions, ReactionSettings
from raqib.testing import make_detection
async def main():
    settings, places = ReactionSettings(workers=1), Places(pathlib.Path(sys.argv[1]))
    finished = []
    reactions = Reactions(settings, places, on_log=lambda line: print(line.text), on_finished=finished.append)
    await reactions.start()
    reactions.submit(make_detection("function process() { Info('ran') }"))
    await reactions.drain()
    print(finished[0].outcome)
    await reactions.close()
asyncio.run(main())
"""
    # Another user in all but one respect: the interpreter may be where only root can read.
    only_read = "-all,+dac_read_search"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={only_read}"]
    with tempfile.TemporaryDirectory() as directory:
        os.chown(directory, 65534, 65534)
        result = subprocess.run(
            [*nobody, f"--ambient-caps={only_read}", sys.executable, "-c", code, directory],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.stdout.split() == ["ran", "ok"], result.stderr


def test_lines_of_an_execution_stay_in_order_whatever_runs_beside_it(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        code = "function process() { for (let i = 0; i < 100; i++) { Info(i); if (i % 10 === 0) DataSet('x', 'y') } }"
        detections = [make_detection(code, code) for _ in range(2)]
        for detection in detections:
            host.reactions.submit(detection)
        await host.reactions.drain()
        by_execution: dict[tuple[str, int], list[str]] = {}
        for line in host.lines:
            by_execution.setdefault((line.uuid, line.reaction), []).append(line.text)
        assert 4 == len(by_execution)
        assert all([str(number) for number in range(100)] == lines for lines in by_execution.values())

    run_scenario(scenario, workers=3, timeout_s=30.0)
