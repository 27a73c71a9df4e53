from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable

import pytest

from raqib.model.event import Event, encode
from raqib.printers import Counts, Printers, VoidPrinter, worker

MakeEvent = Callable[..., Event]


class Memory:
    """Keeps lines; each print passes the gate first, and closing opens it."""

    def __init__(self, name: str = "memory", *, local: bool = True, gate_open: bool = True) -> None:
        self.name = name
        self.local = local
        self.compact = False
        self.reads_events = True
        self.lines: list[bytes] = []
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.closed = 0
        if gate_open:
            self.gate.set()

    def print(self, event: Event | None, line: bytes) -> None:
        self.entered.set()
        self.gate.wait()
        self.lines.append(line)

    def close(self) -> None:
        self.closed += 1
        self.gate.set()


class Broken(Memory):
    def print(self, event: Event | None, line: bytes) -> None:
        raise OSError("the far end is gone")


def test_every_printer_gets_every_event_in_order(make_event: MakeEvent) -> None:
    near, far = Memory("near"), Memory("far", local=False)
    printers = Printers([near, far])
    printers.start()
    lines = [str(number).encode() for number in range(200)]
    for number, line in enumerate(lines):
        printers.submit(make_event(number), line)
    printers.close()
    assert lines == near.lines
    assert lines == far.lines
    assert {"near": Counts(200, 0, 0, 0), "far": Counts(200, 0, 0, 0)} == printers.counts
    assert (1, 1) == (near.closed, far.closed)


def test_a_failing_printer_affects_itself_alone(make_event: MakeEvent) -> None:
    good, broken = Memory("good"), Broken("broken")
    printers = Printers([broken, good])
    printers.start()

    async def run() -> bool:
        handed = printers.submit(make_event(), b"{}")
        await printers.printed(handed, timeout_s=10)
        return handed.done

    assert asyncio.run(run())
    printers.close()
    assert [b"{}"] == good.lines
    assert {"good": Counts(1, 0, 0, 0), "broken": Counts(0, 1, 0, 0)} == printers.counts


def test_printed_returns_when_the_local_printers_have_written(make_event: MakeEvent) -> None:
    near, far = Memory("near", gate_open=False), Memory("far", local=False, gate_open=False)
    printers = Printers([near, far])
    printers.start()

    async def run() -> None:
        handed = printers.submit(make_event(), b"{}")
        waiting = asyncio.create_task(printers.printed(handed, timeout_s=10))
        await asyncio.to_thread(near.entered.wait)
        assert not waiting.done()
        near.gate.set()
        await waiting
        assert [b"{}"] == near.lines
        assert [] == far.lines

    asyncio.run(run())
    far.gate.set()
    printers.close()
    assert [b"{}"] == far.lines


def test_printed_gives_up_when_the_time_is_gone(make_event: MakeEvent) -> None:
    stuck = Memory(gate_open=False)
    printers = Printers([stuck])
    printers.start()

    async def run() -> bool:
        handed = printers.submit(make_event(), b"{}")
        await printers.printed(handed, timeout_s=0.01)
        return handed.done

    assert not asyncio.run(run())
    stuck.gate.set()
    printers.close()
    assert [b"{}"] == stuck.lines


def test_a_printer_that_is_stuck_is_not_waited_for_again(make_event: MakeEvent) -> None:
    stuck = Memory(gate_open=False)
    printers = Printers([stuck])
    printers.start()

    async def run() -> None:
        first = printers.submit(make_event(1), b"1")
        await asyncio.to_thread(stuck.entered.wait)
        await printers.printed(first, timeout_s=0.06)
        second = printers.submit(make_event(2), b"2")
        assert second.done
        assert not first.done

    asyncio.run(run())
    stuck.gate.set()
    printers.close()
    assert [b"1", b"2"] == stuck.lines


def test_nobody_waits_for_printers_that_are_not_local(make_event: MakeEvent) -> None:
    printers = Printers([VoidPrinter()])
    assert printers.submit(make_event(), b"{}").done
    assert {"void": Counts(0, 0, 0, 1)} == printers.counts


def test_a_full_queue_drops_and_keeps_an_eighth_for_what_is_important(make_event: MakeEvent) -> None:
    stuck, good = Memory("stuck", local=False, gate_open=False), Memory("good")
    printers = Printers([stuck, good], queue_size=16)
    printers.start()
    printers.submit(make_event(), b"first")
    stuck.entered.wait()
    dropped_by = []
    for number in range(20):
        handed = printers.submit(make_event(number), b"low")
        asyncio.run(printers.printed(handed, timeout_s=10))
        dropped_by.append(handed.dropped_by)
    assert [[]] * 14 + [["stuck"]] * 6 == dropped_by
    assert Counts(written=0, failed=0, dropped=6, waiting=14) == printers.counts["stuck"]
    for number in range(3):
        printers.submit(make_event(number, "critical"), b"critical")
    assert Counts(written=0, failed=0, dropped=7, waiting=16) == printers.counts["stuck"]
    stuck.gate.set()
    printers.close()
    assert [b"first"] + [b"low"] * 14 + [b"critical"] * 2 == stuck.lines
    assert [b"first"] + [b"low"] * 20 + [b"critical"] * 3 == good.lines


