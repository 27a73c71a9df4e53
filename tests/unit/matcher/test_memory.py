"""What is remembered takes bounded memory, whatever names, arguments and processes are made up for it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from raqib.events.describe import process_info
from raqib.matcher.memory import Reported
from raqib.model.process import Image, Process, ProcessKey

MANY = 70_000
LIMIT = 40 << 20


def growth(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        kept = work()
        now, _ = tracemalloc.get_traced_memory()
        del kept
        return now
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("processes", [1, MANY])
def test_what_was_reported(processes: int) -> None:
    def work() -> Reported:
        reported = Reported()
        for number in range(MANY):
            reported.add(ProcessKey(number % processes, 1), b"%01000d" % number, "recipe")
        assert (ProcessKey((MANY - 1) % processes, 1), b"%01000d" % (MANY - 1), "recipe") in reported
        return reported

    assert growth(work) < LIMIT


def test_descriptions_of_processes_with_many_arguments() -> None:
    def work() -> None:
        for number in range(1000):
            arguments = tuple(b"%x" % ((7919 * index + number) % 4096) for index in range(1300))
            process_info(Process(key=ProcessKey(number + 1, 1), image=Image(exe=b"/x", args=arguments)))

    assert growth(work) < LIMIT
    process_info.cache_clear()
