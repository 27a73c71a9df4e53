from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from raqib.agent.environment import Environments, Wanted, read_environment
from raqib.model.process import Process, ProcessKey
from raqib.recipes.compile import CompiledSet
from raqib.recipes.load import load_text
from raqib.sensors.processes import LoaderVariables
from raqib.testing import live_process


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
    environments = Environments()
    with sleeping(LD_PRELOAD="/none.so", SECRET="s", PROXY="p", PATH="/bin") as process:
        environments.replace(compiled("^PROXY="))
        assert {b"LD_PRELOAD=/none.so", b"PROXY=p"} == set(environments.of(process).envs)


def test_nothing_is_read_while_nobody_asks() -> None:
    environments = Environments()
    find = environments.finder(lambda key: Process(key=key))
    found = find(live_process(os.getpid()).key)
    assert found is not None
    assert () == found.envs


def test_variables_behind_a_lot_of_others_are_found() -> None:
    padding = {f"X{number}": "x" * 120_000 for number in range(6)}
    with sleeping(**padding, LD_AUDIT="/tmp/a.so") as process:
        assert (b"LD_AUDIT=/tmp/a.so",) == read_environment(process.key, Wanted(()).select)


def test_another_process_of_that_number_is_not_read() -> None:
    with sleeping(LD_PRELOAD="/none.so") as process:
        other = ProcessKey(process.pid, process.key.start_ns - 10**9)
        assert () == read_environment(other, Wanted(()).select)
        assert () != read_environment(process.key, Wanted(()).select)
    assert () == read_environment(process.key, Wanted(()).select)


def test_no_flood_of_variables_hides_another() -> None:
    wanted = Wanted(["^A", "^B="])
    flood = [b"A%d=x" % number for number in range(1000)] + [b"LD_%d=x" % number for number in range(1000)]
    kept = wanted.select([*flood, b"B=1"])
    assert b"B=1" in kept
    assert 4 + 32 + 1 == len(kept)


def test_what_was_read_at_the_start_stays() -> None:
    environments = Environments()
    environments.replace(compiled("^PROXY="))
    with sleeping(PROXY="p") as process:
        assert (b"PROXY=p",) == environments.of(process).envs
    assert (b"PROXY=p",) == environments.of(process).envs


def test_what_the_kernel_kept_counts_although_the_process_is_gone() -> None:
    asked: list[ProcessKey] = []

    def kept(process: Process) -> LoaderVariables:
        asked.append(process.key)
        return LoaderVariables((b"LD_PRELOAD=/none.so",), complete=True)

    environments = Environments(kept)
    environments.replace(compiled("^LD_PRELOAD="))
    gone = Process(key=ProcessKey(2**22 - 1, 1), exit_ns=2)
    assert (b"LD_PRELOAD=/none.so",) == environments.of(gone).envs
    assert (b"LD_PRELOAD=/none.so",) == environments.of(gone).envs
    assert [gone.key] == asked


def test_what_the_kernel_does_not_keep_is_read() -> None:
    environments = Environments(lambda process: LoaderVariables((b"LD_PRELOAD=/none.so",), complete=True))
    with sleeping(PROXY="p") as process:
        environments.replace(compiled("^LD_|^PROXY="))
        assert (b"LD_PRELOAD=/none.so", b"PROXY=p") == environments.of(process).envs
        environments.replace(compiled("^LD_(PRELOAD|AUDIT)="))
        assert (b"LD_PRELOAD=/none.so",) == environments.of(process).envs


def test_however_large_environments_are_little_of_them_is_kept() -> None:
    """A user may have thousands of processes with megabytes of the loader's variables each."""
    large = LoaderVariables(tuple(b"LD_X%d=" % number + b"x" * 100_000 for number in range(10)), complete=True)
    environments = Environments(lambda process: large)
    environments.replace(compiled("^LD_PRELOAD="))
    for pid in range(100):
        assert large.variables == environments.of(Process(key=ProcessKey(1 << 23, pid + 1))).envs
        kept = [*environments._known.values()]
        assert (8 << 20) + 1_100_000 > sum(len(one) for envs in kept for one in envs)
    assert 1 <= len(kept) < 10
