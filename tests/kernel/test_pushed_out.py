"""What is pushed out of a map that is full: nothing of it is lost but what is said to be."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from raqib.model.actions import NO_ACTIONS, FileAction
from raqib.sensors.accounts import OTHERS
from raqib.sensors.files import Hint, Interests
from raqib.sensors.processes import LoaderVariables
from tests import flooding
from tests.kernel.acting import below
from tests.kernel.test_actions import CLOSE, CREATE, OPEN
from tests.kernel.test_loss import FILES, SMALLEST_RING, MakeWatch, crowd, delivered_at_all, start, watch_act_unread

__all__ = ["crowd"]

FIRST_USER = 1_900_000_100
"""Of whom, and of those that follow, there is nothing else on the machine."""
LATER = 1500
"""Programs, more than there is room for."""


def test_users_without_an_account_share_one_and_are_told(make_watch: MakeWatch) -> None:
    watch = make_watch({"accounts": 2})
    for number in range(4):
        with flooding.own_directory(FIRST_USER + number) as own:
            watch.look(own, below(own, OPEN | CREATE))
            if not number:
                watch.start()
            pid = flooding.run(flooding.ONE_PROCESS, own, 5, user=FIRST_USER + number)
            watch.sensor.consume()
            assert {f"{pid}-{item}": OPEN | CREATE for item in range(5)} == watch.of(pid)
    assert 0 < watch.sensor.counters()["accounts_full"]
    users = {account.uid: account.records for account in watch.sensor._accounts.all()}
    assert 2 == len(users)
    assert 0 < users[OTHERS]


@pytest.mark.parametrize("table", ["accesses", "paths"])
def test_a_background_that_was_pushed_out_has_fewer_files(make_watch: MakeWatch, crowd: Path, table: str) -> None:
    watch = start(make_watch, {table: 512}, crowd)
    watch.act(["flood", crowd, FILES, FILES, -1])
    watch.sensor.sweep()
    expected = {str(index) for index in range(FILES)}
    assert expected <= delivered_at_all(watch)
    assert {0} == {value for name, value in watch.sensor.counters().items() if name.startswith("lost_")}
    known = {
        Path(os.fsdecode(observation.path)).name for observation in watch.sensor.accessed(watch.seen[-1].process.key)
    }
    assert len(known & expected) < 600


def test_a_verdict_that_was_pushed_out_is_asked_for_again(make_watch: MakeWatch, crowd: Path) -> None:
    watch = make_watch({"verdicts": 512})
    asked: dict[str, int] = {}

    def interest(name: bytes) -> FileAction:
        path = Path(os.fsdecode(name))
        if path.parent != crowd:
            return NO_ACTIONS
        asked[path.name] = asked.get(path.name, 0) + 1
        return OPEN

    watch.look(crowd, Interests(OPEN, NO_ACTIONS, [Hint("prefix", os.fsencode(crowd), OPEN)], interest))
    watch.start()
    for _ in range(2):
        watch.act(["flood", crowd, FILES, FILES, -1])
        watch.sensor.sweep()
        told = {name for name, actions in watch.of().items() if OPEN in actions}
        assert {str(index) for index in range(FILES)} <= told
    assert FILES == len(asked)
    assert FILES < sum(asked.values())


def test_a_long_name_that_is_cut_while_it_waits_is_told_as_a_loss(make_watch: MakeWatch, tmp_path: Path) -> None:
    """Nobody knows what such a name meant: that is told, with who did it."""
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    for index in range(FILES):
        (deep / str(index)).touch()
    watch = start(make_watch, {"texts": 128, "records": SMALLEST_RING}, deep, OPEN | CLOSE)
    watch_act_unread(watch, [["flood", deep, FILES, FILES, -1]])
    watch.sensor.consume()
    watch.sensor.sweep()
    told = {Path(os.fsdecode(observation.path)).name for observation in watch.seen}
    missing = FILES - len(told & {str(index) for index in range(FILES)})
    assert 0 < missing <= watch.sensor.counters()["lost_text"]
    lost = [loss for loss in watch.sensor.lost() if loss.kind == "cut_names"]
    assert [os.getuid()] == [loss.uid for loss in lost]
    assert missing <= lost[0].count


def test_an_environment_that_was_pushed_out_is_not_taken_for_known(
    make_watch: MakeWatch, act_program: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    shutil.copy(act_program, program)
    watch = make_watch({"environments": 512})
    watch.look(tmp_path, below(tmp_path)._replace(environments=True))
    watch.start()

    script = f"for one in $(seq {LATER}); do {program} getpid; done"
    subprocess.run(["sh", "-c", script], env={"PATH": "/usr/bin:/bin", "LD_BIND_NOW": "1"}, check=True)
    watch.sensor.consume()
    watch.sensor.sweep()
    found = {
        watch.sensor.processes.loader_variables(observation.process)
        for observation in watch.seen
        if FileAction.EXECVE in observation.new
    }
    assert {LoaderVariables((), complete=False), LoaderVariables((b"LD_BIND_NOW=1",), complete=True)} == found
