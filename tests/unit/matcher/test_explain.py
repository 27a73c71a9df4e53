from __future__ import annotations

import pytest

from raqib.matcher import KnownAncestry
from raqib.matcher.explain import explain
from raqib.matcher.finding import Finding
from raqib.model.actions import FileAction
from raqib.model.flow import Endpoint, FlowAction, FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process, ProcessKey
from raqib.recipes.load import load_text

CAT = Process(key=ProcessKey(7, 70), uid=1000, image=Image(b"/usr/bin/cat", (b"cat", b"/etc/shadow")))

CAT_ITEM = "{what: exe, which: pertinent, pattern: cat$}"
ROOT_ITEM = "{what: uid, which: pertinent, number: 0}"


def findings(fields: str, *, path: bytes = b"/etc/shadow", aliases: tuple[bytes, ...] = ()) -> dict[str, Finding]:
    head = "- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    seen = FileObservation(CAT, path, FileAction.OPEN, FileAction.OPEN, 1, aliases=aliases)
    return {finding.stage: finding for finding in explain(loaded.recipes[0], seen, KnownAncestry())}


EXECUTION = """
- kind: starts
  name: starts
  version: "1"
  description: a shell starts
  mechanism: execution
  breed: execution
  tactic: execution
  technique: user_execution
  importance: low
  bases: [{base: sh}]
"""


def test_every_stage_is_there_in_order() -> None:
    assert ["bases", "file_actions", "arbitrary", "times"] == list(findings("base: shadow"))


def test_patterns_and_names() -> None:
    fields = "bases: [{dir: /etc, base: shadow}, {base: passwd}, {dir: /etc, regex: '^sh'}]"
    found = findings(fields, aliases=(b"/tmp/passwd",))["bases"]
    assert found.passed
    assert (
        "{base: 'shadow', dir: '/etc'} holds for '/etc/shadow'",
        "{base: 'passwd'} holds for '/tmp/passwd'",
        "{dir: '/etc', regex: '^sh'} holds for '/etc/shadow'",
    ) == found.details
    other = findings(fields, path=b"/etc/group")["bases"]
    assert other.passed is False
    assert "{base: 'passwd'} does not hold for '/etc/group'" in other.details


def test_actions() -> None:
    found = findings("file_actions: [open, write], file_actions_how: all")["file_actions"]
    assert found.passed is False
    assert ("needs all of open write", "the process did open") == found.details


def test_an_execution_is_said_in_brief() -> None:
    [shell] = load_text(EXECUTION, "test.yaml").recipes
    seen = FileObservation(
        process=Process(key=ProcessKey(1, 2)),
        path=b"/bin/sh",
        actions=FileAction.EXECVE | FileAction.OPEN | FileAction.READ,
        new=FileAction.EXECVE,
        timestamp_ns=0,
    )
    found = {finding.stage: finding for finding in explain(shell, seen, KnownAncestry())}["file_actions"]
    assert found.passed
    assert (
        "needs any action, and execve",
        "the process did execve (execve implies mmap open read close)",
    ) == found.details


@pytest.mark.parametrize(
    ("group", "passed", "verdict", "item"),
    [
        (
            "{items: [{what: uid, which: irrelevant, number: 1000}]}",
            False,
            "irrelevant: an irrelevant item matches",
            "irrelevant uid equal 1000: matches (known: '1000')",
        ),
        (
            f"{{how: OR, items: [{CAT_ITEM}, {ROOT_ITEM}]}}",
            True,
            "pertinent: a pertinent item matches",
            "pertinent uid equal 0: does not match (known: '1000')",
        ),
        (
            f"{{how: AND, items: [{CAT_ITEM}, {ROOT_ITEM}]}}",
            False,
            "irrelevant: not all items match",
            "pertinent exe pattern 'cat$': matches (known: '/usr/bin/cat')",
        ),
        (
            "{which: irrelevant, items: [{what: parent_exe, which: irrelevant, pattern: sh}]}",
            False,
            "irrelevant: its own, since no item decides",
            "irrelevant parent_exe pattern 'sh': does not match (not known)",
        ),
    ],
)
def test_groups(group: str, passed: bool, verdict: str, item: str) -> None:
    found = findings(f"arbitrary: [{group}]")["arbitrary"]
    assert passed is found.passed
    assert f"group 1 is {verdict}" == found.details[0]
    assert f"  {item}" in found.details


def test_limits_depend_on_what_happened_before() -> None:
    found = findings("times: [{kind: times_per_exe, max: 3}]")["times"]
    assert found.passed is None
    assert ("times_per_exe: at most 3",) == found.details


def test_names_cannot_steer_a_terminal() -> None:
    found = findings("base: other", path=b"/tmp/\x1b[2J\xff")["bases"]
    assert all(line.isprintable() for line in found.details)


CONNECTED = FlowAction.OUTGOING | FlowAction.STARTED


def flow_findings(fields: str, *names: str) -> dict[str, Finding]:
    head = "- {kind: k, name: n, mechanism: network_peers, breed: remote_domains, importance: low, "
    loaded = load_text(head + fields + "}", "test.yaml")
    assert not loaded.errors, [str(error) for error in loaded.errors]
    peers = (Endpoint("192.0.2.1", 40000), Endpoint("198.51.100.7", 443, names))
    seen = FlowObservation(CAT, "tcp", 4, *peers, CONNECTED, CONNECTED, 1)
    return {finding.stage: finding for finding in explain(loaded.recipes[0], seen, KnownAncestry())}


def test_every_stage_of_a_flow_is_there_in_order() -> None:
    found = flow_findings("flow_actions: ended")
    assert ["flow", "flow_actions", "arbitrary", "times"] == list(found)
    assert ("any flow",) == found["flow"].details
    assert found["flow"].passed
    assert found["flow_actions"].passed is False
    assert ("needs any of ended", "the flow did outgoing started") == found["flow_actions"].details


def test_the_fields_of_a_flow() -> None:
    found = flow_findings(
        "protocol: tcp, remote_port: 80, local_port: 40000, remote_cidrs: 198.51.100.0/24, local_cidrs: 10.0.0.0/8,"
        " remote_domains: [a.org, b.org], remote_domains_type: suffix, local_domains: c.org",
        "www.a.org",
    )["flow"]
    assert found.passed is False
    assert (
        "protocol tcp holds for tcp",
        "local_port 40000 holds for 40000",
        "remote_port 80 does not hold for 443",
        "local_cidrs 10.0.0.0/8 does not hold for 192.0.2.1",
        "remote_cidrs 198.51.100.0/24 holds for 198.51.100.7",
        "local_domains exact c.org does not hold for 192.0.2.1, of which no name is known",
        "remote_domains suffix a.org, b.org holds for www.a.org",
    ) == found.details


def test_what_is_known_of_a_flow() -> None:
    found = flow_findings("arbitrary: [{items: [{what: remote, cidr: 10.0.0.0/8}]}]", "www.a.org")["arbitrary"]
    expected = "  pertinent remote equal 10.0.0.0/8: does not match (known: '198.51.100.7', 'www.a.org')"
    assert expected in found.details


def test_a_recipe_about_files_says_so_of_a_flow() -> None:
    loaded = load_text("- {kind: k, name: n, mechanism: file_access, breed: file_access, importance: low}", "test.yaml")
    peers = (Endpoint("192.0.2.1", 1), Endpoint("198.51.100.7", 2))
    seen = FlowObservation(CAT, "tcp", 4, *peers, CONNECTED, CONNECTED, 1)
    (finding,) = explain(loaded.recipes[0], seen, KnownAncestry())
    assert ("flow", False) == (finding.stage, finding.passed)
