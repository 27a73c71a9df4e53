from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import or_

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raqib.model.actions import ACTION_MACROS, ALL_ACTIONS, NO_ACTIONS, FileAction
from raqib.model.recipe import RecipeInfo
from raqib.recipes.compile import CompiledSet, ancestor_directories, compile_set
from raqib.recipes.document import Scalar
from raqib.recipes.literals import begins_with, pattern_literals
from raqib.recipes.load import load_text
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import FilePart, Pattern, RecipeSpec

READ, WRITE, EXECVE = FileAction.READ, FileAction.WRITE, FileAction.EXECVE


def recipe(
    *patterns: Pattern, name: str = "n", actions: FileAction = READ, mechanism: str = "file_access"
) -> RecipeSpec:
    info = RecipeInfo(kind="k", name=name, mechanism=mechanism, importance="low")
    return RecipeSpec(info, mechanism, mechanism, file=FilePart(actions, False, patterns))  # type: ignore[arg-type]


def interest_pre(compiled: CompiledSet, path: bytes) -> FileAction:
    """What the kernel would say: hashes of the name, its last component, its directory, and those above it."""
    directory, _, base = path.rpartition(b"/")
    above = set(ancestor_directories(path))
    holds: dict[str, Callable[[bytes], bool]] = {
        "exact": lambda value: value == path,
        "base": lambda value: value == base,
        "dir": lambda value: value == (directory or b"/"),
        "prefix": lambda value: value in above,
    }
    hits = (literal.actions for literal in compiled.literals if holds[literal.kind](literal.value))
    return reduce(or_, hits, compiled.residual)


COMPONENTS = st.sampled_from(
    [b"etc", b"shadow", b"a", b"b", b"tmp", b"x", b"", b"a\n", b"\xff", "\ufffd".encode(), "é".encode(), b".ssh", b"1"]
)
PATHS = st.lists(COMPONENTS, min_size=0, max_size=5).map(lambda parts: b"/" + b"/".join(parts)) | st.binary(
    max_size=12
).map(lambda raw: b"/" + raw)
ATOMS = st.sampled_from(
    ["/etc/", "/", "etc", "shadow", "a", "b", "tmp", "x", r"\.ssh", ".", "[ab]", "[^/]", r"\d", r"\w", "é", "\\", "[.]",
     r"[\.]", "[]a]", r"\b", "^", "$", r"\A", r"\z", "\ufffd", "(?i)", "(?i:A)", "[[:alpha:]]", r"\Qa.b\E", r"\x61",
     "(?s)", "(?m)", "(?-s)", "\n", r"\n", "{", "]", "}", "(?P<n>a)"]
)  # fmt: skip
QUANTIFIERS = st.sampled_from(["", "", "", "", "?", "*", "+", "*?", "+?", "??", "{2}", "{0,1}", "**"])


def joined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.tuples(st.sampled_from(["(", "(?:"]), inner, st.just(")"), QUANTIFIERS).map("".join)
    either = st.lists(inner, min_size=1, max_size=3).map("|".join)
    return st.lists(inner | group, min_size=1, max_size=4).map("".join) | either


EXPRESSIONS = st.recursive(st.tuples(ATOMS, QUANTIFIERS).map("".join), joined, max_leaves=10)
EXPRESSIONS = EXPRESSIONS | st.tuples(st.sampled_from(["^", "^/", ""]), EXPRESSIONS, st.sampled_from(["", "$"])).map(
    "".join
)


def compiles(source: str) -> bool:
    reader = Reader("", "")
    return reader.expression(At(Scalar(source, 1), "$")) is not None


PATTERNS = st.builds(
    Pattern,
    st.none() | st.sampled_from([b"shadow", b"a", b"x", b"\xff", b"a/b"]),
    st.none() | st.sampled_from([b"/", b"/etc", b"/etc/a", b"/tmp", b"relative"]),
    st.none() | EXPRESSIONS.filter(compiles),
)


@given(st.lists(PATTERNS, min_size=1, max_size=3), PATHS)
@settings(max_examples=400, deadline=None)
def test_the_prefilter_covers_the_interest(patterns: list[Pattern], path: bytes) -> None:
    compiled = compile_set([recipe(*patterns), recipe(patterns[0], name="m", actions=WRITE)])
    wanted = compiled.interest(path)
    assert wanted == wanted & interest_pre(compiled, path)


@given(st.sampled_from(["/etc/", "/tmp/", "/"]), EXPRESSIONS, st.sampled_from(["", "/shadow$", "/a$", "$"]), st.data())
@settings(max_examples=400, deadline=None)
def test_the_prefilter_covers_what_anchored_expressions_find(
    start: str, middle: str, end: str, data: st.DataObject
) -> None:
    source = "^" + start + middle + end
    if not compiles(source):
        return
    compiled = compile_set([recipe(Pattern(regex=source))])
    for _ in range(5):
        path = data.draw(PATHS)
        wanted = compiled.interest(path)
        assert wanted == wanted & interest_pre(compiled, path)


