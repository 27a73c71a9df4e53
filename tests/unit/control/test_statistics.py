from __future__ import annotations

from raqib.control.statistics import Latency, Statistics
from raqib.model.execution import ActionRecord, Finished, Outcome, Timings

MS = 10**6


def finished(outcome: Outcome, timings: Timings, *decisions: str) -> Finished:
    records = tuple(ActionRecord("KillCurrent", decision, 0, "", 0) for decision in decisions)  # type: ignore[arg-type]
    return Finished("uuid", "kind", "recipe", 0, outcome, "", timings, records)


def test_no_case_has_no_percentiles() -> None:
    assert {"count": 0, "p50_ms": None, "p99_ms": None} == Latency().summary()


def test_percentiles_are_those_of_the_cases() -> None:
    latency = Latency()
    for number in range(100, 0, -1):
        latency.add(number * MS)
    assert {"count": 100, "p50_ms": 51.0, "p99_ms": 100.0} == latency.summary()


def test_only_the_latest_cases_are_remembered_but_all_are_counted() -> None:
    latency = Latency()
    for _ in range(5000):
        latency.add(1000 * MS)
    for _ in range(4096):
        latency.add(MS)
    assert {"count": 9096, "p50_ms": 1.0, "p99_ms": 1.0} == latency.summary()


def test_what_was_never_started_counts_as_an_outcome_alone() -> None:
    statistics = Statistics()
    statistics.finished(finished("dropped", Timings(queued_ns=1, seen_ns=1)))
    summary = statistics.summary(running=2, waiting=3)
    reactions = summary["reactions"]
    assert (2, 2, 3, 0, 1) == tuple(reactions[name] for name in ("started", "running", "waiting", "done", "dropped"))
    assert 0 == summary["latency"]["detect_to_react"]["count"]


def test_matches_reactions_and_actions_are_counted() -> None:
    statistics = Statistics()
    for recipe in ("a", "b", "b"):
        statistics.matched(recipe, 10 * MS, 12 * MS)
    whole = Timings(queued_ns=12 * MS, started_ns=13 * MS, first_action_ns=15 * MS, ended_ns=16 * MS, seen_ns=10 * MS)
    statistics.finished(finished("ok", whole, "done", "refused", "refused"))
    statistics.finished(finished("timeout", Timings(queued_ns=12 * MS, started_ns=14 * MS, seen_ns=10 * MS)))
    summary = statistics.summary(running=0, waiting=0)
    assert {"total": 3, "repeated": 0, "alike": 0, "by_recipe": {"b": 2, "a": 1}} == summary["matches"]
    assert (2, 1, 1) == tuple(summary["reactions"][name] for name in ("started", "done", "timeout"))
    assert {"done": 1, "would": 0, "refused": 2, "error": 0} == summary["actions"]
    assert {"count": 3, "p50_ms": 2.0, "p99_ms": 2.0} == summary["latency"]["detect_to_print"]
    assert {"count": 2, "p50_ms": 4.0, "p99_ms": 4.0} == summary["latency"]["detect_to_react"]
    assert {"count": 1, "p50_ms": 5.0, "p99_ms": 5.0} == summary["latency"]["detect_to_act"]
