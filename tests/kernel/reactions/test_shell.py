"""Shell reactions, run by /bin/sh for real."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raqib.host.spared import USUAL, be_usual
from raqib.model.detection import Detection
from raqib.model.execution import Finished, LogLine
from raqib.model.process import Process
from raqib.model.recipe import Limits, Mode, Reaction
from raqib.reactions.shell import run as shell_module
from raqib.reactions.shell.run import DIRECTORY_PREFIX
from raqib.testing import live_process, make_detection, make_event, make_recipe

from .conftest import Host, RunScenario, wait_until

OWN_DOING = 10


def shell(*codes: str, mode: Mode = "react", limits: Limits | None = None, note: str | None = None) -> Detection:
    recipe = make_recipe(mode=mode, limits=limits)
    recipe = msgspec.structs.replace(recipe, reactions=tuple(Reaction("shell", code) for code in codes))
    event = msgspec.structs.replace(make_event(recipe), note=note)
    return make_detection(recipe=recipe, event=event)


def run(run_scenario: RunScenario, *detections: Detection, **settings: object) -> tuple[Host, Sequence[Finished]]:
    async def scenario(host: Host) -> None:
        for detection in detections:
            host.reactions.submit(detection)
        await host.reactions.drain()

    host = run_scenario(scenario, **{"shell": True, "workers": 1, **settings})
    assert [] == [path for path in Path("/tmp").glob(f"{DIRECTORY_PREFIX}*") if path.stat().st_uid == os.geteuid()]
    return host, host.finished


def executions(host: Host) -> list[tuple[str, str]]:
    return [(entry["decision"], entry["result"]) for entry in host.ledger if entry["action"] == "execution"]


def test_output_becomes_lines_of_the_log(run_scenario: RunScenario) -> None:
    host, (finished,) = run(run_scenario, shell("echo one; printf 'two\\033[0m' >&2; echo; exit 3"))
    assert {("info", "one"), ("info", ""), ("warn", "two\\x1b[0m")} == {
        (line.level, line.text) for line in host.lines if line.level != "error"
    }
    assert ("error", True) == (finished.outcome, finished.error.endswith("ended with status 3"))
    assert [("error", "error")] == executions(host)


def test_what_the_daemon_is_spared_is_not_for_a_shell(run_scenario: RunScenario) -> None:
    before = Path("/proc/self/oom_score_adj").read_text()
    be_usual(100)
    try:
        host, _ = run(run_scenario, shell("cat /proc/self/oom_score_adj"))
    finally:
        be_usual(int(before))
    assert [str(USUAL)] == host.texts


def test_event_is_in_the_environment_and_in_a_file(run_scenario: RunScenario) -> None:
    detection = shell('echo "$REACTION_DATA"; cat "$REACTION_DATA_FILE"', note="a\n'é\\")
    host, _ = run(run_scenario, detection)
    event = json.loads(detection.event_json)
    assert [event, event] == [json.loads(line.text) for line in host.lines]
    assert "a\\u000a\\u0027\\u00e9\\u005c" in host.texts[0]


def test_surroundings(run_scenario: RunScenario) -> None:
    code = """
    env | sed 's/=.*//' | sort | tr '\\n' ' '; echo
    stat -c '%a %u' . "$REACTION_DATA_FILE"
    [ "$PWD" = "$HOME" ] && case $PWD in /tmp/*) echo below ;; esac
    read -r line || echo closed
    [ "$(ps -o pgid= -p $$ | tr -d ' ')" = $$ ] && echo group
    umask
    """
    host, _ = run(run_scenario, shell(code))
    assert [
        "HOME LANG PATH PWD REACTION_DATA REACTION_DATA_FILE TMPDIR ",
        "700 0",
        "600 0",
        "below",
        "closed",
        "group",
        "0077",
    ] == host.texts


def test_time_limit_kills_the_whole_group(run_scenario: RunScenario, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"sleep 60 & echo $! > {pids}; (trap '' TERM; sleep 61) & echo $! >> {pids}; wait"
    host, (finished,) = run(run_scenario, shell(code, limits=Limits(timeout_s=0.5)))
    assert "timeout" == finished.outcome
    assert [("error", "timeout")] == executions(host)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.read_text().split()))


class Undying:
    """A shell that ends some time after it was killed, as one that sleeps in the kernel does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid
        self.may_end = False
        self.reaped = threading.Event()

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self.reaped.is_set() else None

    def poll(self) -> int | None:
        if self.may_end and self._process.poll() is not None:
            self.reaped.set()
        return self.returncode

    def wait(self) -> int:
        raise AssertionError("this would not return")


@pytest.mark.parametrize("how", ["timeout", "switched off"])
def test_a_shell_that_does_not_end_holds_up_nothing(
    run_scenario: RunScenario, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    undying: list[Undying] = []

    def start(*arguments: Any) -> Undying:
        undying.append(Undying(start_for_real(*arguments)))
        return undying[-1]

    async def wait(pid: int, timeout_s: float) -> bool:
        """Take the first wait for the shell as it is; the second, for its end, is in vain."""
        waits.append(timeout_s)
        if len(waits) == 1:
            return await wait_for_real(pid, timeout_s)
        await asyncio.sleep(0)
        return False

    waits: list[float] = []
    start_for_real, wait_for_real = shell_module._start, shell_module._wait
    monkeypatch.setattr(shell_module, "_wait", wait)
    monkeypatch.setattr(shell_module, "_start", start)
    monkeypatch.setattr(shell_module, "_REAP_INTERVAL_S", 0.01)

    async def scenario(host: Host) -> None:
        started = host.next_line()
        host.reactions.submit(shell("echo; sleep 60", limits=Limits(timeout_s=0.2)))
        await started.wait()
        if how == "switched off":
            host.reactions.services.switch.disarm()
        async with asyncio.timeout(60):
            await host.reactions.drain()
        assert not undying[0].reaped.is_set()
        undying[0].may_end = True
        assert await asyncio.to_thread(undying[0].reaped.wait, 10)

    host = run_scenario(scenario, shell=True, workers=1)
    pid = undying[0].pid
    (finished,) = host.finished
    assert 1.0 == waits[1]
    problem = f"process {pid} was killed and has not ended yet"
    assert [problem] == [line.text for line in host.lines if line.level == "warn" and "killed" in line.text]
    if how == "timeout":
        assert ("timeout", True) == (finished.outcome, finished.error.endswith(f"its time limit; {problem}"))
    else:
        assert "dropped" == finished.outcome


def test_nothing_of_the_group_outlives_its_shell(run_scenario: RunScenario, tmp_path: Path) -> None:
    _, (finished,) = run(run_scenario, shell(f"sleep 60 & echo $! > {tmp_path}/pid"))
    assert "ok" == finished.outcome
    wait_until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())


def test_output_has_a_limit_and_that_is_said_once(run_scenario: RunScenario) -> None:
    host, (finished,) = run(run_scenario, shell("yes 123456789 | head -n 100000"), max_log_bytes=1000)
    assert "ok" == finished.outcome
    assert ["123456789"] * 100 + ["the reaction has written 1000 bytes; what follows is dropped"] == host.texts


def test_line_without_an_end_comes_in_parts(run_scenario: RunScenario) -> None:
    host, _ = run(run_scenario, shell("head -c 20000 /dev/zero | tr '\\0' x"))
    assert [8192, 8192, 3616] == [len(text) for text in host.texts]


def test_switched_off_by_default(run_scenario: RunScenario, tmp_path: Path) -> None:
    host, (finished,) = run(run_scenario, shell(f"touch {tmp_path}/ran"), shell=False)
    assert "refused" == finished.outcome
    assert [("refused", "refused")] == executions(host)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("mode", "dry_run"), [("react", True), ("dry_react", False)])
def test_dry_run_only_checks_the_syntax(run_scenario: RunScenario, tmp_path: Path, mode: Mode, dry_run: bool) -> None:
    host, (good, bad) = run(
        run_scenario, shell(f"touch {tmp_path}/ran", mode=mode), shell("if", mode=mode), dry_run=dry_run
    )
    assert ("ok", "error") == (good.outcome, bad.outcome)
    assert "Syntax error" in bad.error
    assert [("would", "ok"), ("error", "error")] == executions(host)
    assert not (tmp_path / "ran").exists()


def test_switching_all_actions_off_ends_all_of_them(run_scenario: RunScenario, tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        started = host.next_line()
        os.mkfifo(tmp_path / "go")
        host.reactions.submit(shell(f"echo $$; cat {tmp_path}/go; touch {tmp_path}/ran", f"touch {tmp_path}/ran"))
        await started.wait()
        host.reactions.services.switch.disarm()
        await host.reactions.drain()

    host = run_scenario(scenario, shell=True, workers=1, timeout_s=60.0)
    assert [("refused", "dropped"), ("would", "ok")] == executions(host)
    assert host.finished[0].error.endswith("ended, all actions were switched off")
    assert not Path(f"/proc/{host.texts[0]}").exists()
    assert not (tmp_path / "ran").exists()


def test_without_a_ledger_nothing_is_run(run_scenario: RunScenario, tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        ledger = host.reactions._ledger
        working, ledger._fd = ledger._fd, full
        await host.run("function process() {}")
        (finished,) = await host.submit(shell(f"touch {tmp_path}/ran"))
        assert "refused" == finished.outcome
        ledger._fd = working
        os.close(full)

    run_scenario(scenario, shell=True)
    assert not (tmp_path / "ran").exists()


def test_close_ends_what_runs_and_drops_what_waits(run_scenario: RunScenario, tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        started = host.next_line()
        host.reactions.submit(shell(f"echo $$; sleep 60; touch {tmp_path}/ran", f"touch {tmp_path}/ran"))
        await started.wait()

    host = run_scenario(scenario, shell=True, workers=1)
    assert ["dropped", "dropped"] == [finished.outcome for finished in host.finished]
    assert not Path(f"/proc/{host.texts[0]}").exists()
    assert not (tmp_path / "ran").exists()


def test_a_mount_in_its_directory_is_not_emptied(run_scenario: RunScenario, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()

    async def scenario(host: Host) -> None:
        await host.submit(shell(f"mkdir mounted; mount --bind {precious} mounted; pwd"))

    host = run_scenario(scenario, shell=True)
    directory = Path(host.texts[0])
    try:
        assert (precious / "file").exists()
        assert f"{directory} is left behind: expected no mount in it" in host.texts[1]
    finally:
        subprocess.run(["umount", directory / "mounted"], check=True)
        for name in ("reaction.sh", "event.json"):
            (directory / name).unlink()
        (directory / "mounted").rmdir()
        directory.rmdir()


@pytest.mark.parametrize("ring", [("one",), ("one", "two")])
def test_a_ring_of_reactions_that_start_what_they_match_is_broken(
    run_scenario: RunScenario, ring: tuple[str, ...]
) -> None:
    """Each shell is what the next detection is about, as if it had started what that one's recipe matches."""
    started: list[int] = []

    async def scenario(host: Host) -> None:
        def detect(number: int, *ancestry: Process) -> Detection:
            recipe = make_recipe(name=ring[number % len(ring)])
            recipe = msgspec.structs.replace(recipe, reactions=(Reaction("shell", "echo $$; sleep 0.5"),))
            return make_detection(recipe=recipe, ancestry=ancestry)

        def log(line: LogLine) -> None:
            host.lines.append(line)
            if line.text.isdigit() and len(started) < 50:
                started.append(int(line.text))
                host.reactions.submit(detect(len(started), live_process(os.getpid()), live_process(started[-1])))

        host.on_log = log
        host.reactions.submit(detect(0))
        await host.reactions.drain()
        # Others' doings are detected and reacted to as ever.
        before = len(host.finished)
        host.reactions.submit(detect(0, live_process(os.getpid())))
        await host.reactions.drain()
        assert "ok" in [run.outcome for run in host.finished[before:]]

    host = run_scenario(scenario, shell=True, workers=1, shell_timeout_s=20.0)
    assert len(started) <= 3 + len(ring) * OWN_DOING
    (refused,) = [entry for entry in host.ledger if entry["decision"] == "refused"][:1]
    assert "started by a shell reaction of recipe" in refused["reason"]
    assert {"one", "two"} & set(refused["reason"].split("'"))
    assert [("own_doing", OWN_DOING)] == [(descriptor.budget, descriptor.limit) for descriptor in host.opened][:1]
