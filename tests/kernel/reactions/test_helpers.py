"""Every helper as JavaScript sees it: its error value, and why, for whatever it is called with."""

from __future__ import annotations

import json

from raqib.actions.helpers.table import HELPERS

from .conftest import Host, RunScenario

CODE = """
function process() {
  const cyclic = {}; cyclic.self = cyclic;
  const odd = [undefined, null, NaN, Infinity, [], () => 1, Symbol("s"), 10n, cyclic, new Date(NaN), true,
               { get x() { throw new Error("getter"); } }, { toJSON() { throw new Error("json"); } }, "\\ud800"];
  const found = {};
  for (const [name, most] of HELPERS) {
    const call = (...values) => { const value = globalThis[name](...values); return [String(value), Errno() !== ""]; };
    const all = [call(...Array(most + 1).fill("x"))];
    for (const one of most ? odd : []) all.push(call(...Array(most).fill(one)));
    found[name] = [...new Set(all.map(JSON.stringify))];
  }
  Info(JSON.stringify(found));
}
"""


def test_error_values_and_reasons(run_scenario: RunScenario) -> None:
    table = [[helper.name, len(helper.arguments)] for helper in HELPERS.values()]

    async def scenario(host: Host) -> None:
        finished = await host.run(CODE.replace("HELPERS", json.dumps(table)))
        assert "ok" == finished.outcome, finished.error

    host = run_scenario(scenario)
    (found,) = [json.loads(line.text) for line in host.lines if line.level == "info"]
    # An optional last argument that is a number in all others' place never makes a call good here.
    expected = {
        helper.name: [json.dumps([json.loads(helper.error) if helper.error[0] == '"' else helper.error, True])]
        for helper in HELPERS.values()
    }
    assert {name: [json.loads(item) for item in all_] for name, all_ in expected.items()} == {
        name: [json.loads(item) for item in all_] for name, all_ in found.items()
    }


def test_undefined_is_never_all(run_scenario: RunScenario) -> None:
    code = """function process() {
      for (const nothing of [undefined, null, ""]) {
        Info(NetBlockIp(nothing), NetBlockDomain(nothing), DataPop(nothing) === "", CreateTempDir(nothing) === "");
        Info(Errno());
      }
      Info(DataSize());
    }"""

    async def scenario(host: Host) -> None:
        await host.run(code)

    texts = [line.text for line in run_scenario(scenario).lines if line.level == "info"]
    assert ["-1 -1 true true"] * 3 == texts[0:6:2]
    assert all(text.startswith("CreateTempDir: pattern: expected a string") for text in texts[1:6:2])
    assert "0" == texts[6]


def test_notices_reach_the_listener_and_emergencies_are_refused(run_scenario: RunScenario) -> None:
    async def scenario(host: Host) -> None:
        await host.run("function process() { Info(Notify('t', {a: 1}), PowerOff(), Panic(), Errno()) }")

    host = run_scenario(scenario)
    assert ["t"] == [notice.title for notice in host.notices]
    assert "0 -1 -1 emergency helpers are switched off (emergency.enabled)" in host.texts
