"""The variables for the dynamic loader are read when a program starts, however soon it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from raqib.kernel.layout import constant
from raqib.model.actions import FileAction
from raqib.sensors.processes import LoaderVariables
from tests.kernel.acting import AT_FDCWD, Call, Watch, argv, below

ROOM = constant("ENVIRONMENT_BYTES")
PIECE = constant("PATH_BYTES")


@pytest.fixture
def program(watch: Watch, act_program: Path, tmp_path: Path) -> Path:
    path = tmp_path / "program"
    shutil.copy(act_program, path)
    watch.look(tmp_path, below(tmp_path)._replace(environments=True))
    return path


def kept_of(watch: Watch, program: Path, variables: dict[str, str]) -> LoaderVariables:
    """Run the program to its end, and return what is known of its environment then."""
    subprocess.run([program, "getpid"], env=variables, check=True, stdin=subprocess.DEVNULL)
    watch.sensor.consume()
    return watch.sensor.processes.loader_variables(watch.last(FileAction.EXECVE).process)


@pytest.mark.parametrize(
    "others",
    [
        pytest.param({}, id="no others"),
        pytest.param({"A": "", "LDX": "1", "OLD_LD_AUDIT": "LD_AUDIT=/no"}, id="alike"),
        pytest.param({f"X{length}": "x" * (PIECE - length) for length in range(8)}, id="about as long as a piece"),
        pytest.param({f"X{number}": "xLD_" * 25_000 for number in range(8)}, id="long"),
        pytest.param({f"X{number}": "" for number in range(10_000)}, id="many"),
    ],
)
def test_the_loaders_variables_are_kept(watch: Watch, program: Path, others: dict[str, str]) -> None:
    variables = {"LD_BIND_NOW": "1", **others, "LD_LIBRARY_PATH": "/none:/nowhere"}
    expected = LoaderVariables((b"LD_BIND_NOW=1", b"LD_LIBRARY_PATH=/none:/nowhere"), complete=True)
    assert expected == kept_of(watch, program, variables)


def test_without_any_nothing_is_kept(watch: Watch, program: Path) -> None:
    assert LoaderVariables((), complete=True) == kept_of(watch, program, {"PATH": "/bin"})
    assert LoaderVariables((), complete=True) == kept_of(watch, program, {})


def test_what_does_not_fit_is_said(watch: Watch, program: Path) -> None:
    longest = {"LD_X": "x" * (ROOM - len("LD_X=") - 1)}
    assert LoaderVariables((f"LD_X={longest['LD_X']}".encode(),), complete=True) == kept_of(watch, program, longest)
    kept = kept_of(watch, program, {"LD_X": "x" * ROOM, "LD_Y": "1"})
    assert LoaderVariables((b"LD_Y=1",), complete=False) == kept
    assert not kept_of(watch, program, {f"X{number}": "" for number in range(20_000)}).complete


def test_each_program_of_a_process_has_its_own(watch: Watch, program: Path) -> None:
    watch.act(["execve", program, *argv("program", "getpid")], prefix=("env", "LD_BIND_NOW=1"))
    process = watch.last(FileAction.EXECVE).process
    assert process.previous is not None
    assert os.fsencode(watch.program) == process.previous.exe
    # The second program has none, and what is kept is of the first.
    assert LoaderVariables((), complete=True) == watch.sensor.processes.loader_variables(process)


def test_what_a_forked_child_inherited_is_not_known(watch: Watch, tmp_path: Path) -> None:
    watch.look(tmp_path, below(tmp_path)._replace(environments=True))
    (tmp_path / "a").touch()
    fork: Call = ["fork", "[", "openat", AT_FDCWD, tmp_path / "a", 0, "]"]
    parent = watch.act(fork, prefix=("env", "LD_BIND_NOW=1"))
    process = watch.last(FileAction.OPEN).process
    assert parent != process.pid
    assert LoaderVariables((), complete=False) == watch.sensor.processes.loader_variables(process)


def test_nothing_is_known_of_before_it_was_asked_for(watch: Watch, program: Path, tmp_path: Path) -> None:
    watch.look(tmp_path, below(tmp_path))
    assert LoaderVariables((), complete=False) == kept_of(watch, program, {"LD_BIND_NOW": "1"})
    process = watch.last(FileAction.EXECVE).process
    watch.look(tmp_path, below(tmp_path)._replace(environments=True))
    assert LoaderVariables((), complete=False) == watch.sensor.processes.loader_variables(process)
