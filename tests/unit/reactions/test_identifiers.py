"""Names that nothing defines, by scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raqib.model.recipe import Reaction
from raqib.reactions.broker import STUBS
from raqib.reactions.check import check_reactions
from raqib.reactions.identifiers import GLOBALS, async_process, unknown_names
from raqib.reactions.worker.engine import Engine

CLEAN = [
    "function process(data) { Info(data.fetch, 'fetch(', `require ${name} KilCurrent()`); /* fetch() */ // setTimeout",
    "function process() { for (const one of [1]) Info(one); for (let i = 0, n = 2; i < n; i++) Info(i, n) }",
    "function process({ file: { file: path }, process: { pid = 1 } = {}, ...rest }) { Info(path, pid, rest) }",
    "function process([a, [b]] = []) { Info(a, b) }",
    "const process = (data) => { const { fetch } = data; fetch() }",
    "var process = data => later(data); function later(data) { return arguments.length + early; var early }",
    "function process() { if (true) { var a = 1; function inner() {} } Info(a, inner) }",
    "function process() { try { x = 1; Info(x) } catch { } try { } catch ({ message }) { Info(message) } }",
    "function process() { if (typeof fetch === 'function') fetch('x') }",
    "function process() { return eval('setTimeout(1)') }; unknown",
    "function process(data) { with (data) { Info(whatever) } }",
    "function process() { } class A extends Map { #p = 1; static n = A; get p() { return 1 } static { Info(A) } }",
    "const f = function own(n) { return n ? own(n - 1) : 0 }; function process() { f(3) }",
    "function process() { outer: for (;;) { break outer } }",
    "function process() { switch (uuid) { case kind: let a = 1; default: Info(a) } }",
    "globalThis.counter = 1; this.other = 2; function process() { counter++; Info(other) }",
    "for (found of [1]) ; ({ a: deep, b } = { a: 1, b: 2 }); function process() { Info(found, deep, b) }",
    "function process() { return { fetch: 1, require() {}, get window() { return 1 }, [name]: undefined, NaN } }",
    "function process() { const \\u0061b = 1; Info(ab, new.target) }",
    "async function* g() { for await (const x of []) yield x } function process() { g() }",
    "function process() { console.log(Infinity, /fetch()/u, Temporal, data) }",
    "let name = 1, data = 2; function process() { Info(name, data) }",
    "function process() { Info(a => a, (b, { c }) => [b, c], ([d]) => { var e = d; return e }) }",
]


@pytest.mark.parametrize("code", [code.replace("// setTimeout", "}") for code in CLEAN])
def test_nothing_is_said_of_what_is_defined(code: str) -> None:
    assert [] == unknown_names(code)


def test_the_engine_accepts_what_is_clean() -> None:
    reactions = [Reaction("js", code.replace("// setTimeout", "}").replace("; unknown", "")) for code in CLEAN]
    assert [None] * len(CLEAN) == check_reactions(reactions)


@pytest.mark.parametrize(
    ("code", "line", "column", "said"),
    [
        ("function process() {\n  KilCurrent();\n}", 2, 3, "found KilCurrent; did you mean KillCurrent?"),
        ("function process() { info(1) }", 1, 22, "found info; did you mean Info?"),
        ("function process() { fetch('x') }", 1, 22, "found fetch; reactions have no network"),
        (
            "const fs = (() => { try { return require('fs') } catch { } })(); function process() { fs }",
            1,
            34,
            "no modules",
        ),
        ("function process() { setTimeout(() => {}, 1) }", 1, 22, "no timers"),
        ("function process() { { let a = 1 } return a }", 1, 43, "found a"),
        ("function process() { if (0) undefinedd.x.fetch }", 1, 29, "found undefinedd; did you mean undefined?"),
        (
            "function process() { return { fileName } }; const filename = 1",
            1,
            31,
            "did you mean filename?",
        ),
        ("function process() { `${nothing}` }", 1, 25, "found nothing"),
        ("function process() { counter += 1 }", 1, 22, "found counter"),
        ("const f = () => arguments; function process() { }", 1, 17, "found arguments"),
        ("function process() { '\U0001f600é'; nope() }", 1, 29, "found nope"),
        ("function process() { return class extends Bse {} }", 1, 43, "found Bse"),
        ("function process({ a = wrong }) { }", 1, 24, "found wrong"),
    ],
)
def test_what_nothing_defines_is_told(code: str, line: int, column: int, said: str) -> None:
    (problem,) = unknown_names(code)
    assert (line, column) == (problem.line, problem.column)
    assert said in problem.message


def test_each_name_is_told_once_and_not_too_many() -> None:
    assert ["a", "b"] == [problem.message[-1] for problem in unknown_names("function process() { a; b; a() }")]
    many = ";".join(f"unknown{number}" for number in range(500))
    assert 20 == len(unknown_names(many))


def test_the_names_are_those_of_the_engine() -> None:
    isolate = Engine(STUBS, 64 << 20, lambda name, payload: "null").isolate()
    try:
        found = str(isolate._runtime.eval("Object.getOwnPropertyNames(globalThis).join(' ')")).split()
    finally:
        isolate.close()
    own = {item for item in found if not item.startswith("__raqib_")}
    assert own | {"kind", "name", "uuid", "data"} == GLOBALS


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("async function process() {}", (1, 16)),
        ("\nconst process = async (data) => {}", (2, 7)),
        ("var process = async function () {}", (1, 5)),
        ("function process() { async function process() {} }", None),
        ("const process = () => async () => {}", None),
        ("async function other() {} function process() { other() }", None),
    ],
)
def test_an_async_process_is_told(code: str, place: tuple[int, int] | None) -> None:
    problem = async_process(code)
    assert place == (None if problem is None else (problem.line, problem.column))
    if problem is not None:
        assert "nothing waits for its promise" in problem.message


UNREADABLE = [
    "(" * 20000,
    "let x = ;",
    "a" * (2 << 20),
    "[" * 5000 + "]" * 5000,
    f"let {'[' * 3000}a{']' * 3000} = b",
    "\ud800",
    "",
]


@pytest.mark.parametrize("code", UNREADABLE, ids=range(len(UNREADABLE)))
def test_code_that_cannot_be_looked_at_costs_nothing(code: str) -> None:
    assert [] == unknown_names(code)
    assert async_process(code) is None


@given(st.text(alphabet=st.sampled_from(list("ab(){}[]=>;,.:'`$\\\n/*+ ")) | st.characters(), max_size=60))
def test_any_text_is_looked_at(code: str) -> None:
    unknown_names(code)
    async_process(code)
