"""Exceptions with the real agent: quiet where they hold, told elsewhere, counted, and over when they end."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raqib.kernel.network import find_cgroup2
from tests.cgroups import remove
from tests.e2e.conftest import PATIENCE_S, RAQIB, AgentProcess, Event, recipe

RunAgent = Callable[..., AgentProcess]

REACTION = "function process(data) { DataIncr('runs'); }"


class Site:
    """A host with a configuration, a directory of exceptions, a file that is watched, and two readers of it."""

    def __init__(self, run_agent: RunAgent, tmp_path: Path) -> None:
        self._run_agent = run_agent
        self.path = tmp_path
        self.exceptions = tmp_path / "exceptions"
        self.exceptions.mkdir(mode=0o755)
        self.log = tmp_path / "events.jsonl"
        self.config = tmp_path / "config.yaml"
        self.config.write_text(
            f"exceptions: {{directory: {self.exceptions}}}\ndata_dir: {tmp_path / 'data'}\n"
            f"printers: {{enabled: [stdout, varlog], varlog_path: {self.log}}}\n"
        )
        self.bait = tmp_path / "bait"
        self.bait.write_text("")
        self.runner = self._reader("runner")
        self.stranger = self._reader("stranger")

    def _reader(self, name: str) -> Path:
        program = self.path / name
        shutil.copy(Path("/bin/cat").resolve(), program)
        return program

    def start(self, **fields: str) -> AgentProcess:
        fields = {"mechanism": "file_access", "file_actions": "[open]", **fields}
        bases = f"[{{dir: '{self.path}', regex: '^(bait|last)'}}]"
        text = recipe("reading", patterns=bases, reaction=REACTION, **fields)
        self.agent = self._run_agent(text, "--config", str(self.config))
        return self.agent

    def put(self, text: str, name: str = "mine.yaml") -> Path:
        file = self.exceptions / name
        fresh = file.with_suffix(".new")
        fresh.write_text(textwrap.dedent(text))
        return fresh.rename(file)

    def read(self, program: Path, path: Path | None = None) -> None:
        subprocess.run([program, path or self.bait], check=True, capture_output=True)

    def told_until(self, program: Path) -> list[Event]:
        """Let a program read a file of its own last, and return what was told of the recipe before that was."""
        last = self.path / f"last{time.monotonic_ns()}"
        last.write_text("")
        self.read(program, last)

        def is_last(event: Event) -> bool:
            return event["event_type"] == "file_access" and str(event["file"]["path"]) == str(last)

        self.agent.read(lambda events: any(map(is_last, events)))
        return [event for event in self.agent.of("reading", "file_access") if event["file"]["path"] == str(self.bait)]

    def ask(self, *arguments: str) -> Any:
        command: list[str | Path] = [
            RAQIB,
            *arguments,
            "--config",
            self.config,
            "--json",
        ]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S).stdout)

    def await_exceptions(self, good: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """Wait until the running agent tells of its exceptions what is expected."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found: list[dict[str, Any]] = self.ask("exceptions")["exceptions"]
            if good(found):
                return found
            assert time.monotonic() < deadline, found
            self.agent.read_for(0.05)


@pytest.fixture
def site(run_agent: RunAgent, tmp_path: Path) -> Site:
    return Site(run_agent, tmp_path)


def of_exe(program: Path, more: str = "") -> str:
    return f"""
    - recipe: reading
      when:
        - {{what: exe, pattern: '^{program}$'}}
      reason: it reads this every minute
      {more}
    """


