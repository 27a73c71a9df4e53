from __future__ import annotations

from pathlib import Path

import pytest

from raqib.config.config import Config, PrintersConfig
from raqib.control import doctor


def disks(tmp_path: Path) -> dict[str, tuple[str, str]]:
    settings = Config(printers=PrintersConfig(varlog_path=tmp_path / "not" / "there" / "events.jsonl"))
    return {disk.feature: (disk.verdict, disk.detail) for disk in doctor._disks(settings, tmp_path)}


def test_disks_have_room(tmp_path: Path) -> None:
    found = disks(tmp_path)
    assert {"disk of the data directory", "disk of the event log"} == set(found)
    assert {"yes"} == {verdict for verdict, _ in found.values()}
    assert found["disk of the event log"][1].startswith(f"{tmp_path}/not/there: ")


@pytest.mark.parametrize("limit", ["LITTLE_BYTES", "FEW_INODES"])
def test_disks_have_none(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, limit, 1 << 60)
    for verdict, detail in disks(tmp_path).values():
        assert "no" == verdict
        assert "make room" in detail


def test_losses_are_told_by_their_place() -> None:
    status = {
        "sensors": {"records": 9, "lost_watched": 2},
        "network": {"lost_sockets": 3},
        "printers": {"stdout": {"dropped": 1, "failed": 1}, "varlog": {"dropped": 0, "failed": 0}},
    }
    [told] = doctor._losses(status)
    assert "no" == told.verdict
    assert told.detail.startswith("5 records in the kernel")
    assert "2 events by the printer stdout; raqib status" in told.detail
    [told] = doctor._losses({"sensors": {}, "network": None, "printers": {}})
    assert "yes" == told.verdict
