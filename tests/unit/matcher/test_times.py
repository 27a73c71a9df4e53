from __future__ import annotations

import pytest

from raqib.matcher import KnownAncestry
from raqib.matcher.facts import Facts
from raqib.matcher.times import TimesCounters
from raqib.model.process import Image, Namespaces, Process, ProcessKey
from raqib.recipes.load import load_text
from raqib.recipes.spec import RecipeSpec


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spec(*limits: tuple[str, int], name: str = "n") -> RecipeSpec:
    listed = ", ".join(f"{{kind: {kind}, max: {most}}}" for kind, most in limits)
    head = f"- {{kind: k, name: {name}, mechanism: file_access, breed: file_access, importance: low"
    loaded = load_text(f"{head}, times: [{listed}]}}", "test.yaml")
    assert not loaded.errors
    return loaded.recipes[0]


def facts(
    pid: int = 10,
    exe: str = "/bin/a",
    cmd: str = "a",
    parent: int = 5,
    parent_exe: str = "/bin/p",
    top: str = "/init",
    uts: int = 1,
) -> Facts:
    above = Process(key=ProcessKey(parent, parent), image=Image(parent_exe.encode()))
    process = Process(
        key=ProcessKey(pid, pid),
        parent=above.key,
        image=Image(exe.encode(), (b"/x/" + cmd.encode(),)),
        namespaces=Namespaces(uts_ns=uts),
    )
    return Facts(process, KnownAncestry([above, Process(key=ProcessKey(1, 1), image=Image(top.encode()))]))


KINDS = [
    # kind, an event that counts for the same, one that counts for another, the note
    ("times_per_proc", facts(exe="/bin/b"), facts(pid=11), "last one for this process"),
    ("times_per_parent_proc", facts(pid=11), facts(pid=11, parent=6), "last one for this parent process"),
    ("times_per_exe", facts(pid=11), facts(exe="/bin/b"), "last one for this executable"),
    (
        "times_per_parent_exe",
        facts(pid=11, parent=6),
        facts(parent_exe="/bin/q"),
        "last one for this parent executable",
    ),
    ("times_per_cmd", facts(pid=11, exe="/bin/b"), facts(cmd="b"), "last one for this command"),
    ("times_per_full_ancestry", facts(pid=11, parent=6), facts(top="/other"), "last one for this ancestry"),
    ("times_per_hostname", facts(pid=11, exe="/bin/b"), facts(uts=2), "last one for this host name"),
    ("times_per_host", facts(pid=11, exe="/bin/b", uts=2), None, "last one for this host"),
    ("times_in_total", facts(pid=11, exe="/bin/b", uts=2), None, "last one for this host"),
]


@pytest.mark.parametrize(("kind", "same", "other", "note"), KINDS, ids=[kind[0] for kind in KINDS])
def test_kinds(kind: str, same: Facts, other: Facts | None, note: str) -> None:
    counters = TimesCounters(100.0, Clock())
    rule = spec((kind, 2))
    assert ["", note, None] == [counters.count(rule, about) for about in (facts(), same, facts())]
    if other is not None:
        assert counters.count(rule, other) == ""


def test_every_limit_needs_room_and_nothing_is_counted_otherwise() -> None:
    counters = TimesCounters(100.0, Clock())
    rule = spec(("times_per_proc", 1), ("times_per_host", 2))
    assert counters.count(rule, facts(pid=1)) == "last one for this process"
    assert [counters.count(rule, facts(pid=1)) for _ in range(3)] == [None, None, None]
    assert counters.count(rule, facts(pid=2)) == "last one for this process; last one for this host"
    assert counters.count(rule, facts(pid=3)) is None


def test_recipes_count_apart() -> None:
    counters = TimesCounters(100.0, Clock())
    assert counters.count(spec(("times_per_host", 1)), facts()) is not None
    assert counters.count(spec(("times_per_host", 1), name="m"), facts()) is not None


def test_a_counter_forgets_after_its_window() -> None:
    clock = Clock()
    counters = TimesCounters(100.0, clock)
    rule = spec(("times_per_exe", 1))
    assert counters.count(rule, facts()) is not None
    clock.now = 99.0
    assert counters.count(rule, facts()) is None
    clock.now = 100.0
    assert counters.count(rule, facts()) is not None
    assert counters.count(rule, facts()) is None


def test_without_limits_there_is_no_end() -> None:
    counters = TimesCounters(100.0, Clock())
    assert {""} == {counters.count(spec(), facts()) for _ in range(10)}


def test_counters_are_bounded() -> None:
    counters = TimesCounters(100.0, Clock(), capacity=2)
    rule = spec(("times_per_proc", 1))
    for pid in (1, 2, 3):
        assert counters.count(rule, facts(pid=pid)) is not None
    assert counters.count(rule, facts(pid=3)) is None
    assert counters.count(rule, facts(pid=1)) is not None
