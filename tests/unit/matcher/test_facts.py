"""Facts of where a process runs, and of the file of an event."""

from __future__ import annotations

import pytest

from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.arbitrary import compile_item
from raqib.matcher.facts import Facts
from raqib.model.actions import FileAction
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.where import Where
from raqib.recipes.load import load_text

RUNNER = Process(
    ProcessKey(77, 7),
    image=Image(b"/usr/bin/tar", (b"tar", b"-x", b"-f", b"build.tar")),
    user="ci",
    cwd=b"/srv/ci",
    where=Where("ci.service", "0123abcd", "runner", "registry/ci:1", "runner-0", "build", {"app": "ci"}),
)
PARENT = Process(ProcessKey(50, 5), image=Image(b"/usr/bin/make", (b"make", b"all")))
SEEN = FileObservation(
    RUNNER, b"/srv/ci/out", FileAction.OPEN, FileAction.OPEN, timestamp_ns=1, aliases=(b"/tmp/harmless",)
)
FACTS = Facts(RUNNER, KnownAncestry([PARENT]), lambda: 0, file=SEEN)


def matches(item: str, facts: Facts = FACTS) -> bool:
    recipe = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, "
    loaded = load_text(f"{recipe}arbitrary: [{{how: AND, items: [{item}]}}]}}", "test.yaml")
    assert () == loaded.errors
    [item_] = loaded.recipes[0].groups[0].items
    return compile_item(item_)(facts)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("unit", "ci.service"),
        ("container", "0123abcd"),
        ("container", "runner"),
        ("image", "registry/ci:1"),
        ("pod", "runner-0"),
        ("namespace", "build"),
        ("label", "app=ci"),
        ("user", "ci"),
        ("cwd", "/srv/ci"),
        ("path", "/srv/ci/out"),
        ("parent_cmdline", "make all"),
        ("arg", "-f"),
    ],
)
def test_what_is_known_is_found(what: str, value: str) -> None:
    assert matches(f"{{what: {what}, pattern: '^{value}$'}}")
    assert not matches(f"{{what: {what}, pattern: '^other$'}}")


@pytest.mark.parametrize("what", ["unit", "container", "image", "pod", "namespace", "label", "user", "cwd", "path"])
def test_what_is_not_known_matches_nothing(what: str) -> None:
    nothing = Facts(Process(ProcessKey(1, 1)), KnownAncestry(), lambda: 0)
    assert not matches(f"{{what: {what}, pattern: .*}}", nothing)


def test_the_path_is_what_was_reached_not_what_was_named() -> None:
    assert not matches("{what: path, pattern: harmless}")


def test_one_argument_by_its_number() -> None:
    assert matches("{what: arg, index: 3, pattern: ^build.tar$}")
    assert matches("{what: arg, index: 0, pattern: ^tar$}")
    assert not matches("{what: arg, index: 1, pattern: tar}")
    assert not matches("{what: arg, index: 4, pattern: .*}")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("{what: exe, index: 1, pattern: x}", "expected index only beside what: arg, found it beside exe"),
        ("{what: arg, index: last, pattern: x}", "expected a whole number from 0 to 65535, found 'last'"),
    ],
)
def test_an_index_is_a_number_of_an_argument(item: str, said: str) -> None:
    recipe = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, "
    loaded = load_text(f"{recipe}arbitrary: [{{how: AND, items: [{item}]}}]}}", "test.yaml")
    assert [said] == [error.message for error in loaded.errors]
