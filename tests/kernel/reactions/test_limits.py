"""Reactions that go too far are ended and reported, and the next one works."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from raqib.model.execution import Finished, LogLine
from raqib.model.recipe import Limits, Reaction, RecipeInfo
from raqib.testing import make_detection, make_recipe

from .conftest import Host, RunScenario

OK = "function process() { Info('still here') }"


@pytest.mark.parametrize(
    ("code", "outcome", "error"),
    [
        ("function process() { while (true) {} }", "timeout", "ended after 0.5 s"),
        ("while (true) {}", "timeout", "ended after 0.5 s"),
        ("async function process() { for (;;) await 0 }", "timeout", "ended after 0.5 s"),
        ("\n\nthrow new Error('top')", "error", "line 3, column 7: Error: top"),
        ("function process() {\n  throw new TypeError('inner') }", "error", "line 2, column 9: TypeError: inner"),
        ("async function process() { await 0;\n throw new Error('late') }", "error", "line 2, column 8: Error: late"),
        ("function process() { throw 'text' }", "error", "Uncaught text"),
        ("let x = ;", "error", "line 1, column 9: SyntaxError"),
        ("let process = 1", "error", "expected a function process(data) at the top level"),
    ],
)
def test_bad_code_is_reported_and_the_pool_goes_on(
    run_scenario: RunScenario, code: str, outcome: str, error: str
) -> None:
    async def scenario(host: Host) -> None:
        bad = await host.run(code)
        good = await host.run(OK)
        assert bad.outcome == outcome
        assert "recipe 'test_recipe' of kind 'test_kind', reaction 0" in bad.error
        assert error in bad.error
        assert good.outcome == "ok"

    host = run_scenario(scenario, timeout_s=0.5)
    assert "still here" in host.texts
    assert outcome == next(entry["result"] for entry in host.ledger if entry["action"] == "execution")


def test_endless_recursion_is_reported_where_the_stack_ended(run_scenario: RunScenario) -> None:
    """The engine looks at the stack where a function begins and where one is called: either may come first."""

    async def scenario(host: Host) -> None:
        bad = await host.run("\nfunction process() { process() }")
        good = await host.run(OK)
        assert bad.outcome == "error"
        place = "recipe 'test_recipe' of kind 'test_kind', reaction 0, line 2, column"
        problem = "RangeError: Maximum call stack size exceeded"
        assert bad.error in (f"{place} 17: {problem}", f"{place} 22: {problem}")
        assert good.outcome == "ok"

    host = run_scenario(scenario, timeout_s=0.5)
    assert "still here" in host.texts
    assert "error" == next(entry["result"] for entry in host.ledger if entry["action"] == "execution")


@pytest.mark.parametrize(
    "code",
    [
        "let kept = []; function process() { for (;;) kept.push({ x: [1, 2, 3] }) }",
        "let kept = []; for (;;) kept.push('x'.repeat(1 << 16) + kept.length)",
        "let kept = []; function process() { for (;;) kept.push(new Uint8Array(1 << 20).fill(1)) }",
        "let kept = []; function process() { for (;;) try { kept.push(new Uint8Array(1 << 20).fill(1)) } catch {} }",
    ],
    ids=["objects", "strings", "off-heap", "off-heap, errors caught"],
)
def test_memory_bomb_ends_only_its_own_execution(run_scenario: RunScenario, code: str) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        bomb, *others = await host.submit(make_detection(code, OK, OK))
        outcomes = {finished.reaction: finished.outcome for finished in (bomb, *others)}
        assert outcomes == {0: "out_of_memory", 1: "ok", 2: "ok"}
        assert (await host.run(OK)).outcome == "ok"

    run_scenario(scenario, timeout_s=20)


def test_worker_memory_is_bounded(run_scenario: RunScenario) -> None:
    code = """function process() {
        const kept = [];
        for (;;) {
            try { kept.push(new Uint8Array(1 << 20).fill(1)) } catch { break }
            if (kept.length % 8 == 0) Info(kept.length);
        }
    }"""
    peaks: list[int] = []

    async def scenario(host: Host) -> None:
        append = host.lines.append

        def measure(line: LogLine) -> None:
            append(line)
            peaks.extend(_peak_rss_mib(pid) for pid in host.reactions.worker_pids)

        host.on_log = measure
        await host.run(code)

    run_scenario(scenario, timeout_s=10)
    assert peaks
    assert max(peaks) < 64 + 192


def _peak_rss_mib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)


def test_endless_log_is_cut_and_said_once(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        finished = await host.run("function process() { for (;;) Info('spam') }")
        assert finished.outcome == "timeout"
        assert (await host.run(OK)).outcome == "ok"

    host = run_scenario(scenario, timeout_s=1, max_log_bytes=1000)
    assert host.texts.count("spam") == 200
    assert sum("further lines are dropped" in text for text in host.texts) == 1


def test_helper_calls_are_limited(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        finished = await host.run(
            "function process() { for (let i = 0; i < 100; i++) DataGet('x'); Info(DataSize(), Errno()) }"
        )
        assert finished.outcome == "ok"
        assert len(finished.actions) == 11

    host = run_scenario(scenario, max_helper_calls=10)
    assert "-1 the limit of 10 helper calls is reached" in host.texts
    refused = [entry for entry in host.ledger if entry["decision"] == "refused"]
    assert len(refused) == 1


def test_many_calls_that_are_refused_are_short_in_the_ledger(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.run(
            "function process() { for (let i = 0; i < 300; i++) WriteFile('/etc/' + 'x'.repeat(3000), 'y') }"
        )

    host = run_scenario(scenario, timeout_s=10)
    *calls, execution = host.ledger
    assert execution["action"] == "execution"
    assert [bool(call["arguments"]) for call in calls] == [True] * 256 + [False] * 44
    assert max(len(json.dumps(call)) for call in calls[256:]) < 600


def test_a_recipe_may_shorten_its_time(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        recipe = make_recipe("for (;;) ;", limits=Limits(timeout_s=0.2))
        began = time.monotonic()
        finished = await host.run("", recipe=recipe)
        assert finished.outcome == "timeout"
        assert time.monotonic() - began < 30

    run_scenario(scenario, timeout_s=30)


def test_a_recipe_may_have_more_or_less_memory(run_scenario: RunScenario) -> None:
    code = "const kept = []; for (let i = 0; i < 100; i++) kept.push(new Array(125_000).fill(i)); function process() {}"

    async def scenario(host: Host) -> None:
        outcomes = {}
        for heap_mib in (16, None, 256):
            recipe = make_recipe(code, limits=Limits(heap_mib=heap_mib))
            outcomes[heap_mib] = (await host.run("", recipe=recipe)).outcome
        assert outcomes == {16: "out_of_memory", None: "out_of_memory", 256: "ok"}
        assert (await host.run(OK)).outcome == "ok"

    run_scenario(scenario, timeout_s=20)


@pytest.mark.parametrize("heap_mib", [16, 256])
def test_the_next_execution_has_the_usual_memory(run_scenario: RunScenario, heap_mib: int) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(2)
        usual = {_memory_limit(pid) for pid in host.reactions.worker_pids}
        recipe = make_recipe(OK, limits=Limits(heap_mib=heap_mib))
        finished = await host.run("", recipe=recipe)
        assert finished.outcome == "ok"
        await host.warm(2)
        assert usual == {_memory_limit(pid) for pid in host.reactions.worker_pids}
        # Less memory is no reason to start another worker.
        assert (heap_mib == 16) == (finished.worker_pid in host.reactions.worker_pids)

    run_scenario(scenario, workers=1, timeout_s=10)


def _memory_limit(pid: int) -> int:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(int(line.split()[3]) for line in lines if line.startswith("Max data size"))


def test_all_reactions_of_a_recipe_run_in_parallel(run_scenario: RunScenario) -> None:
    meet = """function process() {
        DataIncr('arrived');
        while (DataGet('arrived') !== '3') ;
    }"""

    async def scenario(host: Host) -> None:
        await host.warm(4)
        finished = await host.submit(make_detection(meet, meet, meet))
        assert [run.outcome for run in finished] == ["ok"] * 3

    run_scenario(scenario, workers=3)


def test_next_reaction_is_fast_after_an_abnormal_end(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(2)
        await host.run("for (;;) ;")
        finished = await host.run(OK)
        timings = finished.timings
        assert finished.outcome == "ok"
        assert timings.started_ns is not None
        assert timings.started_ns - timings.queued_ns < 100_000_000

    run_scenario(scenario, workers=1, timeout_s=0.2)


def test_overflow_is_dropped_by_importance_and_reported(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        low = make_recipe(*[OK] * 6, name="low", importance="low")
        high = make_recipe(*[OK] * 4, name="high", importance="high")
        host.reactions.submit(make_detection(recipe=low))
        host.reactions.submit(make_detection(recipe=high))
        await host.reactions.drain()
        dropped = [(run.recipe, run.reaction) for run in host.finished if run.outcome == "dropped"]
        assert len(host.finished) == 10
        assert {recipe for recipe, _ in dropped} == {"low"}
        assert len(dropped) >= 3

    host = run_scenario(scenario, max_waiting=4, workers=1)
    assert any("executions are waiting already" in text for text in host.texts)


def test_globals_do_not_leak_between_executions(run_scenario: RunScenario) -> None:
    leave = "globalThis.left = 1; Array.prototype.left = 2; function process() { Info = 3 }"
    look = "function process() { Info(typeof left, typeof [].left) }"

    async def scenario(host: Host) -> None:
        for _ in range(6):
            assert (await host.run(leave)).outcome == "ok"
            assert (await host.run(look)).outcome == "ok"

    host = run_scenario(scenario, workers=1)
    assert host.texts == ["undefined undefined"] * 6


def test_shell_is_refused_and_ledgered(run_scenario: RunScenario) -> None:
    from raqib.model.recipe import Reaction, RecipeInfo

    recipe = RecipeInfo("k", "n", "file_access", "low", reactions=(Reaction("shell", "true"),))

    async def scenario(host: Host) -> None:
        (finished,) = await host.submit(make_detection(recipe=recipe))
        assert finished.outcome == "refused"
        assert "reactions.shell" in finished.error

    host = run_scenario(scenario)
    assert [(entry["action"], entry["decision"]) for entry in host.ledger] == [("execution", "refused")]


SPINNING = "function process() { while (true); }"


@pytest.mark.parametrize("importance", ["high", "critical"])
def test_an_important_one_starts_while_all_workers_spin(run_scenario: RunScenario, importance: str) -> None:
    ended: list[Finished] = []

    async def scenario(host: Host) -> None:
        await host.warm(3)
        low = make_recipe(SPINNING, name="spinning", importance="low")
        for _ in range(500):
            host.reactions.submit(make_detection(recipe=low))
        assert 2 == host.reactions.running
        important = make_recipe("function process() { Info('here'); }", name="important", importance=importance)
        host.reactions.submit(make_detection(recipe=important))
        async with asyncio.timeout(50):
            await host.any_finished.wait()
        ended.extend(host.finished)
        assert 2 == host.reactions.running

    run_scenario(scenario, timeout_s=60.0)
    assert [("important", "ok")] == [(process.recipe, process.outcome) for process in ended]
    timings = ended[0].timings
    assert timings.started_ns is not None
    print("start latency in us:", (timings.started_ns - timings.queued_ns) // 1000)


def test_those_that_spin_leave_a_worker_for_important_ones_when_theirs_are_replaced(run_scenario: RunScenario) -> None:
    """A worker that was ended takes a while to be replaced: until then the spare one is not for everybody."""
    ready: list[int] = []

    async def scenario(host: Host) -> None:
        await host.warm(3)
        host.reactions.submit(make_detection(recipe=make_recipe(SPINNING, name="long", limits=Limits(timeout_s=60))))
        low = make_recipe(SPINNING, name="spinning", importance="low")
        for _ in range(500):
            host.reactions.submit(make_detection(recipe=low))
        async with asyncio.timeout(50):
            while len(host.finished) < 4:
                await asyncio.sleep(0)
                ready.append(host.reactions.ready_workers)

    run_scenario(scenario, timeout_s=0.5)
    assert 0 not in ready


def _kill(host: Host) -> None:
    for pid in host.reactions.worker_pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", ["waiting", "prepared", "running"])
def test_a_critical_reaction_outlives_the_death_of_all_workers(run_scenario: RunScenario, moment: str) -> None:
    """As when the host is out of memory: it waits for a fresh one, and runs once."""
    critical = make_recipe("function process() { DataIncr('ran'); }", name="critical", importance="critical")

    async def scenario(host: Host) -> None:
        await host.warm(3)
        if moment == "waiting":
            _kill(host)
        held = host.reactions.hold(make_detection(recipe=critical))
        if moment == "prepared":
            _kill(host)
        held.release()
        if moment == "running":
            _kill(host)
        await host.reactions.drain()

    host = run_scenario(scenario)
    assert [("critical", "ok")] == [(item.recipe, item.outcome) for item in host.finished]
    assert ["DataIncr"] == [item["action"] for item in host.ledger if item["action"] != "execution"]
    timings = host.finished[0].timings
    assert timings.started_ns is not None
    print("started after the massacre within ms:", (timings.started_ns - timings.queued_ns) // 10**6)


def test_what_has_done_something_is_not_run_again(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        told = host.next_line()
        host.reactions.submit(make_detection("function process() { Info('begun'); for (;;); }"))
        await told.wait()
        _kill(host)
        await host.reactions.drain()

    host = run_scenario(scenario)
    assert ["crashed"] == [item.outcome for item in host.finished]
    assert 1 == host.texts.count("begun")


def test_who_loses_every_worker_is_given_up(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(2)
        host.reactions.hold(make_detection(OK))
        async with asyncio.timeout(100):
            while not host.finished:
                if host.reactions.running:
                    _kill(host)
                await asyncio.sleep(0.001)

    host = run_scenario(scenario, workers=1)
    assert ["crashed"] == [item.outcome for item in host.finished]


def test_important_shell_reactions_start_while_others_run(run_scenario: RunScenario) -> None:
    ended: list[Finished] = []

    def shell(name: str, code: str, importance: str) -> RecipeInfo:
        recipe = make_recipe("", name=name, importance=importance)
        return msgspec.structs.replace(recipe, reactions=(Reaction("shell", code),))

    async def scenario(host: Host) -> None:
        for _ in range(5):
            host.reactions.submit(make_detection(recipe=shell("slow", "sleep 60", "low")))
        host.reactions.submit(make_detection(recipe=shell("important", "true", "critical")))
        async with asyncio.timeout(50):
            await host.any_finished.wait()
        ended.extend(host.finished)

    run_scenario(scenario, shell=True, shell_timeout_s=60.0)
    assert [("important", "ok")] == [(process.recipe, process.outcome) for process in ended]
