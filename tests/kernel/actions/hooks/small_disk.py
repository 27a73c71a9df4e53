"""Runs in a mount namespace of its own: helpers on a full disk, on a read-only one, and across mounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from raqib.actions.store import Store
from raqib.testing import live_process, make_detection
from tests.unit.actions.conftest import Acting

SIZE = 256 * 1024


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def tell(record: Any) -> list[Any]:
    return [record.decision, record.value, record.reason]


def fill(path: Path, pages: int) -> None:
    """Leave so many pages on a filesystem."""
    space = os.statvfs(path.parent)
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, (space.f_bavail - pages) * space.f_frsize)


def few_inodes(act: Acting) -> dict[str, Any]:
    """There is room for bytes, and for few files."""
    mount("-t", "tmpfs", "-o", "nr_inodes=100", "none", str(act.writable))
    act.bounds = msgspec.structs.replace(act.bounds, min_free_inodes=50)
    made = [act("WriteFile", f"{act.writable}/{number}/file", "x") for number in range(50)]
    return {"refused": tell(made[-1]), "left": os.statvfs(act.writable).f_favail}


def full_disk(act: Acting) -> dict[str, Any]:
    """The write path is full to the last byte, but for what the checks of free space leave."""
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "none", str(act.writable))
    old = act.writable / "old"
    old.write_text("old")
    source = act.directory / "large"
    source.write_bytes(os.urandom(2 * SIZE))
    answers = {
        "WriteFile": tell(act("WriteFile", str(old), "x" * 2 * SIZE)),
        "AppendFile": tell(act("AppendFile", str(act.writable / "appended"), "x" * 2 * SIZE)),
        "CopyFile": tell(act("CopyFile", str(source), str(act.writable))),
        "old": old.read_text(),
        "names": sorted(path.name for path in act.writable.iterdir()),
    }
    (act.writable / "appended").unlink()
    act.places = msgspec.structs.replace(act.places, data_dir=act.writable)
    act.places.evidence_dir.mkdir()
    # A program that is larger than the disk.
    with subprocess.Popen(["bash", "-c", "read x"], stdin=subprocess.PIPE) as victim:
        act.detection = make_detection("", ancestry=[live_process(victim.pid)])
        for room in (40, 0):
            fill(act.writable / "filler", room)
            answers[f"CollectEvidence {room}"] = tell(act("CollectEvidence"))
            (act.writable / "filler").unlink()
        victim.kill()
    return answers


def full_data_directory(act: Acting) -> dict[str, Any]:
    """The data directory is full: whatever needs it is refused or fails, and works again afterwards."""
    room = act.directory / "room"
    room.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SIZE}", "none", str(room))
    store, act.store = act.store, Store(room / "store.db")
    act.store.set("test_recipe", "before", "1")
    filler = room / "filler"
    fill(filler, 0)
    answers = {
        "DataSet": tell(act("DataSet", "k", "x" * 100_000)),
        "DataPush": tell(act("DataPush", "x" * 100_000)),
        "DataGet": tell(act("DataGet", "before")),
    }
    filler.unlink()
    answers["DataSet afterwards"] = tell(act("DataSet", "k", "v"))
    answers["keys"] = act("DataKeys").value
    act.store.close()
    act.store = store
    return answers


def read_only(act: Acting) -> dict[str, Any]:
    mount("--bind", str(act.writable), str(act.writable))
    frozen = act.writable / "frozen"
    frozen.mkdir()
    mount("-t", "tmpfs", "none", str(frozen))
    (frozen / "old").write_text("old")
    made = Path(act("CreateTempDir").value)
    (made / "file").touch()
    source = act.directory / "source"
    source.write_text("x")
    mount("-o", "remount,ro", str(frozen))
    answers = {
        "WriteFile": tell(act("WriteFile", str(frozen / "old"), "new")),
        "WriteFile new": tell(act("WriteFile", str(frozen / "a" / "b"), "new")),
        "AppendFile": tell(act("AppendFile", str(frozen / "old"), "new")),
        "CopyFile": tell(act("CopyFile", str(source), str(frozen))),
        "ReadFile": tell(act("ReadFile", str(frozen / "old"))),
    }
    mount("-o", "remount,ro,bind", str(act.writable))
    answers["CreateTempDir"] = tell(act("CreateTempDir"))
    answers["RemoveDir"] = tell(act("RemoveDir", str(made)))
    return answers


def across_mounts(act: Acting) -> dict[str, Any]:
    """What is mounted within a directory that is to be removed stays as it is; so does the directory."""
    made, precious = Path(act("CreateTempDir").value), act.directory / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (made / "beside").touch()
    answers = {}
    for name, options in {"bind": ["--bind", str(precious)], "tmpfs": ["-t", "tmpfs", "none"]}.items():
        (made / "a" / name).mkdir(parents=True)
        mount(*options, str(made / "a" / name))
        answers[name] = [*tell(act("RemoveDir", str(made))), (made / "beside").exists(), (precious / "file").exists()]
        subprocess.run(["umount", str(made / "a" / name)], check=True)
    answers["without"] = tell(act("RemoveDir", str(made)))
    return answers


SCENARIOS = {
    "few_inodes": few_inodes,
    "full_disk": full_disk,
    "full_data_directory": full_data_directory,
    "read_only": read_only,
    "across_mounts": across_mounts,
}


def main() -> None:
    act = Acting(Path(sys.argv[2]))
    try:
        answers = SCENARIOS[sys.argv[1]](act)
    finally:
        act.close()
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main()
