from __future__ import annotations

import textwrap

import pytest

from raqib.config.config import Config
from raqib.offline.recipe_tests import RecipeTestReport, run_recipe_tests
from raqib.recipes.load import load_text

CODE = """
        function process(data) {
          if (KillCurrent() !== 0) throw new Error(Errno());
          const seen = DataIncr("n");
          if (seen > 1) WriteFile("/tmp/raqib-never", data.process.exe);
        }
"""


def run_one(expect: str, *, code: str = CODE, fields: str = "", repeat: int = 1) -> RecipeTestReport:
    text = f"""
- kind: k
  name: n
  mechanism: execution
  breed: execution
  importance: low
  enabled: false
  mode: alert
  base: xmrig
  {fields}
  reactions:
    - format: js
      code: |
{textwrap.indent(textwrap.dedent(code).strip(), " " * 8)}
  tests:
    - name: t
      event: {{process: {{exe: /tmp/xmrig}}}}
      repeat: {repeat}
      expect: {expect}
"""
    loaded = load_text(text, "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    (report,) = run_recipe_tests(loaded.recipes, Config())
    return report


@pytest.mark.parametrize(
    ("expect", "repeat"),
    [
        ("{match: true}", 1),
        ("{match: true, calls: [KillCurrent, DataIncr]}", 1),
        ("{match: true, calls: [{KillCurrent: []}, {DataIncr: [n]}]}", 1),
        ("{match: true, calls: [KillCurrent, DataIncr, {WriteFile: [/tmp/raqib-never, /tmp/xmrig]}]}", 2),
    ],
)
def test_calls_that_are_as_expected(expect: str, repeat: int) -> None:
    report = run_one(expect, repeat=repeat)
    assert ("passed", "") == (report.outcome, report.message)


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        ("{match: true, calls: []}", 'expected the calls none; found KillCurrent(), DataIncr("n")'),
        ("{match: true, calls: [KillCurrent]}", 'expected the calls KillCurrent; found KillCurrent(), DataIncr("n")'),
        ("{match: true, calls: [DataIncr, KillCurrent]}", "expected the calls DataIncr, KillCurrent; found"),
        (
            "{match: true, calls: [KillCurrent, {DataIncr: [m]}]}",
            'expected the calls KillCurrent, DataIncr("m");',
        ),
        ("{match: true, calls: [KillCurrent, {DataIncr: [n, 1]}]}", "expected the calls"),
    ],
)
def test_calls_that_are_not(expect: str, message: str) -> None:
    report = run_one(expect)
    assert "failed" == report.outcome
    assert report.message.startswith(message)
    assert ["bases", "file_actions", "arbitrary", "times"] == [stage.stage for stage in report.stages]


def test_true_is_not_one() -> None:
    code = "function process(data) { DataIncr('n', 1) }"
    assert "passed" == run_one("{match: true, calls: [{DataIncr: [n, 1]}]}", code=code).outcome
    assert "failed" == run_one("{match: true, calls: [{DataIncr: [n, true]}]}", code=code).outcome


def test_a_reaction_that_throws_fails_the_test() -> None:
    report = run_one("{match: true, calls: []}", code="function process(data) { throw new Error('no') }")
    assert "failed" == report.outcome
    assert "expected reactions that end well, found error" in report.message
    assert "line 1" in report.message


def test_no_match_means_no_calls() -> None:
    fields = "arbitrary: [{items: [{what: uid, which: irrelevant, number: 1000}]}]"
    assert "passed" == run_one("{match: false, because: arbitrary, calls: []}", fields=fields).outcome
    assert "failed" == run_one("{match: false, because: arbitrary, calls: [KillCurrent]}", fields=fields).outcome


def test_each_test_finds_an_empty_store() -> None:
    text = "".join(
        f"    - {{name: t{number}, event: {{}}, expect: {{match: true, calls: [DataIncr]}}}}\n" for number in range(2)
    )
    loaded = load_text(
        "- kind: k\n  name: n\n  mechanism: execution\n  breed: execution\n  importance: low\n  reactions:\n"
        "    - {format: js, code: 'function process(data) { if (DataIncr(\"k\") > 1) KillCurrent(); }'}\n"
        "  tests:\n" + text,
        "test.yaml",
    )
    assert ["passed", "passed"] == [report.outcome for report in run_recipe_tests(loaded.recipes, Config())]


def test_reactions_to_a_flow_see_its_peer() -> None:
    text = """
- kind: k
  name: n
  mechanism: network_peers
  breed: remote_domains
  importance: low
  remote_domains: bad.example
  reactions:
    - format: js
      code: |
        function process(data) {
          DataSet("peer", data.flow.remote.name + " " + data.background.flows.protocols[0].proto);
        }
  tests:
    - name: seen
      event: {flow: {remote: {name: bad.example}}}
      expect: {match: true, calls: [{DataSet: [peer, bad.example tcp]}]}
    - name: not seen
      event: {flow: {remote: {name: good.example}}}
      expect: {match: true}
"""
    loaded = load_text(text, "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    seen, unseen = run_recipe_tests(loaded.recipes, Config())
    assert ("passed", "") == (seen.outcome, seen.message)
    assert ("failed", "flow") == (unseen.outcome, unseen.because)
    details = [line for stage in unseen.stages for line in stage.details]
    assert "remote_domains exact bad.example does not hold for good.example" in details
