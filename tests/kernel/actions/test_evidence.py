"""CollectEvidence about real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from raqib.actions.created import CreatedDirectories
from raqib.actions.helpers import evidence
from raqib.actions.manifest import MANIFEST, read_manifest, verify_evidence
from raqib.errors import RaqibError
from raqib.model.execution import ActionRecord
from raqib.testing import live_process, make_detection, make_recipe

from .conftest import Acting, Change, Interfere


def collect(act: Acting, expected: str = "") -> Path:
    record = act("CollectEvidence")
    assert ("done", expected) == (record.decision, record.reason)
    return Path(record.value)


@pytest.fixture
def about(act: Acting, victim: subprocess.Popen[bytes]) -> Acting:
    act.detection = make_detection("", ancestry=[live_process(os.getpid()), live_process(victim.pid)])
    return act


def test_deleted_program_is_recovered_byte_for_byte(act: Acting, tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy("/bin/sleep", program)
    with program.open("ab") as file:
        file.write(os.urandom(100_000))
    image = program.read_bytes()
    program.chmod(0o755)
    with subprocess.Popen([program, "60"]) as process:
        program.unlink()
        act.detection = make_detection("", ancestry=[live_process(process.pid)])
        directory = collect(act)
        process.kill()
    assert image == (directory / "program").read_bytes()
    assert [] == verify_evidence(directory)
    assert hashlib.sha256(image).hexdigest() == read_manifest(directory).files[0].sha256


def test_what_is_collected(about: Acting) -> None:
    directory = collect(about)
    assert directory.parent == about.places.evidence_dir
    assert 0o700 == directory.stat().st_mode & 0o777
    assert {0o600} == {path.stat().st_mode & 0o777 for path in directory.iterdir()}
    pid = about.detection.process.pid
    assert about.detection.event_json == (directory / "event.json").read_bytes()
    assert Path(f"/proc/{pid}/maps").read_bytes() == (directory / "maps").read_bytes()
    assert b"sleep\0" + b"60\0" == (directory / "cmdline").read_bytes()
    ancestry = json.loads((directory / "ancestry.json").read_bytes())
    assert [os.getpid(), pid] == [ancestor["pid"] for ancestor in ancestry]
    assert [0, 1, 2] == [record["fd"] for record in json.loads((directory / "descriptors.json").read_bytes())][:3]
    digest = hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    assert digest == about.entries[-1]["arguments"]["manifest_sha256"]


def test_sockets_and_environment(act: Acting) -> None:
    code = """
import socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], listening.fileno(), flush=True)
sys.stdin.read()
"""
    secrets = {"API_TOKEN": "abcdef", "PATH": "/bin", "ODD": "a=b"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=secrets) as process:
        assert process.stdout is not None
        port, fd = map(int, process.stdout.readline().split())
        act.detection = make_detection("", ancestry=[live_process(process.pid)])
        directory = collect(act)
        process.kill()
    found = [
        (record["fd"], record["table"], record["line"][1])
        for record in json.loads((directory / "sockets.json").read_bytes())
    ]
    assert [(fd, "tcp", f"{socket.htonl(0x7F000001):08X}:{port:04X}")] == found
    environment = json.loads((directory / "environment.json").read_bytes())
    assert {"API_TOKEN": "[redacted: 6 characters]", "PATH": "/bin", "ODD": "[redacted: 3 characters]"} == {
        name: environment[name] for name in secrets
    }
    assert "abcdef" not in (directory / "environment.json").read_text()


def test_process_that_is_gone(about: Acting, victim: subprocess.Popen[bytes]) -> None:
    victim.kill()
    victim.wait()
    directory = collect(about, f"program is missing: pid {victim.pid} is already gone")
    assert {"event.json", "ancestry.json", MANIFEST} == {path.name for path in directory.iterdir()}
    assert [] == verify_evidence(directory)


def test_event_without_a_process(act: Acting) -> None:
    assert [] == verify_evidence(collect(act, "program is missing: the event has no process"))


def test_program_that_is_too_large(about: Acting, configure: Change) -> None:
    configure(max_copy_bytes=1000)
    directory = collect(about, "program is missing: expected at most 1000 bytes, there are more")
    assert not (directory / "program").exists()


def test_manifest_finds_every_change(about: Acting) -> None:
    directory = collect(about)
    content = (directory / "maps").read_bytes()
    (directory / "maps").write_bytes(content[:-1] + b"x")
    (directory / "event.json").write_bytes(b"{}")
    (directory / "status").unlink()
    (directory / "more").touch()
    problems = verify_evidence(directory)
    assert ["event.json", "maps", "more", "status"] == sorted(problem.partition(":")[0] for problem in problems)
    (directory / MANIFEST).write_text("{}")
    with pytest.raises(RaqibError, match="expected a manifest"):
        verify_evidence(directory)


def test_evidence_can_be_removed_and_is_not_made_in_a_dry_run(about: Acting) -> None:
    directory = collect(about)
    assert 0 == about("RemoveDir", str(directory)).value
    assert not directory.exists()
    about.dry_run = True
    record = about("CollectEvidence")
    assert ("would", str(about.places.evidence_dir)) == (record.decision, str(Path(record.value).parent))
    assert [] == list(about.places.evidence_dir.iterdir())


@pytest.mark.parametrize("name", [MANIFEST, "maps", "event.json", "anything"])
def test_nothing_is_laid_into_evidence_that_is_being_collected(about: Acting, interfere: Interfere, name: str) -> None:
    records: list[ActionRecord] = []

    def write() -> None:
        (directory,) = about.places.evidence_dir.iterdir()
        records.extend(about(helper, f"{directory}/{name}", "forged") for helper in ("WriteFile", "AppendFile"))
        records.append(about("WriteFile", f"{directory}/new/{name}", "forged"))

    interfere(evidence, "open_process", write)
    directory = collect(about)
    assert ["refused"] * 3 == [record.decision for record in records], records
    assert [] == verify_evidence(directory)
    assert {"program", "maps", "event.json"} <= {file.name for file in read_manifest(directory).files}


def test_a_recipe_collects_so_often_a_minute(about: Acting, configure: Change) -> None:
    configure(evidence_per_minute=2)
    for _ in range(2):
        collect(about)
    record = about("CollectEvidence")
    assert ("refused", True) == (record.decision, "budget of 2 evidence a minute" in record.reason)
    assert ["evidence"] == [opened.budget for opened in about.opened]
    about.detection = msgspec.structs.replace(about.detection, recipe=make_recipe("", name="another_recipe"))
    collect(about)


def test_what_a_recipe_writes_in_a_minute(about: Acting, configure: Change) -> None:
    configure(written_bytes_per_minute=10_000)
    collect(about)
    calls = (("WriteFile", f"{about.writable}/a", "x"), ("AppendFile", f"{about.writable}/b", "x"))
    for call in (*calls, ("CopyFile", "/etc/passwd", str(about.writable)), ("CollectEvidence",)):
        record = about(*call)
        assert ("refused", True) == (record.decision, "written_bytes a minute" in record.reason), (call, record)
    assert [] == list(about.writable.iterdir())
    assert 1 == len(list(about.places.evidence_dir.iterdir()))


def test_evidence_in_all_is_bounded_and_the_oldest_is_kept(about: Acting, configure: Change) -> None:
    configure(max_evidence_bytes=1)
    first = collect(about)
    about.created = CreatedDirectories(about.places.data_dir / "directories.json")
    record = about("CollectEvidence")
    assert ("refused", True) == (record.decision, "the evidence of 'test_recipe' takes" in record.reason), record
    about.detection = msgspec.structs.replace(about.detection, recipe=make_recipe("", name="another_recipe"))
    record = about("CollectEvidence")
    assert ("refused", True) == (record.decision, "the evidence takes" in record.reason), record
    assert [first] == list(about.places.evidence_dir.iterdir())
    # What was carried away makes room.
    shutil.rmtree(first)
    assert 1 == len([collect(about)])


def test_one_recipe_leaves_room_for_the_others_evidence(about: Acting, configure: Change) -> None:
    size = sum(path.stat().st_size for path in collect(about).iterdir())
    configure(max_evidence_bytes=2 * size)
    assert "the evidence of 'test_recipe' takes" in about("CollectEvidence").reason
    about.detection = msgspec.structs.replace(about.detection, recipe=make_recipe("", name="another_recipe"))
    collect(about)


def test_free_space(about: Acting, configure: Change) -> None:
    configure(min_free_bytes=1 << 62)
    assert "bytes left" in about("CollectEvidence").reason
    assert [] == list(about.places.evidence_dir.iterdir())