def test_one_program_is_quiet_and_all_others_are_told(site: Site) -> None:
    site.put(of_exe(site.runner))
    agent = site.start()
    site.read(site.runner)
    site.read(site.stranger)
    told = site.told_until(site.stranger)
    assert [str(site.stranger)] == [event["process"]["exe"] for event in told]
    [found] = site.await_exceptions(lambda found: found[0]["count"] > 0)
    assert (1, 1, "reading") == (found["count"], found["withheld"], found["recipe"])
    assert found["last"] is not None
    [line] = [item for item in agent.ledger() if item["uuid"] == found["last_uuid"]]
    assert ("execution", "refused", 0) == (line["action"], line["decision"], line["reaction"])
    assert f"withheld by exception {found['id']}: it reads this every minute" == line["reason"]
    assert (str(site.runner), str(site.bait)) == (line["arguments"]["exe"], line["arguments"]["path"])
    explained = site.ask("explain", found["last_uuid"], "--recipes", str(site.path / "recipes"))
    assert "reading" == explained["recipe"]
    assert [found["id"]] == [exception["id"] for exception in explained["exceptions"]]


def test_what_it_covers_takes_nothing_from_times(site: Site) -> None:
    site.put(of_exe(site.runner))
    site.start(times="[{kind: times_per_host, max: 2}]")
    for _ in range(3):
        site.read(site.runner)
    site.read(site.stranger)
    assert [str(site.stranger)] == [event["process"]["exe"] for event in site.told_until(site.stranger)]


def test_it_comes_into_force_and_goes_while_the_agent_runs(site: Site) -> None:
    site.start()
    site.read(site.runner)
    assert 1 == len(site.told_until(site.stranger))
    file = site.put(of_exe(site.runner))
    site.await_exceptions(lambda found: len(found) == 1)
    site.read(site.runner)
    assert 1 == len(site.told_until(site.stranger))
    file.unlink()
    site.await_exceptions(lambda found: not found)
    site.read(site.runner)
    assert 2 == len(site.told_until(site.stranger))


def test_it_ends_by_the_clock(site: Site) -> None:
    end = datetime.now(UTC) + timedelta(seconds=25)
    site.put(of_exe(site.runner, f"until: {end.isoformat()}"))
    agent = site.start()
    site.read(site.runner)
    before = site.told_until(site.stranger)
    if datetime.now(UTC) < end:
        assert [] == before
    agent.wait_logged("ended on")
    assert datetime.now(UTC) >= end
    site.read(site.runner)
    after = site.told_until(site.stranger)
    assert len(before) + 1 == len(after)
    [said] = [event for event in agent.events if event["event_type"] == "agent"]
    assert "ended on" in said["note"]
    [found] = site.ask("exceptions")["exceptions"]
    assert found["ended"]


def test_one_with_an_error_quiets_nothing_and_says_so(site: Site) -> None:
    site.put(of_exe(site.runner) + "\n    - {recipe: reading, wen: [], reason: a slip}\n")
    agent = site.start()
    agent.wait_logged("did you mean when?")
    site.read(site.runner)
    assert [str(site.runner)] == [event["process"]["exe"] for event in site.told_until(site.stranger)]
    assert "nothing in it is in force" in agent.logged()


def test_what_others_can_write_quiets_nothing(site: Site) -> None:
    file = site.put(of_exe(site.runner))
    agent = site.start()
    site.await_exceptions(lambda found: len(found) == 1)
    file.chmod(0o666)
    site.await_exceptions(lambda found: not found)
    assert "expected that root alone can write" in agent.logged()
    file.chmod(0o644)
    site.await_exceptions(lambda found: len(found) == 1)
    site.exceptions.chmod(0o777)
    site.await_exceptions(lambda found: not found)


def test_who_looks_like_it_is_told(site: Site) -> None:
    """Name, arguments, working directory and a mount namespace of its own are what anybody can have."""
    site.put(of_exe(site.runner))
    site.start()
    bait, runner, stranger = site.bait, site.runner, site.stranger
    subprocess.run(["bash", "-c", f"exec -a {runner} {stranger} {bait}"], check=True, cwd=site.path)
    (site.path / "elsewhere").mkdir()
    copy = shutil.copy(stranger, site.path / "elsewhere" / "runner")
    subprocess.run([copy, bait], check=True)
    subprocess.run(
        ["unshare", "--mount", "bash", "-c", f"mount --bind {stranger} {runner} && exec {runner} {bait}"], check=True
    )
    told = site.told_until(stranger)
    assert {str(stranger), str(copy), str(runner)} == {event["process"]["exe"] for event in told}


