"""Recipes that change on disk are in force within a second, and nothing is lost or doubled meanwhile."""

from __future__ import annotations

import json
import select
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import PATIENCE_S, AgentProcess, recipe

RunAgent = Callable[..., AgentProcess]

WITHIN_S = 1.0


class Reloads:
    """What the agent's log says of reloads, read on from where the last one was."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent
        self._count = 0

    def next(self) -> dict[str, Any]:
        """Await the next reload."""
        return self._await("recipes reloaded")

    def next_problem(self) -> str:
        """Await the next complaint about recipes."""
        problem: str = self._await("recipes problem")["problem"]
        return problem

    def _await(self, event: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            lines = self._agent.logged().splitlines(keepends=True)
            for number, line in enumerate(lines[self._count :], self._count):
                said = json.loads(line) if line.endswith("\n") else {}
                if said.get("event") == event:
                    self._count = number + 1
                    return dict(said)
            self._agent.read_for(0.01)
        pytest.fail(f"expected {event!r} in the log, found {self._agent.logged()}")


def opens(name: str, path: Path, **fields: str) -> str:
    """Return a recipe that is about one file."""
    fields = {"mechanism": "file_access", "file_actions": "[open]", **fields}
    return recipe(name, patterns=f"[{{dir: '{path.parent}', base: '{path.name}'}}]", **fields)


def put(path: Path, text: str) -> None:
    """Write and rename, as careful editors do."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


class Place:
    """A directory of recipes that an agent watches, with a file that is always in it."""

    def __init__(self, run_agent: RunAgent, tmp_path: Path) -> None:
        self.directory = tmp_path / "recipes"
        self.directory.mkdir()
        self.bait = tmp_path / "bait"
        self.bait.write_text("")
        (self.directory / "first.yaml").write_text(opens("first", self.bait))
        self.agent = run_agent(None, "--no-builtin", "--recipes", str(self.directory))
        self.reloads = Reloads(self.agent)

    def names_of(self, path: Path) -> set[str]:
        """Return which recipes tell of it when a new process opens a file."""
        opener = subprocess.run(["cat", path, self.bait], check=True, capture_output=True)
        assert b"" == opener.stdout
        before = len(self.agent.of("first"))
        self.agent.read(lambda events: len(self.agent.of("first")) > before)
        pid = self.agent.of("first")[-1]["process"]["pid"]
        return {event["metadata"]["name"] for event in self.agent.events if event["process"]["pid"] == pid} - {"first"}


@pytest.fixture
def place(run_agent: RunAgent, tmp_path: Path) -> Place:
    return Place(run_agent, tmp_path)


