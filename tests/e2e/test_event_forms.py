"""What an event takes when it is printed, and how the whole of it is found again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from raqib.model.compact import MOST_BYTES
from tests.e2e.conftest import RAQIB, AgentProcess, recipe

RunAgent = Callable[..., AgentProcess]

FILES = 300
TELLS = 'function process(data) { Info(data.background.file_list.length, "files", data.process.args.length, "args"); }'


def raqib(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([RAQIB, *arguments], input=given, capture_output=True, check=False, cwd="/")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    config = tmp_path / "config.yaml"
    config.write_text(f"printers: {{enabled: [stdout, varlog], varlog_path: '{tmp_path}/events.jsonl'}}\n")
    return config


def watch(run_agent: RunAgent, settings: Path, tmp_path: Path) -> AgentProcess:
    (tmp_path / "secret").touch()
    reads = recipe(
        "reads", patterns=f"[{{dir: '{tmp_path}', base: secret}}]", mechanism="file_access", file_actions="[open]"
    )
    return run_agent(reads, "--config", str(settings))


def read_many(tmp_path: Path, *arguments: str) -> None:
    """Read many files, and the one that the recipe is about last."""
    code = f"for n in range({FILES}): open(f'{tmp_path}/file-{{n}}', 'w')\nopen('{tmp_path}/secret')"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)


def test_the_log_has_the_whole_and_commands_find_it(run_agent: RunAgent, settings: Path, tmp_path: Path) -> None:
    agent = watch(run_agent, settings, tmp_path)
    read_many(tmp_path)
    agent.read(lambda events: bool(agent.of("reads", "file_access")))
    assert 0 == agent.stop()
    (event,) = agent.of("reads", "file_access")
    listed = event["background"]["file_list"]
    assert f"{tmp_path}/file-{FILES - 1}" in [entry["path"] for entry in listed[:10]]
    left_out = {cut_field["field"]: cut_field["left_out"] for cut_field in event["cut"]}["background.file_list"]

    log = tmp_path / "events.jsonl"
    (kept,) = [entry for entry in map(json.loads, log.read_text().splitlines()) if entry["uuid"] == event["uuid"]]
    whole = kept["background"]["file_list"]
    assert len(listed) + left_out == len(whole) > FILES
    assert "base" not in kept
    # It is found in an older file as well.
    log.rename(tmp_path / "events.jsonl.3")
    log.write_text("")

    compact, code = tmp_path / "event.json", tmp_path / "reaction.js"
    compact.write_text(json.dumps(event))
    code.write_text(TELLS)
    here = ("--config", settings)
    own = (*here, "--recipes", tmp_path / "recipes", "--no-builtin")
    for given, text in (
        (str(compact), b""),
        ("-", compact.read_bytes()),
        ("-", yaml.safe_dump(event).encode()),
        (event["uuid"], b""),
        (event["uuid"][:23], b""),
    ):
        ran = raqib("reaction", "run", code, "--event", given, *here, given=text)
        assert 0 == ran.returncode, ran.stderr
        assert f"{len(whole)} files".encode() in ran.stdout
        assert b"" == ran.stderr
        explained = raqib("explain", "--recipe", "reads", "--event", given, *own, given=text)
        assert explained.stdout.startswith(b"reads matches"), explained.stderr
        assert b"" == explained.stderr
    for named in (event["uuid"], event["uuid"][:23], event["uuid"].rpartition("-")[2]):
        assert b"bases: yes" in raqib("explain", named, *own, "--data-dir", agent.data_dir).stdout

    # Without it, what is missing is said, and what could differ with it.
    (tmp_path / "events.jsonl.3").unlink()
    ran = raqib("reaction", "run", code, "--event", compact, *here)
    assert f"{len(listed)} files".encode() in ran.stdout
    (line,) = ran.stderr.decode().splitlines()
    for part in (f"{left_out} entries of background.file_list", "could differ: ", "data.background.file_list"):
        assert part in line
    explained = raqib("explain", "--recipe", "reads", "--event", compact, *own)
    assert explained.stdout.startswith(b"reads matches")
    (line,) = explained.stderr.decode().splitlines()
    assert line.endswith("could differ: nothing")
    assert 1 == raqib("reaction", "run", code, "--event", event["uuid"], *here).returncode


def test_samples_and_what_is_no_event(tmp_path: Path) -> None:
    code = tmp_path / "reaction.js"
    code.write_text("function process(data) { Info(data.event_type, data.process.exe); }")
    for text, told in (
        (b"process: {exe: /tmp/x}", b"execution /tmp/x"),
        (b'{"process": {"exe": "/tmp/x"}, "file": {"path": "/etc/x", "actions": ["read"]}}', b"file_access /tmp/x"),
        (b"flow: {proto: tcp, remote: {address: 192.0.2.1, port: 4}}", b"network_peer"),
    ):
        ran = raqib("reaction", "run", code, "--event", "-", given=text)
        assert 0 == ran.returncode, ran.stderr
        assert told in ran.stdout
    for text, told in (
        (b"", b"it is empty"),
        (b"[]", b"found a list"),
        (b'{"uuid": "a"}\n{"uuid": "b"}\n', b"found 2 lines of JSON"),
    ):
        ran = raqib("reaction", "run", code, "--event", "-", given=text)
        assert 2 == ran.returncode
        assert told in ran.stderr


def test_everything_is_printed_if_that_is_asked_for(run_agent: RunAgent, settings: Path, tmp_path: Path) -> None:
    settings.write_text("printers: {full: true}\n")
    agent = watch(run_agent, settings, tmp_path)
    agent.full = True
    read_many(tmp_path)
    agent.read(lambda events: bool(agent.of("reads", "file_access")))
    (event,) = agent.of("reads", "file_access")
    assert event["background"] == event["base"]["background"]
    assert {"files", "file_list", "flows"} <= set(event["background"])
    assert "cut" not in event


NESTING = """
import os, sys
depth, name, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if depth:
    pid = os.fork()
    if not pid:
        noise = ["\\x01" * 500, os.fsdecode(b"\\xff" * 500)] * 3
        os.execv(sys.executable, [sys.executable, __file__, str(depth - 1), name, secret, *noise])
    os.waitpid(pid, 0)
