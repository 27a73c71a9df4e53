from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from raqib.agent.environment import Environments, Wanted
from raqib.host.environment import EnvironmentReader
from raqib.model.process import Process, ProcessKey
from raqib.recipes.compile import CompiledSet
from raqib.recipes.load import load_text
from raqib.sensors.processes import LoaderVariables
from raqib.testing import live_process


def patient(
    loader_variables: Callable[[Process], LoaderVariables] = lambda process: LoaderVariables((), complete=False),
    on_unread: Callable[[Process], None] = lambda process: None,
) -> Environments:
    """Return what waits for however busy a machine."""
    return Environments(loader_variables, on_unread, reader=EnvironmentReader(patience_s=60))


@contextmanager
def sleeping(**variables: str) -> Iterator[Process]:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        started.stdin.write(b"\n")
        started.stdin.flush()
        # Once it answers, it is the program and not the child that will be it.
        assert b"\n" == started.stdout.read(1)
        yield live_process(started.pid)
        started.communicate()


def compiled(*patterns: str) -> CompiledSet:
    items = ", ".join(f"{{what: envs, which: pertinent, pattern: '{pattern}'}}" for pattern in patterns)
    loaded = load_text(
        "- {kind: k, name: n, mechanism: env_vars, breed: env_vars, importance: low, "
        f"arbitrary: [{{how: OR, which: pertinent, items: [{items}]}}]}}",
        "test.yaml",
    )
    assert not loaded.errors
    return CompiledSet(loaded.recipes)


def test_only_what_is_asked_for_is_kept() -> None:
    environments = patient()
    with sleeping(LD_PRELOAD="/none.so", SECRET="s", PROXY="p", PATH="/bin") as process:
        environments.replace(compiled("^PROXY="))
        assert {b"LD_PRELOAD=/none.so", b"PROXY=p"} == set(environments.complete(process).envs)


def test_nothing_is_read_while_nobody_asks() -> None:
    environments = patient()
    find = environments.finder(lambda key: Process(key=key))
    found = find(live_process(os.getpid()).key)
    assert found is not None
    assert () == found.envs


def test_no_flood_of_variables_hides_another() -> None:
    wanted = Wanted(["^A", "^B="])
    flood = [b"A%d=x" % number for number in range(1000)] + [b"LD_%d=x" % number for number in range(1000)]
    kept = wanted.select([*flood, b"B=1"])
    assert b"B=1" in kept
    assert 4 + 32 + 1 == len(kept)


def test_what_was_read_at_the_start_stays() -> None:
    environments = patient()
    environments.replace(compiled("^PROXY="))
    with sleeping(PROXY="p") as process:
        assert (b"PROXY=p",) == environments.complete(process).envs
    assert (b"PROXY=p",) == environments.complete(process).envs


def test_what_the_kernel_kept_counts_although_the_process_is_gone() -> None:
    asked: list[ProcessKey] = []

    def kept(process: Process) -> LoaderVariables:
        asked.append(process.key)
        return LoaderVariables((b"LD_PRELOAD=/none.so",), complete=True)

    environments = patient(kept)
    environments.replace(compiled("^LD_PRELOAD="))
    gone = Process(key=ProcessKey(2**22 - 1, 1), exit_ns=2)
    assert (b"LD_PRELOAD=/none.so",) == environments.complete(gone).envs
    assert (b"LD_PRELOAD=/none.so",) == environments.complete(gone).envs
    assert [gone.key] == asked


def test_what_the_kernel_does_not_keep_is_read() -> None:
    environments = patient(lambda process: LoaderVariables((b"LD_PRELOAD=/none.so",), complete=True))
    with sleeping(PROXY="p") as process:
        environments.replace(compiled("^LD_|^PROXY="))
        assert (b"LD_PRELOAD=/none.so", b"PROXY=p") == environments.complete(process).envs
        environments.replace(compiled("^LD_(PRELOAD|AUDIT)="))
        assert (b"LD_PRELOAD=/none.so",) == environments.complete(process).envs


def test_who_does_not_answer_is_told_and_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unread: list[Process] = []
    environments = patient(on_unread=unread.append)
    environments.replace(compiled("^PROXY="))
    with sleeping(PROXY="p") as process:
        monkeypatch.setattr(EnvironmentReader, "read", lambda *arguments: None)
        assert () == environments.complete(process).envs
        assert [process] == unread
        monkeypatch.undo()
        assert (b"PROXY=p",) == environments.complete(process).envs
    assert [process] == unread
    environments.close()


def test_however_large_environments_are_little_of_them_is_kept() -> None:
    """A user may have thousands of processes with megabytes of the loader's variables each."""
    large = LoaderVariables(tuple(b"LD_X%d=" % number + b"x" * 100_000 for number in range(10)), complete=True)
    environments = patient(lambda process: large)
    environments.replace(compiled("^LD_PRELOAD="))
    for pid in range(100):
        assert large.variables == environments.complete(Process(key=ProcessKey(1 << 23, pid + 1))).envs
        kept = [*environments._known.values()]
        assert (8 << 20) + 1_100_000 > sum(len(env) for envs in kept for env in envs)
    assert 1 <= len(kept) < 10
