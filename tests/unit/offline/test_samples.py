from __future__ import annotations

import pytest

from raqib.model.actions import FileAction
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.offline.samples import SampleResult, fill_sample, run_tests
from raqib.recipes.compile import EXECVE_IMPLIES
from raqib.recipes.load import load_text
from raqib.recipes.spec import ExpectedCall, RecipeSpec


def spec(fields: str, mechanism: str = "file_access") -> RecipeSpec:
    head = f"- {{kind: k, name: n, mechanism: {mechanism}, breed: {mechanism}, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    return loaded.recipes[0]


def run_one(fields: str, test: str, mechanism: str = "file_access") -> SampleResult:
    (result,) = run_tests(spec(f"{fields}, tests: [{test}]", mechanism))
    return result


@pytest.mark.parametrize(
    ("test", "passes", "message"),
    [
        ("{event: {file: {path: /etc/shadow}}, expect: {match: true}}", True, ""),
        ("{event: {file: {path: /etc/x}}, expect: {match: false, because: bases}}", True, ""),
        ("{event: {file: {actions: [write]}}, expect: {match: false, because: file_actions}}", True, ""),
        ("{event: {process: {uid: 0}}, expect: {match: false, because: arbitrary}}", True, ""),
        ("{event: {}, expect: {match: true}}", True, ""),
        ("{event: {}, repeat: 2, expect: {match: false, because: times}}", True, ""),
        (
            "{event: {file: {path: /etc/x}}, expect: {match: true}}",
            False,
            "expected a match, found none, because of bases",
        ),
        ("{event: {}, expect: {match: false}}", False, "expected no match, found a match"),
        (
            "{event: {process: {uid: 0}}, expect: {match: false, because: times}}",
            False,
            "expected no match because of times, found none, because of arbitrary",
        ),
    ],
)
def test_what_passes_and_what_fails(test: str, passes: bool, message: str) -> None:
    fields = (
        "dir: /etc, base: shadow, file_actions: [open], times: [{kind: times_per_host, max: 1}],"
        " arbitrary: [{items: [{what: uid, which: irrelevant, number: 0}]}]"
    )
    result = run_one(fields, test)
    assert (passes, message) == (result.passed, result.message)


def test_an_execution_is_filled_in() -> None:
    rule = spec("tests: [{event: {process: {exe: /tmp/xmrig}}, expect: {match: true}}]", "execution")
    observation, ancestors = fill_sample(rule, rule.tests[0])
    assert isinstance(observation, FileObservation)
    assert (observation.path, observation.actions) == (b"/tmp/xmrig", EXECVE_IMPLIES)
    assert (observation.process.image.exe, observation.process.image.args) == (b"/tmp/xmrig", (b"xmrig",))
    assert (observation.process.comm, observation.process.uid) == (b"xmrig", 1000)
    assert tuple(ancestors) == ()


def test_a_family_is_filled_in() -> None:
    event = "{process: {pid: 9}, parent: {exe: /bin/sh}, ancestry: [{exe: /init}, {exe: /usr/sbin/sshd}]}"
    rule = spec(f"tests: [{{event: {event}, expect: {{match: true}}}}]")
    observation, ancestors = fill_sample(rule, rule.tests[0])
    assert isinstance(observation, FileObservation)
    assert [ancestor.image.exe for ancestor in ancestors] == [b"/bin/sh", b"/usr/sbin/sshd", b"/init"]
    chain = [observation.process, *ancestors]
    assert [9, *(line.ppid for line in chain[:-1])] == [line.pid for line in chain]
    assert [line.parent for line in chain[:-1]] == [ancestor.key for ancestor in ancestors]
    assert not observation.actions & FileAction.EXECVE


def flow_spec(fields: str) -> RecipeSpec:
    head = "- {kind: k, name: n, mechanism: network_peers, breed: remote_domains, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    return loaded.recipes[0]