def test_who_gives_way_says_so_of_each_event(make_event: MakeEvent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STUCK_S", -1.0)
    stuck, good = Memory("stuck", local=False, gate_open=False), Memory("good")
    printers = Printers([stuck, good])
    printers.start()
    printers.submit(make_event(), b"first")
    stuck.entered.wait()
    handed = printers.submit(make_event(1), b"second")
    asyncio.run(printers.printed(handed, timeout_s=100))
    assert [] == handed.dropped_by
    assert printers.give_way()
    assert ["stuck"] == handed.dropped_by
    stuck.gate.set()
    printers.close()


def printing_forever(stuck: Memory, event: Event, max_waiting_bytes: int) -> Printers:
    """Printers that have begun with a first event, which does not end."""
    printers = Printers([stuck], max_waiting_bytes=max_waiting_bytes)
    printers.start()
    printers.submit(event, b"first")
    stuck.entered.wait()
    return printers


def test_a_printer_of_json_alone_keeps_no_events(make_event: MakeEvent) -> None:
    """So twice as many may wait."""
    stuck = Memory("stuck", local=False, gate_open=False)
    stuck.reads_events = False
    printers = printing_forever(stuck, make_event(), 16_000)
    for number in range(20):
        printers.submit(make_event(number), b"x" * 1000)
    assert Counts(written=0, failed=0, dropped=7, waiting=13) == printers.counts["stuck"]
    stuck.gate.set()
    printers.close()


def test_what_waits_is_bounded_in_bytes_too(make_event: MakeEvent) -> None:
    stuck = Memory("stuck", local=False, gate_open=False)
    printers = printing_forever(stuck, make_event(), 16_000)
    for number in range(10):
        printers.submit(make_event(number), b"x" * 1000)
    assert Counts(written=0, failed=0, dropped=4, waiting=6) == printers.counts["stuck"]
    for number in range(3):
        printers.submit(make_event(number, "critical"), b"y" * 999)
    assert Counts(written=0, failed=0, dropped=6, waiting=7) == printers.counts["stuck"]
    stuck.gate.set()
    deadline = time.monotonic() + 10
    while printers.counts["stuck"].written < 8 and time.monotonic() < deadline:
        time.sleep(0.001)
    printers.submit(make_event(), b"z" * 100_000)
    printers.close()
    assert [5, *[1000] * 6, 999, 100_000] == [len(line) for line in stuck.lines]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("wants_compact", [False, True])
def test_each_printer_gets_its_form_and_all_of_it_if_that_is_asked_for(
    make_event: MakeEvent, full: bool, wants_compact: bool
) -> None:
    good = Memory("good")
    good.compact, good.reads_events = wants_compact, False
    printers = Printers([good], full=full)
    printers.start()
    event = make_event()
    asyncio.run(printers.printed(printers.submit(event, encode(event), add_base=True), timeout_s=10))
    printers.close()
    printed = json.loads(good.lines[0])
    assert event.uuid == printed["uuid"]
    assert full == ("base" in printed)
    assert (wants_compact and not full) == ("cut" in printed)
    if full:
        assert event.uuid == printed["base"]["uuid"]


def test_closing_breaks_off_a_printer_that_does_not_return(make_event: MakeEvent) -> None:
    stuck = Memory(gate_open=False)
    printers = Printers([stuck])
    printers.start()
    for number in range(10):
        printers.submit(make_event(number), b"{}")
    stuck.entered.wait()
    start = time.monotonic()
    printers.close(timeout_s=0.05)
    assert time.monotonic() - start < 5
    assert 1 == stuck.closed
    assert Counts(written=1, failed=0, dropped=9, waiting=0) == printers.counts["memory"]


def test_what_comes_after_closing_is_dropped(make_event: MakeEvent) -> None:
    memory = Memory()
    printers = Printers([memory])
    printers.start()
    printers.close()
    assert printers.submit(make_event(), b"{}").done
    assert Counts(0, 0, 1, 0) == printers.counts["memory"]


def test_closing_what_never_started_closes_the_printer(make_event: MakeEvent) -> None:
    memory = Memory()
    printers = Printers([memory])
    printers.submit(make_event(), b"{}")
    printers.close()
    assert 1 == memory.closed
    assert Counts(0, 0, 1, 0) == printers.counts["memory"]


def test_a_printer_that_fails_is_reported_once(make_event: MakeEvent, capsys: pytest.CaptureFixture[str]) -> None:
    printers = Printers([Broken("broken")])
    printers.start()
    for number in range(5):
        printers.submit(make_event(number), b"{}")
    printers.close()
    output = capsys.readouterr()
    assert 1 == (output.out + output.err).count("the far end is gone")
    assert Counts(0, 5, 0, 0) == printers.counts["broken"]