else:
    os.makedirs(os.path.dirname(secret), exist_ok=True)
    open(secret, "w").close()
"""


def test_whatever_programs_do_an_event_has_its_bounds(
    run_agent: RunAgent, settings: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = f"secret-of-{tmp_path.parent.name}-{tmp_path.name}"
    opened = recipe("reads", patterns=f"[{{base: '{name}'}}]", mechanism="file_access", file_actions="[open]")
    agent = run_agent(opened, "--config", str(settings))
    agent.most_bytes = MOST_BYTES
    program = tmp_path / "nesting.py"
    program.write_text(NESTING)
    deep = (
        os.fsencode(tmp_path_factory.mktemp("deep")) + b"/" + b"/".join([b"\x7f\xff" * 60] * 25) + b"/" + name.encode()
    )
    many = ["x" * 100_000] * 18
    subprocess.run(
        [sys.executable, program, "40", "name", os.fsdecode(deep), *many],
        check=True,
        env={**os.environ, **{f"LD_{number}": "\x7f" * 1000 for number in range(100)}},
    )
    agent.read(lambda events: bool(agent.of("reads", "file_access")))
    event = agent.of("reads", "file_access")[0]
    assert [ancestor["pid"] for ancestor in event["background"]["ancestry"]][-1] == event["process"]["pid"]
    assert len(event["background"]["ancestry"]) > 40
    assert {"file.path_b64", "process.args"} & {cut_field["field"] for cut_field in event["cut"]}
    assert 0 == agent.stop()