def test_added_changed_renamed_and_removed(place: Place, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_text("")
    file = place.directory / "more.yaml"
    steps: list[tuple[Callable[[], object], tuple[list[str], list[str], list[str]], set[str], set[str]]] = [
        (lambda: file.write_text(opens("more", one)), (["more"], [], []), {"more"}, set()),
        (lambda: file.write_text(opens("more", two)), ([], ["more"], []), set(), {"more"}),
        (lambda: put(file, opens("more", one)), ([], ["more"], []), {"more"}, set()),
        (lambda: put(file, opens("other", one)), (["other"], [], ["more"]), {"other"}, set()),
        (lambda: file.rename(place.directory / "else.yaml"), ([], ["other"], []), {"other"}, set()),
        (lambda: (place.directory / "else.yaml").rename(tmp_path / "gone.yaml"), ([], [], ["other"]), set(), set()),
        (lambda: (tmp_path / "gone.yaml").rename(file), (["other"], [], []), {"other"}, set()),
        (file.unlink, ([], [], ["other"]), set(), set()),
    ]
    for do, (added, changed, removed), of_one, of_two in steps:
        began = time.monotonic()
        do()
        said = place.reloads.next()
        took_s = time.monotonic() - began
        assert (added, changed, removed) == (said["added"], said["changed"], said["removed"])
        assert took_s < WITHIN_S
        assert of_one == place.names_of(one)
        assert of_two == place.names_of(two)
    assert 0 == place.agent.stop()


def test_an_editor_that_moves_the_old_file_away_first(place: Place, tmp_path: Path) -> None:
    file = place.directory / "first.yaml"
    file.rename(place.directory / "first.yaml~")
    select.select([], [], [], 0.02)
    file.write_text(opens("first", place.bait, importance="critical"))
    said = place.reloads.next()
    assert ([], ["first"], []) == (said["added"], said["changed"], said["removed"])
    assert 0 == place.agent.stop()


def test_what_is_broken_keeps_its_last_good_version(place: Place, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_text("")
    file = place.directory / "more.yaml"
    file.write_text(opens("a", one) + opens("b", one))
    assert ["a", "b"] == place.reloads.next()["added"]

    put(file, opens("a", one) + "  - [")
    assert "expected YAML" in place.reloads.next_problem()
    assert {"a", "b"} == place.names_of(one)

    put(file, opens("a", one, file_action="x") + opens("b", two))
    assert ["b"] == place.reloads.next()["changed"]
    assert "did you mean file_actions" in place.agent.logged()
    assert "its last good version stays" in place.agent.logged()
    assert {"a"} == place.names_of(one)
    assert {"b"} == place.names_of(two)

    put(file, opens("a", two) + opens("b", two, reaction="function proces(data) {}"))
    assert ["a"] == place.reloads.next()["changed"]
    assert "b: reactions[0].code" in place.agent.logged()
    assert {"a", "b"} == place.names_of(two)

    put(file, opens("a", one))
    said = place.reloads.next()
    assert (["a"], ["b"]) == (said["changed"], said["removed"])
    assert {"a"} == place.names_of(one)
    assert 0 == place.agent.stop()


def test_a_directory_that_does_not_exist_yet_and_is_replaced(run_agent: RunAgent, tmp_path: Path) -> None:
    directory = tmp_path / "etc" / "raqib" / "recipes"
    bait = tmp_path / "bait"
    bait.write_text("")
    # On the command line it would be a matter of usage; a configuration may be older than its directory.
    config = tmp_path / "config.yaml"
    config.write_text(f"recipes: {{directories: [{directory}]}}\n")
    agent = run_agent(None, "--no-builtin", "--config", str(config))
    assert "error: " in agent.stderr.read_text()
    assert "found nothing" in agent.stderr.read_text()
    reloads = Reloads(agent)
    directory.mkdir(parents=True)
    (directory / "a.yaml").write_text(opens("a", bait))
    assert ["a"] == reloads.next()["added"]
    subprocess.run(["cat", bait], check=True)
    agent.read(lambda events: bool(agent.of("a")))

    replacement = tmp_path / "etc" / "raqib" / "new"
    replacement.mkdir()
    (replacement / "b.yaml").write_text(opens("b", bait))
    directory.rename(tmp_path / "etc" / "raqib" / "old")
    replacement.rename(directory)
    said = reloads.next()
    assert (["b"], ["a"]) == (said["added"], said["removed"])
    (directory / "c.yaml").write_text(opens("c", bait))
    assert ["c"] == reloads.next()["added"]
    shutil.rmtree(directory)
    assert ["b", "c"] == reloads.next()["removed"]
    assert 0 == agent.stop()


def test_a_single_file_is_watched_too(run_agent: RunAgent, tmp_path: Path) -> None:
    bait, file = tmp_path / "bait", tmp_path / "only.yaml"
    bait.write_text("")
    file.write_text(opens("a", bait))
    agent = run_agent(None, "--no-builtin", "--recipes", str(file))
    reloads = Reloads(agent)
    put(file, opens("b", bait))
    said = reloads.next()
    assert (["b"], ["a"]) == (said["added"], said["removed"])
    assert 0 == agent.stop()


def test_counters_and_the_store_survive(place: Place, tmp_path: Path) -> None:
    bait = tmp_path / "counted"
    bait.write_text("")
    file = place.directory / "more.yaml"
    reaction = "function process(data) { Info(`count ${DataIncr('n')}`); }"
    times = "[{kind: times_per_host, max: 2}]"
    file.write_text(opens("counts", bait, times=times, reaction=reaction))
    assert ["counts"] == place.reloads.next()["added"]
    assert {"counts"} == place.names_of(bait)
    put(file, opens("counts", bait, times=times, reaction=reaction, importance="low"))
    assert ["counts"] == place.reloads.next()["changed"]
    assert {"counts"} == place.names_of(bait)
    assert set() == place.names_of(bait)
    place.agent.read(lambda events: len(place.agent.of("counts", "outcome")) == 2)
    assert 0 == place.agent.stop()
    assert "count 2" in place.agent.logged()
    assert "last one for this host" == place.agent.of("counts", "file_access")[1]["note"]


RELOADS = 20


@pytest.mark.slow
def test_no_event_is_lost_or_doubled_during_reloads_under_load(place: Place, tmp_path: Path) -> None:
    """Processes open a file while recipes change: each of them is told of exactly once."""
    place.agent.validates = False
    opened: list[int] = []
    over = threading.Event()

    def load() -> None:
        # A pause, or one processor has no time left for the agent.
        while not over.wait(0.01):
            with subprocess.Popen(["cat", place.bait], stdout=subprocess.DEVNULL) as process:
                opened.append(process.pid)

    loader = threading.Thread(target=load)
    loader.start()
    try:
        for number in range(RELOADS):
            reaction = f"function process(data) {{ Info({number}); }}"
            put(place.directory / "more.yaml", opens(f"more{number}", tmp_path / "none", reaction=reaction))
            assert [f"more{number}"] == place.reloads.next()["added"]
            before = len(opened)
            while len(opened) < before + 20:
                place.agent.read_for(0.01)
    finally:
        over.set()
        loader.join()
    place.agent.read(lambda events: len(place.agent.of("first")) >= len(opened))
    assert 0 == place.agent.stop()
    told = Counter(event["process"]["pid"] for event in place.agent.of("first"))
    assert Counter(opened) == told
    assert len(opened) >= RELOADS * 20
