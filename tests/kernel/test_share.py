"""Whoever floods loses only what is his own: each process and each user has a share of what all have in common."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from raqib.model.actions import NO_ACTIONS
from raqib.sensors.files import Hint, Interests
from tests import flooding
from tests.kernel.acting import Watch
from tests.kernel.test_actions import CREATE, OPEN, TRUNCATE
from tests.kernel.test_loss import MakeWatch, watched

USER, OTHER_USER = 1_900_000_001, 1_900_000_002
"""Of whom there is nothing else on the machine."""
FIRST_AFTER = flooding.FIRST_SUBORDINATE + flooding.SUBORDINATES
SMALL = {"watched": 1024, "records": 4 * 4096}
NEEDLES = 80
FLOODS = [
    pytest.param(flooding.ONE_PROCESS, 5000, id="one process"),
    pytest.param(flooding.SHORT_PROCESSES, 1000, id="short processes"),
    pytest.param(flooding.SUBORDINATE_USERS, 1000, id="subordinate users"),
]


@pytest.fixture
def own() -> Iterator[Path]:
    with flooding.own_directory(USER) as directory:
        yield directory


@pytest.fixture
def theirs() -> Iterator[Path]:
    with flooding.own_directory() as directory:
        yield directory


def look(watch: Watch, own: Path, theirs: Path, *, judged: bool) -> None:
    """Be interested in opens and creations in one directory, and perhaps in another one that looks alike."""
    prefixes = tuple(os.fsencode(directory) + b"/" for directory in ([own, theirs] if judged else [own]))
    hints = [Hint("prefix", os.fsencode(directory), OPEN | CREATE) for directory in (own, theirs)]
    watch.look(
        own,
        Interests(
            OPEN | CREATE,
            NO_ACTIONS,
            hints,
            lambda name: OPEN | CREATE if name.startswith(prefixes) else NO_ACTIONS,
        ),
    )


def accounts(watch: Watch) -> dict[int, tuple[int, int]]:
    """Return, by user, the entries in `watched` and how much was lost."""
    found = watch.sensor._bpf.map("accounts", "uint32_t", "struct account").entries()
    return {key[0]: (account.share.watched, sum(account.lost)) for key, account in found}


@pytest.mark.parametrize(("script", "count"), FLOODS)
@pytest.mark.parametrize("judged", [True, False], ids=["names that matter", "names that nobody has judged"])
def test_flood_of_another_user(
    make_watch: MakeWatch, own: Path, theirs: Path, script: str, count: int, judged: bool
) -> None:
    watch = make_watch(SMALL)
    look(watch, own, theirs, judged=judged)
    watch.start()
    flooding.run(script, theirs, count)
    used, lost = accounts(watch)[flooding.NOBODY]
    assert 0 < used <= SMALL["watched"] // 2
    assert lost > 0
    assert not set(accounts(watch)) & set(range(flooding.FIRST_SUBORDINATE, FIRST_AFTER))
    pid = flooding.run(flooding.ONE_PROCESS, own, NEEDLES, user=USER)
    watch.sensor.consume()
    watch.sensor.sweep()
    assert {f"{pid}-{number}": OPEN | CREATE for number in range(NEEDLES)} == watch.of(pid)
    assert 0 == accounts(watch)[USER][1]
    watch.sensor.sweep()
    assert 0 == watched(watch)
    assert {0} == {entries for entries, _ in accounts(watch).values()}


def test_names_that_mean_nothing_leave_nothing_behind(make_watch: MakeWatch, own: Path, theirs: Path) -> None:
    """While they are being judged, they take no place from those that matter."""
    watch = make_watch({})
    look(watch, own, theirs, judged=False)
    watch.start()
    flooding.run(flooding.ONE_PROCESS, theirs, 200)
    assert 0 == watched(watch)
    watch.sensor.consume()
    assert 0 == watched(watch)
    assert [] == watch.seen


def test_what_one_user_loses_is_told_with_what_it_did(make_watch: MakeWatch, own: Path, theirs: Path) -> None:
    watch = make_watch(SMALL)
    look(watch, own, theirs, judged=True)
    watch.start()
    flooding.run(flooding.ONE_PROCESS, theirs, 5000)
    flooding.run(flooding.ONE_PROCESS, own, NEEDLES, user=USER)
    watch.sensor.consume()
    watch.sensor.sweep()
    lost = {observation.process.uid: observation.lost for observation in watch.seen}
    assert (True, 0) == (lost[flooding.NOBODY] > 0, lost[USER])


def test_ever_new_spellings_are_not_all_looked_up(make_watch: MakeWatch, own: Path, theirs: Path) -> None:
    """The process itself is the news then; whoever keeps to the budget loses nothing."""
    watch = make_watch({})
    everything = [Hint("prefix", os.fsencode(directory), TRUNCATE) for directory in (own, theirs)]
    watch.look(own, Interests(TRUNCATE, NO_ACTIONS, everything, lambda name: TRUNCATE))
    watch.start()
    with flooding.start(flooding.NEW_SPELLINGS, theirs, 40_000) as started:
        while started.poll() is None:
            watch.sensor.consume()
            watch.sensor.sweep()
    assert 0 == started.returncode
    budget = [loss for loss in watch.sensor.lost() if loss.kind == "unresolved_names"]
    assert [(flooding.NOBODY, started.pid)] == [(loss.uid, loss.process.pid) for loss in budget]
    flooding.run(flooding.NEW_SPELLINGS, own, 100, user=USER)
    watch.sensor.consume()
    watch.sensor.sweep()
    assert {own / "y"} == {
        Path(os.fsdecode(observation.path)) for observation in watch.seen if observation.process.uid == USER
    }
    assert 0 == accounts(watch)[USER][1]


def test_a_user_with_many_processes_leaves_room_for_those_of_others(
    make_watch: MakeWatch, own: Path, theirs: Path
) -> None:
    watch = make_watch({"processes": 1024})
    look(watch, own, theirs, judged=True)
    watch.start()
    with flooding.start(flooding.MANY_PROCESSES, theirs, 1024, user=OTHER_USER) as many:
        assert many.stdout is not None
        assert b"made\n" == many.stdout.readline()
        watch.sensor.consume()
        watch.sensor.sweep()
        entries = watch.sensor._bpf.map("accounts", "uint32_t", "struct account")
        account = entries.get(entries.key(OTHER_USER))
        assert account is not None
        assert 0 < account.processes <= 512
        # Those that have no entry are told all the same, with what they are.
        assert watch.sensor.counters()["untracked"] > 0
        told = {observation.process.pid: observation.process.image for observation in watch.seen}
        assert {int(path.name) for path in theirs.iterdir()} <= told.keys()
        assert {(b"/usr/bin/python3", b"-I")} == {told[int(path.name)].args[:2] for path in theirs.iterdir()}
        assert {os.fsencode(Path("/usr/bin/python3").resolve())} == {
            told[int(path.name)].exe for path in theirs.iterdir()
        }
        pid = flooding.run(flooding.ONE_PROCESS, own, 3, user=USER)
        watch.sensor.consume()
        key = next(observation.process.key for observation in watch.seen if observation.process.pid == pid)
        assert watch.sensor.processes.find(key) is not None
        many.communicate(b"\n", timeout=60)
    account = entries.get(entries.key(OTHER_USER))
    assert account is not None
    assert 0 == account.processes


PARENT_THAT_ENDS = """
import os
reads, writes = os.pipe()
child = os.fork()
if not child:
    os.close(writes)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    os.read(reads, 1)
    signal.pause()
print(child, flush=True)
"""
"""Leaves a child behind, which stays."""


def test_many_short_processes_of_one_user_leave_what_is_known_of_those_of_others(
    make_watch: MakeWatch, own: Path, theirs: Path
) -> None:
    """Whose child a process is, is known though its parent has ended."""
    watch = make_watch({"exited": 256})
    look(watch, own, theirs, judged=True)
    watch.start()
    left: list[int] = []
    parents = []
    try:
        for _ in range(20):
            with flooding.start(PARENT_THAT_ENDS, own, 1, user=USER) as parent:
                assert parent.stdout is not None
                left.append(int(parent.stdout.readline()))
                assert 0 == parent.wait(flooding.MOST_S)
            parents.append(parent.pid)
        children = {key.pid: watch.sensor.processes.find(key) for key in watch.sensor.processes.living()}
        keys = [found.parent for pid in left if (found := children[pid]) is not None]
        assert parents == [key.pid for key in keys if key is not None]
        for script in (flooding.SHORT_PROCESSES, flooding.SUBORDINATE_USERS):
            flooding.run(script, theirs, 600)
        assert [] == [key for key in keys if key is not None and watch.sensor.processes.find(key) is None]
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