LITERALS = [
    (Pattern(b"shadow", b"/etc"), [("exact", b"/etc/shadow")]),
    (Pattern(b"core", b"/"), [("exact", b"/core")]),
    (Pattern(b"shadow"), [("base", b"shadow")]),
    (Pattern(b"shadow", None, "^/etc"), [("base", b"shadow")]),
    (Pattern(b"shadow", b"/etc", "x"), [("base", b"shadow")]),
    (Pattern(None, b"/etc"), [("dir", b"/etc")]),
    (Pattern(None, b"/etc", "shadow"), [("prefix", b"/etc")]),
    (Pattern(None, b"/etc", "^ssh/"), [("prefix", b"/etc/ssh")]),
    (Pattern(None, b"/etc", "^shadow$"), [("exact", b"/etc/shadow")]),
    (Pattern(None, b"/etc", "(^|/)shadow$"), [("exact", b"/etc/shadow"), ("base", b"shadow")]),
    (Pattern(None, b"/", "."), None),
    (Pattern(None, b"/", "^etc/"), [("prefix", b"/etc")]),
    (Pattern(None, None, "^/etc/shadow$"), [("exact", b"/etc/shadow")]),
    (Pattern(None, None, r"^/etc/shadow\.old$"), [("exact", b"/etc/shadow.old")]),
    (Pattern(None, None, "^/etc/ssh/.*"), [("prefix", b"/etc/ssh")]),
    (Pattern(None, None, "^/etc/x?"), [("prefix", b"/etc")]),
    (Pattern(None, None, "^/etcx?/a"), [("prefix", b"/etcx"), ("prefix", b"/etc")]),
    (Pattern(None, None, "^/etc"), None),
    (Pattern(None, None, "^/(tmp|dev/shm)/"), [("prefix", b"/tmp"), ("prefix", b"/dev/shm")]),
    (Pattern(None, None, "^/a/|b"), None),
    (Pattern(None, None, "^/a/|/b$"), [("prefix", b"/a"), ("base", b"b")]),
    (Pattern(None, None, "(?i)^/etc/"), None),
    (Pattern(None, None, "^/proc/[0-9]+/mem$"), [("base", b"mem")]),
    (Pattern(None, None, "/shadow$"), [("base", b"shadow")]),
    (Pattern(None, None, "shadow$"), None),
    (Pattern(None, None, "/(id_rsa|id_dsa)$"), [("base", b"id_rsa"), ("base", b"id_dsa")]),
    (Pattern(None, None, "/id_(a|b)(_k)?$"), [("base", name) for name in (b"id_a_k", b"id_a", b"id_b_k", b"id_b")]),
    (Pattern(None, None, "shadow"), None),
    (Pattern(None, None, "^/etc/\ufffd$"), None),
    (Pattern(None, None, "^/a/(b|c|d|e)(b|c|d|e)(b|c|d|e)(b|c|d|e)$"), [("prefix", b"/a")]),
    (Pattern(None, None, "^/a/x(" + "|".join(f"y{index}" for index in range(99)) + ")$"), [("prefix", b"/a")]),
    (Pattern(), None),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "expected"), LITERALS)
def test_literals_are_chosen_well(pattern: Pattern, expected: list[tuple[str, bytes]] | None) -> None:
    assert expected == pattern_literals(pattern)


MATCHES = [
    (Pattern(b"shadow", b"/etc"), b"/etc/shadow", True),
    (Pattern(b"shadow", b"/etc"), b"/etc/x/shadow", False),
    (Pattern(b"shadow", b"/"), b"/shadow", True),
    (Pattern(b"shadow"), b"/a/b/shadow", True),
    (Pattern(b"shadow"), b"/a/shadow/b", False),
    (Pattern(None, b"/etc"), b"/etc/x", True),
    (Pattern(None, b"/etc"), b"/etc/x/y", False),
    (Pattern(None, b"/etc"), b"/etc", False),
    (Pattern(None, b"/"), b"/etc", True),
    (Pattern(None, b"/etc", "^a/b$"), b"/etc/a/b", True),
    (Pattern(None, b"/etc", "^/a"), b"/etc/a", False),
    (Pattern(None, b"/etc", "etc"), b"/etc/a", False),
    (Pattern(None, b"/etc", "."), b"/etcetera/a", False),
    (Pattern(None, b"/", "^etc"), b"/etc", True),
    (Pattern(b"b", b"/etc", "^a"), b"/etc/a/b", True),
    (Pattern(b"c", b"/etc", "^a"), b"/etc/a/b", False),
    (Pattern(b"b", None, "^/etc/a"), b"/etc/a/b", True),
    (Pattern(b"b", None, "^/usr"), b"/etc/a/b", False),
    (Pattern(None, None, "tc/s"), b"/etc/shadow", True),
    (Pattern(None, None, "^/tmp/.*[.]sh$"), b"/tmp/a\nb.sh", True),
    (Pattern(None, None, "^/tmp/a.b$"), b"/tmp/a\xffb", True),
    (Pattern(None, None, "^/tmp/a$"), b"/tmp/a\n", False),
    (Pattern(), b"/anything", True),
]


