"""The engine and its prelude, with a host that only records."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from raqib.model.event import Event, FileInfo, Metadata, encode
from raqib.reactions.protocol import Check, Ended, Execute, Go, HelperStub
from raqib.reactions.worker.engine import Engine

STUBS = (
    HelperStub("AskNumber", "-1"),
    HelperStub("AskText", '""'),
    HelperStub("AskNan", "NaN"),
    HelperStub("AskObject", "null"),
)


class Host:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.answer: Callable[[str, str], str] = lambda name, payload: '[true,0,""]'

    def __call__(self, name: str, payload: str) -> str:
        self.calls.append((name, payload))
        return '[true,true,""]' if name in ("info", "warn", "error") else self.answer(name, payload)

    @property
    def logged(self) -> list[str]:
        return [payload for name, payload in self.calls if name in ("info", "warn", "error")]


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def run(host: Host) -> Callable[..., Ended]:
    engine = Engine(STUBS, 64 << 20, host)

    def execute(code: str, data: str = "{}") -> Ended:
        isolate = engine.isolate()
        host.calls.clear()
        job = Execute(code, "the kind", "the name", "the uuid", data, 64 << 20, 256 << 20)
        messages = iter((job, Go()))
        ended = isolate.wait(lambda: next(messages)).ended
        assert ended is not None
        isolate.close()
        return ended

    return execute


Run = Callable[..., Ended]


def in_process(body: str) -> str:
    return f"function process(data) {{ {body} }}"


def test_globals(run: Run, host: Host) -> None:
    assert run(in_process("Info(kind, name, uuid, data === arguments[0])")).outcome == "ok"
    assert host.logged == ["the kind the name the uuid true"]


@pytest.mark.parametrize("keyword", ["let", "const", "var"])
def test_own_variables_of_any_name(run: Run, host: Host, keyword: str) -> None:
    names = ["kind", "name", "uuid", "data", "Info", "Warn", "Errno", "console", "AskNumber"]
    code = "".join(f"{keyword} {name} = 1; " for name in names)
    ended = run(code + "function process(event) { Error(name + data, typeof event) }")
    assert ended == Ended("ok", started_ns=ended.started_ns)
    assert host.logged == ["2 object"]


def test_what_is_not_ecmascript_is_not_there(run: Run, host: Host) -> None:
    names = """require module exports fetch setTimeout setInterval clearTimeout queueMicrotask WebAssembly Deno
        ReadableStream __bootstrap __host_op_sync__ __host_op_async__ __jsrunCallSync __jsrunCallAsync"""
    code = f"for (const name of {json.dumps(names.split())}) if (name in globalThis) Info(name)"
    assert run(in_process(code)).outcome == "ok"
    assert host.logged == []


def test_import_does_not_work(run: Run, host: Host) -> None:
    assert run("import fs from 'fs'").outcome == "error"
    ended = run("async function process() { await import('/etc/passwd') }")
    assert ended.outcome == "error"


def test_builtins_work(run: Run, host: Host) -> None:
    body = """Info(JSON.stringify({ a: [1] }), new Map([[1, 2]]).get(1), /a(.)/.exec('ab')[1], 2n ** 64n,
        data?.nothing?.at, new Date(0).toISOString(), `t${1 + 1}`)"""
    assert run(in_process(body)).outcome == "ok"
    assert host.logged == ['{"a":[1]} 2 b 18446744073709551616 undefined 1970-01-01T00:00:00.000Z t2']


def test_log_formats(run: Run, host: Host) -> None:
    run(in_process("const a = {}; a.a = a; Info('x', {b: 1}, [1, 'y'], null, undefined, 1.5, true, Symbol('s'), a)"))
    assert host.logged == ['x {"b":1} [1,"y"] null undefined 1.5 true Symbol(s) [a value that cannot be shown]']


def test_console(run: Run, host: Host) -> None:
    run(in_process("console.log('a'); console.info('b'); console.warn('c'); console.error('d'); Warn('e')"))
    assert host.calls == [("info", "a"), ("info", "b"), ("warn", "c"), ("error", "d"), ("warn", "e")]


def test_error_logs_when_called_and_constructs_otherwise(run: Run, host: Host) -> None:
    body = """
        Info(Error('logged') === undefined);
        class Mine extends Error { constructor(m) { super(m); this.extra = 1 } }
        const mine = new Mine('m'), plain = new Error('p', { cause: 1 });
        Info(mine instanceof Error, mine instanceof Mine, mine.message, mine.extra, plain.message, plain.cause);
        Info(new TypeError('t') instanceof Error, plain.constructor === Error);
        Info(Object.getPrototypeOf(TypeError) === Error);
        try { null.x } catch (e) { Info(e instanceof Error, e instanceof TypeError) }
        throw new Mine('thrown')"""
    ended = run(in_process(body))
    assert host.calls[0] == ("error", "logged")
    assert host.logged[1:] == ["true", "true true m 1 p 1", "true true", "true", "true true"]
    assert "thrown" in ended.error
    assert ended.line == 9


def test_log_stops_when_there_is_no_room(run: Run, host: Host) -> None:
    original = host.__class__.__call__

    def full(self: Host, name: str, payload: str) -> str:
        original(self, name, payload)
        return '[true,false,""]'

    host.__class__ = type("Full", (Host,), {"__call__": full})
    run(in_process("Info('first'); Info('second'); Warn('third')"))
    assert host.logged == ["first"]


def test_helpers_pass_arguments_and_answers(run: Run, host: Host) -> None:
    host.answer = lambda name, payload: '[true,{"size":7},""]' if name == "AskObject" else '[false,null,"why"]'
    body = """Info(AskObject().size, Errno() === '');
        Info(AskNumber(1, 'x', undefined, null, NaN), Errno());
        Info(AskText() === '', Number.isNaN(AskNan()))"""
    assert run(in_process(body)).outcome == "ok"
    assert ("AskNumber", '[1,"x",null,null,null]') in host.calls
    assert host.logged == ["7 true", "-1 why", "true true"]


def test_arguments_that_json_cannot_carry(run: Run, host: Host) -> None:
    run(in_process("Info(AskText(1n), Errno())"))
    assert [name for name, _ in host.calls] == ["info"]
    assert "JSON cannot carry" in host.logged[0]


def test_a_script_that_breaks_the_builtins_breaks_only_itself(run: Run, host: Host) -> None:
    code = """JSON.stringify = JSON.parse = () => { throw 1 }; Array.prototype.join = String = Reflect.apply = null;
        function process() { Info('works', 1); AskText('a') }"""
    assert run(code).outcome == "ok"
    assert host.calls == [("info", "works 1"), ("AskText", '["a"]')]


def test_microtasks_run_to_the_end(run: Run, host: Host) -> None:
    code = in_process("Promise.resolve().then(() => Promise.resolve().then(() => Info('late'))); Info('early')")
    assert run(code).outcome == "ok"
    assert host.logged == ["early", "late"]


@pytest.mark.parametrize(
    ("code", "error", "line", "column"),
    [
        ("let x = ;", "SyntaxError: Unexpected token ';'", 1, 9),
        ("\n  null.x", "TypeError: Cannot read properties of null (reading 'x')", 2, 8),
        ("function process() {\n\n  throw new RangeError('r') }", "RangeError: r", 3, 9),
        ("async function process() { await 0;\nnull.x }", "TypeError: Cannot read properties of null", 2, 6),
        ("function process() { Info({ toJSON() {\n null.x } }); null.y }", "reading 'y'", 2, 20),
        ("function process() { throw 'text' }", "Uncaught text", 0, 0),
        ("", "TypeError: expected a function process(data) at the top level", 0, 0),
        ("let process = {}", "TypeError: expected a function process(data) at the top level", 0, 0),
    ],
)
def test_errors_name_their_place(run: Run, code: str, error: str, line: int, column: int) -> None:
    ended = run(code)
    assert ended.outcome == "error"
    assert error in ended.error
    assert (ended.line, ended.column) == (line, column)


def test_event_is_completed(run: Run, host: Host) -> None:
    event = Event(
        uuid="u",
        timestamp="t",
        event_type="file_access",
        metadata=Metadata(kind="k", name="n", format="file_access"),
        file=FileInfo(path="/a", actions=["open", "execve", "llseek"]),
    )
    body = """
        Info(data.file.actions.open, data.file.actions.exec, data.file.actions.seek, data.file.actions.read,
             data.file.actions.async, data.file.actions.includes('open'), JSON.stringify(data.file.actions));
        Info(data.base.background === data.background, data.background.ancestry.length,
             data.background.flows.protocols.length, data.base.metadata.name, data.base.uuid, data.process.args_line);
        for (const key in data.file.actions) Info(key)"""
    assert run(in_process(body), encode(event).decode()).outcome == "ok"
    assert host.logged == [
        'true true true false false true ["open","execve","llseek"]',
        "true 0 0 n u ",
        "0",
        "1",
        "2",
    ]


def test_background_is_found_from_both_sides(run: Run, host: Host) -> None:
    data = {
        "event_type": "flow",
        "process": {"args": ["a", "b c"]},
        "base": {"background": {"ancestry": [1], "flows": {"protocols": [{"proto": "TCP"}]}}},
    }
    body = """Info(data.background.ancestry.length, data.base.background.flows.protocols[0].name,
        data.process.args_line)"""
    assert run(in_process(body), json.dumps(data)).outcome == "ok"
    assert host.logged == ["1 TCP a b c"]


def test_event_with_a_prototype_in_it(run: Run, host: Host) -> None:
    assert run(in_process("Info(({}).x, data.x)"), '{"__proto__":{"x":1}}').outcome == "ok"
    assert host.logged == ["undefined undefined"]


def test_hostile_text_in_the_event(run: Run, host: Host) -> None:
    text = "`${1}`'\"\\\u2028\u2029</script>\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")
    assert run(in_process("Info(data.note)"), json.dumps({"note": text})).outcome == "ok"
    assert host.logged == [text]


def test_nothing_leaks_between_isolates(run: Run, host: Host) -> None:
    run("globalThis.left = 1; Object.prototype.left = 1; " + in_process(""))
    run(in_process("Info(typeof left)"))
    assert host.logged == ["undefined"]


def test_heap_limit(run: Run) -> None:
    assert run("const a = []; for (;;) a.push([1, 2, 3])").outcome == "out_of_memory"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("const process = () => Info('not run')", "ok"),
        ("AskNumber(1); Info('x'); if (AskText() !== '') throw 1; function process() {}", "ok"),
        ("let process", "error"),
        ("function process( {}", "error"),
    ],
)
def test_check_runs_the_top_level_with_inert_helpers(host: Host, code: str, outcome: str) -> None:
    isolate = Engine(STUBS, 64 << 20, host).isolate()
    host.calls.clear()
    assert isolate.check(Check(code)).outcome == outcome
    assert host.calls == []
    isolate.close()


def test_an_async_process_runs_while_there_are_microtasks_and_then_ends_in_silence(run: Run, host: Host) -> None:
    body = "await 0; AskNumber(); await new Promise(() => {}); AskText()"
    assert run(f"async {in_process(body)}").outcome == "ok"
    assert ["AskNumber"] == [name for name, _ in host.calls]
