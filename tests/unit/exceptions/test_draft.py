"""A draft covers the event that it is from, and nothing that an attacker writes into it becomes YAML."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from raqib.exceptions.compiled import CompiledExceptions
from raqib.exceptions.draft import as_yaml, coverage, draft
from raqib.exceptions.load import load_text
from raqib.matcher.facts import Facts
from raqib.model.process import Image, Process, ProcessKey
from raqib.model.where import Where
from tests.unit.exceptions.conftest import HOST, RECIPE, RUNNER, facts


def drafted(about: Facts, recipe: str = RECIPE.name) -> str:
    return as_yaml(draft(recipe, about, reason="r", until=""))


def test_it_begins_with_what_cannot_be_claimed() -> None:
    rule = draft("exec_from_tmp", facts(), reason="r", until="2027-01-31")
    assert ["unit", "exe", "parent_exe", "path"] == [item.what for item in rule.when]
    inside = replace(RUNNER, where=Where(unit="docker.service", container="0123ab", container_name="web"))
    assert ("container", "^0123ab$") == (
        (first := draft("x", facts(inside), reason="r", until="").when[0]).what,
        first.pattern,
    )
    nowhere = draft("x", facts(replace(RUNNER, where=None)), reason="r", until="")
    assert ("uid", (990,)) == (nowhere.when[0].what, nowhere.when[0].numbers)


def test_it_reads_well() -> None:
    assert drafted(facts()) == (
        "- recipe: exec_from_tmp\n"
        "  when:\n"
        "    - {what: unit, pattern: ^ci-runner\\.service$}\n"
        "    - {what: exe, pattern: ^/tmp/build-7/tool$}\n"
        "    - {what: parent_exe, pattern: ^/usr/bin/make$}\n"
        "    - {what: path, pattern: ^/tmp/build-7/tool$}\n"
        "  reason: r\n"
    )


@given(path=st.binary(min_size=1, max_size=40), unit=st.text(min_size=1, max_size=20))
def test_whatever_the_names_it_covers_its_event_and_no_other(path: bytes, unit: str) -> None:
    process = Process(ProcessKey(7, 7), image=Image(b"/" + path), where=Where(unit=unit))
    about = facts(process, b"/" + path)
    loaded = load_text(drafted(about), "draft")
    assert [] == [str(diagnostic) for diagnostic in loaded.diagnostics]
    compiled = CompiledExceptions(loaded.rules, HOST)
    assert compiled.covering(RECIPE, about) is not None
    assert compiled.covering(RECIPE, facts(process, b"/" + path + b"x")) is None


@given(st.text(min_size=1, max_size=30))
def test_whatever_the_recipe_is_called(name: str) -> None:
    loaded = load_text(drafted(facts(), name), "draft")
    compiled = CompiledExceptions(loaded.rules, HOST)
    if name.strip():
        assert compiled.covering(replace(RECIPE, name=name), facts()) is not None
    assert compiled.covering(replace(RECIPE, name=name + "x"), facts()) is None


def test_what_it_would_have_covered() -> None:
    rule = draft("exec_from_tmp", facts(), reason="r", until="")
    events = [(facts(), 1), (facts(path=b"/tmp/other"), 3), (facts(replace(RUNNER, where=None)), 1)]
    found = coverage(rule, RECIPE, events, HOST)
    assert (5, 1) == (found.of, found.covered)
    assert {"unit": 2, "exe": 1, "parent_exe": 1, "path": 4} == found.without
