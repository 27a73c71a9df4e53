"""When an exception covers a match: all items, its recipes, its end; and never for who only looks like it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from raqib.exceptions.compiled import CompiledExceptions
from raqib.matcher.ancestry import KnownAncestry
from raqib.matcher.facts import Facts
from raqib.model.process import Image, Namespaces, Process
from raqib.model.recipe import RecipeInfo
from raqib.model.where import Where
from tests.unit.exceptions.conftest import HOST, RECIPE, RUNNER, covering, covers, facts, rules

UNIT = r"{what: unit, pattern: ^ci-runner\.service$}"
EXE = "{what: exe, pattern: ^/tmp/build-7/tool$}"


def test_all_items_have_to_hold() -> None:
    assert covers(f"{UNIT}, {EXE}")
    assert not covers(f"{UNIT}, {{what: exe, pattern: ^/usr/}}")
    assert not covers(UNIT, facts(replace(RUNNER, where=Where(unit="ssh.service"))))
    assert not covers(UNIT, facts(replace(RUNNER, where=None)))


@pytest.mark.parametrize(
    ("recipe", "meant"),
    [
        ("exec_from_tmp", True),
        ("exec_*", True),
        ("kind:odd_exec", True),
        ("tactic:execution", True),
        ("exec", False),
        ("kind:exec_from_tmp", False),
    ],
)
def test_which_recipes_it_is_about(recipe: str, meant: bool) -> None:
    assert meant == covers(UNIT, recipe=recipe)


def test_a_negated_item_needs_a_fact_that_is_known() -> None:
    assert covers(f"{UNIT}, {{what: parent_exe, which: irrelevant, pattern: sshd}}")
    assert not covers(f"{UNIT}, {{what: parent_exe, which: irrelevant, pattern: make}}")
    assert not covers(f"{UNIT}, {{what: container, which: irrelevant, pattern: x}}")
    assert not covers(f"{UNIT}, {{what: arg, index: 5, which: irrelevant, pattern: x}}")


def test_it_ends_at_its_moment_without_being_read_again() -> None:
    text = f"- {{recipe: '*', reason: r, until: '1970-01-01T00:01:00Z', when: [{UNIT}]}}"
    assert covering(text, now_s=59.9) is not None
    assert covering(text, now_s=60.0) is None


def test_no_exception_covers_what_protects_raqib() -> None:
    own = RecipeInfo(kind="agent_tampering", name="raqib_stopped", mechanism="x", importance="high", builtin=True)
    text = f"- {{recipe: '*', reason: r}}\n- {{recipe: 'kind:agent_tampering', reason: r, when: [{UNIT}]}}"
    assert covering(text, recipe=own) is None
    assert covering(text, recipe=replace(own, builtin=False)) is not None


class TestWhoLooksLikeIt:
    def test_paths_in_a_mount_namespace_of_its_own(self) -> None:
        apart = replace(RUNNER, namespaces=Namespaces(mnt_ns=HOST + 1))
        for path in (EXE, "{what: path, pattern: ^/tmp/build-}", "{what: parent_exe, pattern: make}"):
            assert covers(path)
            assert not covers(path, facts(apart))
            assert not covers(f"{path}, {{what: uid, number: 990}}", facts(apart))
            # Nobody gets into a unit or container by itself: a service with a private /tmp may be named.
            assert covers(f"{path}, {UNIT}", facts(apart))

    def test_what_is_not_known_of_namespaces_is_not_the_hosts(self) -> None:
        assert not covers(EXE, facts(replace(RUNNER, namespaces=Namespaces())))
        assert not covers(EXE, host=0)

    def test_a_place_that_is_excluded_is_no_place(self) -> None:
        apart = facts(replace(RUNNER, namespaces=Namespaces(mnt_ns=HOST + 1)))
        assert not covers(f"{EXE}, {{what: unit, which: irrelevant, pattern: ssh}}", apart)

    def test_a_name_whose_end_is_not_known(self) -> None:
        path = f"{UNIT}, {{what: path, pattern: ^/tmp/build-}}"
        assert covers(path)
        assert not covers(path, facts(as_given=True))

    def test_names_that_it_gives_itself(self) -> None:
        text = f"{UNIT}, {EXE}"
        other = Image(b"/tmp/attack", (b"/tmp/build-7/tool", b"--fast"))
        assert not covers(text, facts(replace(RUNNER, image=other, cwd=b"/tmp/build-7", comm=b"tool")))


def test_the_first_that_holds_is_counted() -> None:
    text = f"- {{recipe: other, reason: a}}\n- {{recipe: '*', reason: b, when: [{UNIT}]}}\n- {{recipe: '*', reason: c}}"
    found = covering(text)
    assert found is not None
    assert ("b", "mine.yaml:2") == (found.reason, found.source)


def test_a_recipe_that_changed_is_judged_anew() -> None:
    compiled = CompiledExceptions(rules("- {recipe: 'kind:odd_exec', reason: r}"), HOST)
    assert compiled.covering(RECIPE, facts()) is not None
    assert compiled.covering(replace(RECIPE, kind="other"), facts()) is None


def test_many_cost_what_few_cost() -> None:
    """One expression finds the candidates: of a thousand, only the one that fits is looked at."""
    text = "\n".join(
        f"- {{recipe: '*', reason: r, when: [{{what: unit, pattern: ^s{number}\\.service$}}, {EXE}]}}"
        for number in range(1000)
    )
    many = CompiledExceptions(rules(text), HOST)
    many.prepare([RECIPE])
    looked: list[Process] = []

    class Counted(Facts):
        def texts(self, what: str) -> list[bytes]:
            if what == "exe":
                looked.append(self.process)
            return super().texts(what)

    process = replace(RUNNER, where=Where(unit="s777.service"))
    found = many.covering(RECIPE, Counted(process, KnownAncestry()))
    assert found is not None
    assert 778 == found.line
    assert 1 == len(looked)