@pytest.mark.parametrize(("pattern", "path", "expected"), MATCHES)
def test_patterns(pattern: Pattern, path: bytes, expected: bool) -> None:
    assert (READ if expected else NO_ACTIONS) == compile_set([recipe(pattern)]).interest(path)


def test_many_expressions_are_told_apart() -> None:
    compiled = compile_set(recipe(Pattern(regex=f"/x{index}y"), name=f"n{index}") for index in range(500))
    assert {321} == compiled.candidates(b"/a/x321y")
    assert set() == compiled.candidates(b"/a/x321")


def test_several_recipes_add_up() -> None:
    compiled = compile_set([recipe(Pattern(b"a")), recipe(Pattern(None, b"/etc"), name="m", actions=WRITE)])
    assert compiled.interest(b"/etc/a") == READ | WRITE
    assert compiled.wanted == READ | WRITE
    assert compiled.residual == NO_ACTIONS


def test_what_is_residual_is_not_listed_again() -> None:
    compiled = compile_set([recipe(), recipe(Pattern(b"a"), name="m")])
    assert (compiled.residual, compiled.literals) == (READ, ())


HEAD = "- {kind: k, name: n, breed: execution, importance: low, "


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("mechanism: execution", EXECVE),
        ("mechanism: env_vars", EXECVE),
        ("mechanism: execution, file_actions: open", EXECVE),
        ("mechanism: execution, file_actions: [open, write]", EXECVE),
        ("mechanism: execution, file_actions: [unlink, execve], file_actions_how: all", EXECVE | FileAction.UNLINK),
        ("mechanism: execution, file_actions: write", EXECVE | WRITE),
        ("mechanism: file_access", ALL_ACTIONS),
        ("mechanism: file_access, file_actions: modify_related", ACTION_MACROS["modify_related"]),
        ("mechanism: file_access, file_actions: any, file_actions_excl: execve", ALL_ACTIONS & ~EXECVE),
    ],
)
def test_wanted(fields: str, wanted: FileAction) -> None:
    loaded = load_text(HEAD + fields + "}", "test.yaml")
    assert wanted == compile_set(loaded.recipes).wanted


@pytest.mark.parametrize(("fields", "count"), [("enabled: no", 0), ("mode: 'off'", 0), ("mode: shadow", 1), ("", 1)])
def test_only_what_is_enabled_is_compiled(fields: str, count: int) -> None:
    loaded = load_text(HEAD + "mechanism: execution, " + fields + "}", "test.yaml")
    assert len(loaded.recipes) == 1
    assert count == len(compile_set(loaded.recipes).rules)


def test_environment_is_asked_for_only_where_a_recipe_tests_it() -> None:
    text = HEAD + "mechanism: env_vars, arbitrary: [{items: [{what: %s, pattern: x}]}]}"
    assert compile_set(load_text(text % "parent_envs", "").recipes).wants_envs
    assert not compile_set(load_text(text % "exe", "").recipes).wants_envs


def test_sets_that_are_needed_whole_are_residual_as_a_whole() -> None:
    text = HEAD + "mechanism: %s, file_actions: %s, file_actions_how: %s}"
    every = load_text(text % ("file_access", "[execve, unlink]", "all"), "").recipes
    one = load_text(text % ("file_access", "[read, write]", "any"), "").recipes
    assert compile_set(every).residual_sets == (EXECVE | FileAction.UNLINK,)
    assert compile_set(one).residual_sets == (READ, WRITE)


def test_a_set_does_not_hide_a_literal() -> None:
    text = HEAD + "mechanism: file_access, file_actions: [execve, unlink], file_actions_how: all}"
    (every,) = load_text(text, "").recipes
    compiled = compile_set([every, recipe(Pattern(b"log"), name="m", actions=FileAction.UNLINK)])
    assert [tuple(literal) for literal in compiled.literals] == [("base", b"log", FileAction.UNLINK)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("^LD_PRELOAD=", True),
        ("^LD_(PRELOAD|AUDIT)=(.*[: ])?/tmp/", True),
        ("^LD_A|^LD_B", True),
        ("^LD_A|^B", False),
        ("^LD_A|LD_B", False),
        ("LD_", False),
        ("^L", False),
        ("^(LD_)?", False),
        ("(?i)^LD_", False),
        ("^LD_*", False),
        ("", False),
    ],
)
def test_how_an_expressions_finds_begin(source: str, *, expected: bool) -> None:
    assert expected == begins_with(source, "LD_")
