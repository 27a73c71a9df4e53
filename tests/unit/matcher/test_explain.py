from __future__ import annotations

import pytest

from raqib.matcher import KnownLineage
from raqib.matcher.explain import explain
from raqib.matcher.finding import Finding
from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.recipes.load import load_text

CAT = Process(key=ProcessKey(7, 70), uid=1000, image=Image(b"/usr/bin/cat", (b"cat", b"/etc/shadow")))

CAT_ITEM = "{what: exe, which: pertinent, pattern: cat$}"
ROOT_ITEM = "{what: uid, which: pertinent, number: 0}"


def findings(fields: str, *, path: bytes = b"/etc/shadow", aliases: tuple[bytes, ...] = ()) -> dict[str, Finding]:
    head = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(one) for one in loaded.errors]
    seen = FileObservation(CAT, path, FileAction.OPEN, FileAction.OPEN, 1, aliases=aliases)
    return {one.stage: one for one in explain(loaded.recipes[0], seen, KnownLineage())}


def test_every_stage_is_there_in_order() -> None:
    assert ["bases", "file_actions", "arbitrary", "times"] == list(findings("base: shadow"))


def test_patterns_and_names() -> None:
    fields = "bases: [{dir: /etc, base: shadow}, {base: passwd}, {dir: /etc, regex: '^sh'}]"
    found = findings(fields, aliases=(b"/tmp/passwd",))["bases"]
    assert found.passed
    assert (
        "{base: 'shadow', dir: '/etc'} holds for '/etc/shadow'",
        "{base: 'passwd'} holds for '/tmp/passwd'",
        "{dir: '/etc', regex: '^sh'} holds for '/etc/shadow'",
    ) == found.details
    other = findings(fields, path=b"/etc/group")["bases"]
    assert other.passed is False
    assert "{base: 'passwd'} does not hold for '/etc/group'" in other.details


def test_actions() -> None:
    found = findings("file_actions: [open, write], file_actions_how: all")["file_actions"]
    assert found.passed is False
    assert ("needs all of open write", "the process did open") == found.details


@pytest.mark.parametrize(
    ("group", "passed", "verdict", "item"),
    [
        (
            "{items: [{what: uid, which: irrelevant, number: 1000}]}",
            False,
            "irrelevant: an irrelevant item matches",
            "irrelevant uid equal 1000: matches (known: '1000')",
        ),
        (
            f"{{how: OR, items: [{CAT_ITEM}, {ROOT_ITEM}]}}",
            True,
            "pertinent: a pertinent item matches",
            "pertinent uid equal 0: does not match (known: '1000')",
        ),
        (
            f"{{how: AND, items: [{CAT_ITEM}, {ROOT_ITEM}]}}",
            False,
            "irrelevant: not all items match",
            "pertinent exe pattern 'cat$': matches (known: '/usr/bin/cat')",
        ),
        (
            "{which: irrelevant, items: [{what: parent_exe, which: irrelevant, pattern: sh}]}",
            False,
            "irrelevant: its own, since no item decides",
            "irrelevant parent_exe pattern 'sh': does not match (not known)",
        ),
    ],
)
def test_groups(group: str, passed: bool, verdict: str, item: str) -> None:
    found = findings(f"arbitrary: [{group}]")["arbitrary"]
    assert passed is found.passed
    assert f"group 1 is {verdict}" == found.details[0]
    assert f"  {item}" in found.details


def test_limits_depend_on_what_happened_before() -> None:
    found = findings("times: [{kind: times_per_exe, max: 3}]")["times"]
    assert found.passed is None
    assert ("times_per_exe: at most 3",) == found.details


def test_names_cannot_steer_a_terminal() -> None:
    found = findings("base: other", path=b"/tmp/\x1b[2J\xff")["bases"]
    assert all(line.isprintable() for line in found.details)
