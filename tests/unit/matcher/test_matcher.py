from __future__ import annotations

import sys

import pytest

from raqib.matcher import KnownAncestry, Match, Matcher, prepare
from raqib.matcher.memory import Reported
from raqib.model.actions import ACTION_NAMES, FileAction, union
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.recipes.compile import CompiledSet, compile_set
from raqib.recipes.load import load_text

NOBODY = KnownAncestry()
CAT = Process(key=ProcessKey(7, 70), image=Image(b"/usr/bin/cat", (b"cat", b"/etc/shadow")))


def compiled(*recipes: str) -> CompiledSet:
    text = "".join(
        f"- {{kind: k, name: n{index}, mechanism: file_access, breed: file_access, importance: low, {fields} }}\n"
        if "mechanism" not in fields
        else f"- {{kind: k, name: n{index}, breed: file_access, importance: low, {fields} }}\n"
        for index, fields in enumerate(recipes)
    )
    loaded = load_text(text, "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    return compile_set(loaded.recipes)


def did(
    actions: str, path: bytes = b"/etc/shadow", new: str | None = None, process: Process = CAT, *aliases: bytes
) -> FileObservation:
    def parse(words: str) -> FileAction:
        return union(ACTION_NAMES[word] for word in words.split())

    news = parse(actions if new is None else new)
    return FileObservation(process, path, parse(actions), news, 1000, aliases=aliases)


def names(matches: list[Match]) -> list[str]:
    return [match.recipe.name for match in matches]


@pytest.mark.parametrize(
    ("fields", "actions", "expected"),
    [
        ("file_actions: [open, write]", "open", True),
        ("file_actions: [open, write]", "write", True),
        ("file_actions: [open, write]", "read", False),
        ("file_actions: [open, write], file_actions_how: any", "open", True),
        ("file_actions: [open, write], file_actions_how: all", "open", False),
        ("file_actions: [open, write], file_actions_how: all", "write", False),
        ("file_actions: [open, write], file_actions_how: all", "write open", True),
        ("file_actions: [open, write], file_actions_how: all", "open read write close", True),
        ("file_actions: open_related, file_actions_excl: close", "close", False),
        ("file_actions: open_related, file_actions_how: all, file_actions_excl: close", "open", True),
        ("file_actions_excl: access_related", "read write", False),
        ("file_actions_excl: access_related", "flock", True),
        ("", "fasync", True),
        ("file_actions: tamper_related", "create write fsync", False),
        ("file_actions: tamper_related", "rename", True),
        ("file_actions: read_related", "execve", True),
        ("file_actions: [read, unlink], file_actions_how: all", "execve unlink", True),
        ("mechanism: execution", "open read mmap close", False),
        ("mechanism: execution", "execve", True),
        ("mechanism: execution, file_actions: open", "open", False),
        ("mechanism: execution, file_actions: open", "execve", True),
        ("mechanism: execution, file_actions: write", "execve", False),
        ("mechanism: execution, file_actions: write", "execve write", True),
        ("mechanism: execution, file_actions: [execve, unlink], file_actions_how: all", "execve", False),
        ("mechanism: execution, file_actions: [execve, unlink], file_actions_how: all", "execve unlink", True),
        ("mechanism: env_vars", "execve", True),
        ("mechanism: env_vars", "open", False),
    ],
)
def test_actions(fields: str, actions: str, expected: bool) -> None:
    assert expected is bool(Matcher(compiled(fields)).match(did(actions), NOBODY))


def test_actions_add_up_and_match_when_they_are_complete() -> None:
    matcher = Matcher(compiled("file_actions: [open, write, close], file_actions_how: all"))
    assert matcher.match(did("open"), NOBODY) == []
    assert matcher.match(did("open write", new="write"), NOBODY) == []
    assert names(matcher.match(did("open write close", new="close"), NOBODY)) == ["n0"]
    assert matcher.match(did("open write close read", new="read"), NOBODY) == []


def test_what_is_no_news_to_a_recipe_does_not_make_it_match() -> None:
    matcher = Matcher(compiled("file_actions: open", "file_actions: read"))
    assert names(matcher.match(did("open read", new="read"), NOBODY)) == ["n1"]


def test_one_event_for_process_file_and_recipe() -> None:
    matcher = Matcher(compiled("file_actions: [open, read]", "file_actions: [read]"))
    assert names(matcher.match(did("open"), NOBODY)) == ["n0"]
    assert names(matcher.match(did("open read", new="read"), NOBODY)) == ["n1"]
    assert matcher.match(did("open read"), NOBODY) == []
    assert names(matcher.match(did("open", b"/etc/other"), NOBODY)) == ["n0"]
    again = Process(key=ProcessKey(7, 71))
    assert names(matcher.match(did("open", process=again), NOBODY)) == ["n0"]


def test_memory_survives_a_reload_and_ends_with_the_process() -> None:
    matcher = Matcher(compiled("file_actions: open"))
    assert names(matcher.match(did("open"), NOBODY)) == ["n0"]
    matcher.replace(prepare(compiled("file_actions: [open, write]", "file_actions: open")))
    assert names(matcher.match(did("open"), NOBODY)) == ["n1"]
    matcher.forget(CAT.key)
    assert names(matcher.match(did("open"), NOBODY)) == ["n0", "n1"]


def test_every_name_of_a_file_is_tried() -> None:
    rule = compiled("base: shadow")
    assert Matcher(rule).match(did("open", b"/tmp/harmless"), NOBODY) == []
    assert names(Matcher(rule).match(did("open", b"/tmp/harmless", None, CAT, b"/etc/shadow"), NOBODY)) == ["n0"]
    assert names(Matcher(rule).match(did("open", b"/etc/shadow", None, CAT, b"/tmp/harmless"), NOBODY)) == ["n0"]


def test_names_are_bytes() -> None:
    rule = compiled("regex: ^/tmp/.x$", "dir: /tmp")
    assert names(Matcher(rule).match(did("open", b"/tmp/\xffx"), NOBODY)) == ["n0", "n1"]


def test_arbitrary_and_times_are_asked_in_this_order() -> None:
    rule = compiled(
        "file_actions: open, times: [{kind: times_per_host, max: 1}], arbitrary: [{items: [{what: exe, pattern: cat}]}]"
    )
    matcher = Matcher(rule)
    dog = Process(key=ProcessKey(8, 80), image=Image(b"/usr/bin/dog"))
    assert matcher.explain(did("open", process=dog), NOBODY, "n0") != "bases"
    assert matcher.match(did("open", process=dog), NOBODY) == []
    (match,) = matcher.match(did("open"), NOBODY)
    assert match.note == "last one for this host"
    assert matcher.match(did("open", b"/etc/passwd"), NOBODY) == []
    assert matcher.explain(did("open", process=dog), NOBODY, "n0") == "arbitrary"
    assert matcher.explain(did("open", b"/etc/passwd"), NOBODY, "n0") == "times"


def test_explain_names_the_stage_and_counts_nothing() -> None:
    matcher = Matcher(compiled("file_actions: open, base: shadow, times: [{kind: times_per_host, max: 1}]"))
    assert matcher.explain(did("open", b"/etc/x"), NOBODY, "n0") == "bases"
    assert matcher.explain(did("read"), NOBODY, "n0") == "file_actions"
    for _ in range(3):
        assert matcher.explain(did("open"), NOBODY, "n0") is None
    assert names(matcher.match(did("open"), NOBODY)) == ["n0"]


def test_many_recipes_answer_in_their_order() -> None:
    matcher = Matcher(compiled(*(["base: shadow"] * 3 + ["base: other"] + ["dir: /etc"])))
    assert names(matcher.match(did("open"), NOBODY)) == ["n0", "n1", "n2", "n4"]


def test_the_memory_is_bounded() -> None:
    reported = Reported(capacity=4)
    first, second, third = ProcessKey(1, 1), ProcessKey(2, 2), ProcessKey(3, 3)
    for process in (first, second, third):
        reported.add(process, b"/a", "r")
        reported.add(process, b"/b", "r")
    assert len(reported) == 4
    assert (first, b"/b", "r") not in reported
    assert (second, b"/a", "r") in reported
    reported.forget(third)
    assert len(reported) == 2


def test_who_floods_the_memory_pushes_out_its_own() -> None:
    reported = Reported(capacity=100)
    one, flood = ProcessKey(1, 1), ProcessKey(2, 2)
    reported.add(one, b"/one", "recipe")
    for number in range(1000):
        reported.add(flood, b"/%d" % number, "recipe")
    assert (one, b"/one", "recipe") in reported
    assert (flood, b"/999", "recipe") in reported
    assert (flood, b"/0", "recipe") not in reported
    assert 100 == len(reported)


def test_the_memory_does_not_keep_long_names() -> None:
    reported = Reported()
    name = b"/" + b"x" * 4000
    references = sys.getrefcount(name)
    reported.add(ProcessKey(1, 1), name, "recipe")
    assert references == sys.getrefcount(name)
