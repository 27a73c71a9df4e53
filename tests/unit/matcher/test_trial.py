from __future__ import annotations

import pytest

from raqib.matcher.trial import TrialResult, run_tests, sample
from raqib.model.actions import FileAction
from raqib.recipes.compile import EXECVE_IMPLIES
from raqib.recipes.load import load_text
from raqib.recipes.spec import Call, RecipeSpec


def spec(fields: str, mechanism: str = "file_access") -> RecipeSpec:
    head = f"- {{kind: k, name: n, mechanism: {mechanism}, breed: {mechanism}, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(one) for one in loaded.errors]
    return loaded.recipes[0]


def outcome(fields: str, test: str, mechanism: str = "file_access") -> TrialResult:
    (result,) = run_tests(spec(f"{fields}, tests: [{test}]", mechanism))
    return result


@pytest.mark.parametrize(
    ("test", "expected", "message"),
    [
        ("{event: {file: {path: /etc/shadow}}, expect: {match: true}}", "passed", ""),
        ("{event: {file: {path: /etc/x}}, expect: {match: false, because: bases}}", "passed", ""),
        ("{event: {file: {actions: [write]}}, expect: {match: false, because: file_actions}}", "passed", ""),
        ("{event: {process: {uid: 0}}, expect: {match: false, because: arbitrary}}", "passed", ""),
        ("{event: {}, expect: {match: true}}", "passed", ""),
        ("{event: {}, repeat: 2, expect: {match: false, because: times}}", "passed", ""),
        (
            "{event: {file: {path: /etc/x}}, expect: {match: true}}",
            "failed",
            "expected a match, found none, because of bases",
        ),
        ("{event: {}, expect: {match: false}}", "failed", "expected no match, found a match"),
        (
            "{event: {process: {uid: 0}}, expect: {match: false, because: times}}",
            "failed",
            "expected no match because of times, found none, because of arbitrary",
        ),
    ],
)
def test_outcomes(test: str, expected: str, message: str) -> None:
    fields = (
        "dir: /etc, base: shadow, file_actions: [open], times: [{kind: times_per_host, max: 1}],"
        " arbitrary: [{items: [{what: uid, which: irrelevant, number: 0}]}]"
    )
    result = outcome(fields, test)
    assert (expected, message) == (result.outcome, result.message)


def test_an_execution_is_filled_in() -> None:
    rule = spec("tests: [{event: {process: {exe: /tmp/xmrig}}, expect: {match: true}}]", "execution")
    observation, ancestors = sample(rule, rule.tests[0])
    assert (observation.path, observation.actions) == (b"/tmp/xmrig", EXECVE_IMPLIES)
    assert (observation.process.image.exe, observation.process.image.args) == (b"/tmp/xmrig", (b"xmrig",))
    assert (observation.process.comm, observation.process.uid) == (b"xmrig", 1000)
    assert tuple(ancestors) == ()


def test_a_family_is_filled_in() -> None:
    event = "{process: {pid: 9}, parent: {exe: /bin/sh}, ancestry: [{exe: /init}, {exe: /usr/sbin/sshd}]}"
    rule = spec(f"tests: [{{event: {event}, expect: {{match: true}}}}]")
    observation, ancestors = sample(rule, rule.tests[0])
    assert [one.image.exe for one in ancestors] == [b"/bin/sh", b"/usr/sbin/sshd", b"/init"]
    chain = [observation.process, *ancestors]
    assert [9, *(one.ppid for one in chain[:-1])] == [one.pid for one in chain]
    assert [one.parent for one in chain[:-1]] == [one.key for one in ancestors]
    assert not observation.actions & FileAction.EXECVE


def test_network_recipes_are_skipped() -> None:
    head = (
        "- {kind: k, name: n, mechanism: network_peers, breed: remote_domains, importance: low, remote_domains: a.org, "
    )
    loaded = load_text(head + "tests: [{event: {flow: {proto: tcp}}, expect: {match: true}}]}", "test.yaml")
    (result,) = run_tests(loaded.recipes[0])
    assert result.outcome == "skipped"


def test_expected_calls_are_kept() -> None:
    rule = spec(
        "tests: [{event: {}, expect: {match: true, calls: [KillCurrent, {NetBlockIp: ['10.0.0.1']}, {KillProcess: [7]},"
        " {DataSet: [k, '7', 1.5, true]}]}}]"
    )
    expected = (
        Call("KillCurrent"),
        Call("NetBlockIp", ("10.0.0.1",)),
        Call("KillProcess", (7,)),
        Call("DataSet", ("k", "7", 1.5, True)),
    )
    assert expected == rule.tests[0].calls
