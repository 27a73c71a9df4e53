"""Helpers about processes and file systems that see to it that who asks them does not come back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from raqib.actions.helpers.table import HELPERS
from raqib.actions.manifest import verify_evidence
from raqib.actions.threads import FILE_THREADS, MAX_LEFT_OF_ONE
from raqib.model.execution import ActionRecord
from raqib.testing import live_process, make_detection, make_recipe
from tests.fuse import silent_file_system

from .conftest import Acting

ROOT = Path(__file__).parents[3]


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "silent"
    directory.mkdir()
    with silent_file_system(directory):
        yield directory


def start(act: Acting, name: str, *arguments: str) -> asyncio.Task[ActionRecord]:
    text = msgspec.json.encode(arguments).decode()
    return asyncio.create_task(act.door.perform(HELPERS[name], act.context, text))


def test_memory_that_never_answers_holds_up_no_evidence(act: Acting) -> None:
    command = [sys.executable, "-m", "tests.kernel.actions.hooks.unanswering"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        act.detection = make_detection("", ancestry=[live_process(process.pid)])
        assert b"ready\n" == process.stdout.readline()
        records = [act("CollectEvidence") for _ in range(FILE_THREADS + 1)]
        process.kill()
    assert {"done"} == {record.decision for record in records}, records
    # The kernel itself does not wait for memory that somebody else has to fill.
    assert b"" == (Path(records[0].value) / "cmdline").read_bytes()
    assert (Path(records[0].value) / "maps").stat().st_size > 0
    assert [] == verify_evidence(Path(records[0].value))


def test_helpers_go_on_while_files_do_not_answer(act: Acting, silent: Path) -> None:
    async def main() -> None:
        stuck = [start(act, "ReadFile", str(silent / "x")) for _ in range(FILE_THREADS)]
        async with asyncio.timeout(60):
            for number in range(FILE_THREADS + 1):
                record = await start(act, "WriteFile", f"{act.writable}/{number}", "x")
                assert "done" == record.decision, record
        assert not any(task.done() for task in stuck)

    asyncio.run(main())


def test_one_recipe_leaves_so_many_threads_behind(act: Acting, silent: Path) -> None:
    async def main() -> None:
        stuck = [start(act, "ReadFile", str(silent / "x")) for _ in range(MAX_LEFT_OF_ONE)]
        async with asyncio.timeout(60):
            while (record := await start(act, "Stat", "/etc/passwd")).decision == "done":
                pass
        assert ("refused", True) == (record.decision, "have not come back" in record.reason), record
        assert not any(task.done() for task in stuck)
        act.detection = make_detection(recipe=make_recipe("", name="another_recipe"))
        assert "done" == (await start(act, "Stat", "/etc/passwd")).decision

    asyncio.run(main())


def test_threads_come_back(act: Acting, tmp_path: Path) -> None:
    directory = tmp_path / "silent"
    directory.mkdir()

    async def main() -> None:
        with silent_file_system(directory):
            stuck = [start(act, "Stat", str(directory / "x")) for _ in range(MAX_LEFT_OF_ONE)]
            async with asyncio.timeout(60):
                while (await start(act, "Stat", "/etc/passwd")).decision == "done":
                    pass
        assert {"error"} == {record.decision for record in await asyncio.gather(*stuck)}
        assert "done" == (await start(act, "Stat", "/etc/passwd")).decision

    asyncio.run(main())


def test_a_file_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path, silent: Path) -> None:
    code = f"""
import asyncio
from pathlib import Path
from raqib.actions.helpers.table import HELPERS
from tests.unit.actions.conftest import Acting

act = Acting(Path({os.fspath(tmp_path)!r}))

async def main():
    task = asyncio.create_task(act.door.perform(HELPERS["Stat"], act.context, '["{silent}/x"]'))
    await asyncio.wait([task], timeout=0.5)
    assert not task.done()

asyncio.run(main())
act.close()
print("over", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert (0, b"over\n") == (ended.returncode, ended.stdout), ended.stderr