@pytest.mark.parametrize(
    ("test", "passes", "message"),
    [
        ("{event: {}, expect: {match: true}}", True, ""),
        ("{event: {flow: {remote: {name: a.org}}}, expect: {match: true}}", True, ""),
        ("{event: {flow: {remote: {names: [x.net, a.org]}}}, expect: {match: true}}", True, ""),
        ("{event: {flow: {remote: {address: 192.0.2.9}}}, expect: {match: false, because: flow}}", True, ""),
        ("{event: {flow: {proto: udp}}, expect: {match: false, because: flow}}", True, ""),
        ("{event: {flow: {remote: {port: 80}}}, expect: {match: false, because: flow}}", True, ""),
        ("{event: {flow: {actions: [ended]}}, expect: {match: false, because: flow_actions}}", True, ""),
        ("{event: {process: {uid: 0}}, expect: {match: false, because: arbitrary}}", True, ""),
        ("{event: {}, repeat: 2, expect: {match: false, because: times}}", True, ""),
        (
            "{event: {flow: {proto: udp}}, expect: {match: true}}",
            False,
            "expected a match, found none, because of flow",
        ),
    ],
)
def test_flows(test: str, passes: bool, message: str) -> None:
    fields = (
        "remote_domains: a.org, protocol: tcp, remote_port: [443, 8443], flow_actions: started,"
        " times: [{kind: times_per_host, max: 1}], arbitrary: [{items: [{what: uid, which: irrelevant, number: 0}]}]"
    )
    (result,) = run_tests(flow_spec(f"{fields}, tests: [{test}]"))
    assert (passes, message) == (result.passed, result.message)


@pytest.mark.parametrize(
    ("fields", "flow", "expected"),
    [
        ("remote_cidrs: 10.1.0.0/16", "{}", (4, "192.0.2.1", 40000, "10.1.0.0", 443)),
        ("remote_cidrs: 'fd00::/8'", "{}", (6, "2001:db8::1", 40000, "fd00::", 443)),
        ("protocol: icmp", "{remote: {address: '2001:db8::7'}}", (6, "2001:db8::1", 0, "2001:db8::7", 0)),
        ("local_port: 22, local_cidrs: 10.0.0.9", "{}", (4, "10.0.0.9", 22, "198.51.100.1", 443)),
    ],
)
def test_a_flow_is_filled_in(fields: str, flow: str, expected: tuple[object, ...]) -> None:
    rule = flow_spec(f"{fields}, tests: [{{event: {{flow: {flow}}}, expect: {{match: true}}}}]")
    seen, _ = fill_sample(rule, rule.tests[0])
    assert isinstance(seen, FlowObservation)
    found = (seen.ip_version, seen.local.address, seen.local.port, seen.remote.address, seen.remote.port)
    assert expected == found


@pytest.mark.parametrize(
    ("flow", "problem"),
    [
        ("{protocol: tcp}", "it is called proto"),
        ("{proto: sctp}", "expected tcp or udp or icmp"),
        ("{remote: {address: example.org}}", "expected an address as 192.0.2.1"),
        ("{remote: {port: 70000}}", "expected a whole number from 0 to 65535"),
        ("{actions: [flown]}", "expected a known word"),
        ("[]", "expected a mapping"),
    ],
)
def test_a_sample_flow_is_checked(flow: str, problem: str) -> None:
    head = "- {kind: k, name: n, mechanism: network_peers, breed: remote_domains, importance: low, "
    loaded = load_text(head + f"tests: [{{event: {{flow: {flow}}}, expect: {{match: true}}}}]}}", "test.yaml")
    assert any(problem in str(error) for error in loaded.errors), loaded.errors


def test_expected_calls_are_kept() -> None:
    rule = spec(
        "tests: [{event: {}, expect: {match: true, calls: [KillCurrent, {NetBlockIp: ['10.0.0.1']}, {KillProcess: [7]},"
        " {DataSet: [k, '7', 1.5, true]}]}}]"
    )
    expected = (
        ExpectedCall("KillCurrent"),
        ExpectedCall("NetBlockIp", ("10.0.0.1",)),
        ExpectedCall("KillProcess", (7,)),
        ExpectedCall("DataSet", ("k", "7", 1.5, True)),
    )
    assert expected == rule.tests[0].calls