@contextlib.contextmanager
def place_of(name: str) -> Iterator[Path]:
    """Make a cgroup that has the name of a unit, or of a container's scope, where the service manager has its own."""
    root = find_cgroup2()
    assert root is not None
    slice_, made = root / "system.slice", root / "system.slice" / name
    created = not slice_.exists()
    made.mkdir(parents=True)
    try:
        yield made
    finally:
        remove(made)
        if created:
            remove(slice_)


CONTAINER = f"{os.getpid():064x}"


@pytest.mark.parametrize(
    ("name", "item"),
    [
        (f"raqib-e2e-{os.getpid()}.service", f"{{what: unit, pattern: '^raqib-e2e-{os.getpid()}[.]service$'}}"),
        (f"docker-{CONTAINER}.scope", f"{{what: container, pattern: '^{CONTAINER[:12]}'}}"),
    ],
    ids=["unit", "container"],
)
def test_one_unit_or_container_is_quiet_and_the_same_program_elsewhere_is_told(
    site: Site, name: str, item: str
) -> None:
    site.put(f"- {{recipe: reading, reason: it reads this, when: [{item}]}}")
    site.start()
    enter_and_read = 'echo $$ > "$1/cgroup.procs"; exec "$2" "$3"'
    with place_of(name) as place:
        subprocess.run(["sh", "-c", enter_and_read, "sh", place, site.runner, site.bait], check=True)
    site.read(site.runner)
    # Where nothing says where a process runs, the item holds nothing: both are told.
    told = 1 if importlib.util.find_spec("raqib.host.whereabouts") else 2
    assert told == len(site.told_until(site.stranger))
    [found] = site.await_exceptions(lambda found: bool(found))
    assert 2 - told == found["count"]


def test_a_draft_from_the_event_log_is_narrow_and_quiets_what_it_is_for(site: Site) -> None:
    agent = site.start()
    site.read(site.runner)
    site.read(site.stranger)
    told = site.told_until(site.stranger)
    [uuid] = [event["uuid"] for event in told if event["process"]["exe"] == str(site.runner)]
    own = ["--recipes", str(site.path / "recipes")]
    command: list[str | Path] = [RAQIB, "except", uuid, *own, "--config", site.config]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "- recipe: reading\n" in shown.stdout
    assert "it would have covered 1 of 4 events of this recipe" in shown.stderr
    assert "without exe: 2 (--without exe)" in shown.stderr
    (site.path / "draft.yaml").write_text(shown.stdout)
    checked = subprocess.run([RAQIB, "check", site.path / "draft.yaml"], check=False, capture_output=True, text=True)
    assert 0 == checked.returncode, checked.stdout
    assert "1 exception" in checked.stdout
    answer = site.ask("except", uuid, *own, "--reason", "a test", "--write")
    assert str(site.exceptions / "reading.yaml") == answer["written"]
    [found] = site.await_exceptions(lambda found: len(found) == 1)
    assert answer["id"] == found["id"]
    site.read(site.runner)
    assert 2 == len(site.told_until(site.stranger))
    assert agent.process.poll() is None


def test_without_an_event_log_it_says_how_to_switch_it_on(site: Site) -> None:
    site.config.write_text(f"printers: {{varlog_path: {site.log}}}\n")
    done = subprocess.run(
        [RAQIB, "except", "01a20fdd-19f9", "--config", site.config], capture_output=True, text=True, check=False
    )
    assert 1 == done.returncode
    assert "printers: {enabled: [stdout, varlog]}" in done.stderr
