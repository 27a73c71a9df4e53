"""A worker in the hands of an attacker: it can ask for what its own execution may do, and for nothing else."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from raqib.ledger.verification import verify
from raqib.reactions import process
from raqib.reactions.protocol import MAX_FRAME, Call, Ended, Log, Ready, Reply, pack
from raqib.testing import make_detection, make_recipe

from .conftest import Host, RunScenario


@pytest.fixture(autouse=True)
def hostile_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).parent / "hooks" / "hostile.py"
    wrapper = f"import runpy, sys; runpy.run_path({str(script)!r}, run_name='__main__')"
    monkeypatch.setattr(process, "WORKER_ARGUMENTS", ("-I", "-c", wrapper))


def frame(message: Any) -> bytes:
    body = msgspec.msgpack.encode(message)
    return struct.pack("<I", len(body)) + body


def steps(*those: tuple[str, ...]) -> str:
    return json.dumps(those)


def test_its_calls_are_those_of_its_own_execution(run_scenario: RunScenario, tmp_path: Path) -> None:
    async def scenario(host: Host) -> None:
        other = make_recipe(steps(("call", "DataSet", '["secret","s3cret"]')), name="other")
        assert "ok" == (await host.run("", recipe=other)).outcome
        hostile = steps(
            ("call", "DataGet", '["secret"]'),
            ("call", "KillProcess", "[1]"),
            ("call", "WriteFile", '["/etc/raqib-hostile","x"]'),
            ("call", "WriteFile", f'["{tmp_path}/data/store.db","x"]'),
            ("call", "PowerOff", '["no"]'),
            ("call", "DataSet", '["mine","1"]'),
            ("call", "DataSet", "[" * 100_000),
            ("call", "DataSet", '{"recipe":"other"}'),
            ("call", "DataSet", '["\\ud800","x"]'),
        )
        finished = await host.run(hostile)
        assert "ok" == finished.outcome
        assert ["done", "refused", "refused", "refused", "error", "done", "error", "error", "error"] == [
            record.decision for record in finished.actions
        ]
        assert "" == finished.actions[0].value
        assert "s3cret" == host.reactions.services.store.get("other", "secret")

    host = run_scenario(scenario)
    assert {"other", "test_recipe"} == {entry["recipe"] for entry in host.ledger}
    assert not Path("/etc/raqib-hostile").exists()
    assert verify(host.places.data_dir / "ledger.jsonl").intact


CALL = ["call", "DataGet", '["a"]']

VIOLATIONS = {
    "an execution's id beside a call": (frame([*CALL, "01a20c7a-c9fa-7699-9f4f-729f1452344f"]), "expected a message"),
    "an execution's id before the end": (frame(["ended", "ok", "", 0, 0, 0, "01a20c7a"]), "expected a message"),
    "an execution's id for its helper": (frame(["call", 7, "[]"]), "expected a message"),
    "an answer that nobody asked for": (pack(Reply('[true,0,""]')), "expected a message"),
    "an order to itself": (frame(["execute", "", "", "", "", "", 0, 0]), "expected a message"),
    "a message that is a map": (frame({"call": "DataGet"}), "expected a message"),
    "a message of nothing": (struct.pack("<I", 0), "expected a message"),
    "half a message": (struct.pack("<I", 3) + b"\x93\xa4c", "expected a message"),
    "text that is not UTF-8": (struct.pack("<I", 8) + b"\x93\xa4call\xa1\xff", "expected a message"),
    "endless nesting": (struct.pack("<I", 100_000) + b"\x91" * 100_000, "expected a message"),
    "a list said to be huge": (struct.pack("<I", 5) + b"\xdd\xff\xff\xff\xff", "expected a message"),
    "a frame just too large": (struct.pack("<I", MAX_FRAME + 1), "expected a frame of at most"),
    "many lines at once": (pack(Log("info", "late")) * 10_000, "before the answer"),
    "many calls at once": (pack(Call("Stat", '["/"]')) * 10_000, "before the answer"),
    "half a frame behind a line": (pack(Log("info", "late")) + b"\0", "before the answer"),
    "two ends": (pack(Ended("ok")) * 2, ""),
    "a call after the end": (pack(Ended("ok")) + pack(Call("DataGet", '["a"]')), ""),
    "a line after the end": (pack(Ended("ok")) + pack(Log("info", "late")), ""),
    "ready, twice": (pack(Ended("ok")) + pack(Ready()) * 2, ""),
}
"""What it sends, and how that is called if it belongs to the execution; empty if the execution had ended well."""


@pytest.mark.parametrize("trick", VIOLATIONS)
def test_what_is_not_due_ends_it(run_scenario: RunScenario, trick: str) -> None:
    sent, violation = VIOLATIONS[trick]

    async def scenario(host: Host) -> None:
        await host.warm(3)
        before = set(host.reactions.worker_pids)
        finished = await host.run(steps(("bytes", sent.hex()), ("hold",)))
        assert ("crashed" if violation else "ok") == finished.outcome
        assert violation in finished.error
        assert finished.worker_pid in before
        # It was killed and replaced, and nobody else was.
        while finished.worker_pid in host.reactions.worker_pids:
            await host.reactions.wait_ready(1)
            await host.run(steps())
        await host.warm(3)
        assert 2 == len(before & set(host.reactions.worker_pids))
        assert "ok" == (await host.run(steps())).outcome

    host = run_scenario(scenario)
    assert any("broke the protocol" in text for text in host.texts)
    assert not any("late" in text for text in host.texts)


def test_nothing_is_done_before_it_was_told_to_begin(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        early = steps(("early", pack(Call("DataSet", '["a","1"]')).hex()), ("hold",))
        held = host.reactions.hold(make_detection(early))
        await host.reactions.drain()
        held.release()
        assert ["crashed"] == [run.outcome for run in host.finished]
        assert None is host.reactions.services.store.get("test_recipe", "a")
        assert "ok" == (await host.run(steps())).outcome

    host = run_scenario(scenario)
    assert any("broke the protocol" in text for text in host.texts)


def test_a_frame_that_never_ends_is_the_time_limits_matter(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        sent = struct.pack("<I", MAX_FRAME) + b"x" * 1000
        finished = await host.run(steps(("bytes", sent.hex()), ("hold",)))
        assert "timeout" == finished.outcome
        assert "ok" == (await host.run(steps())).outcome

    run_scenario(scenario, timeout_s=0.5)


def test_what_it_says_is_escaped_and_cut(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        error = "\x1b[2J\n" + "x" * 1_000_000
        finished = await host.run(steps(("bytes", pack(Ended("error", error, -5, 2**31)).hex()), ("hold",)))
        assert "error" == finished.outcome
        assert "\\x1b[2J\\x0a" in finished.error
        assert len(finished.error) < 10_000
        assert finished.error.isprintable()

    run_scenario(scenario)


def test_what_it_says_of_its_sandbox_counts_only_before_it_has_run_anything(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.warm(3)
        said = pack(Ended("ok")) + pack(Ready(("\x1b[2Jforged" * 100_000,)))
        assert "ok" == (await host.run(steps(("bytes", said.hex()), ("hold",)))).outcome
        await host.warm(3)
        assert {()} == {worker.missing for worker in host.reactions._pool._workers}

    run_scenario(scenario)
