from __future__ import annotations

from pathlib import Path

import pytest

from raqib.actions.switch import Switch

from .conftest import Acting


def test_it_is_armed_and_remembers_that_it_was_switched_off(tmp_path: Path) -> None:
    switch = Switch(tmp_path)
    assert switch.armed
    assert (True, False) == (switch.disarm(), switch.armed)
    assert (False, False) == (switch.disarm(), switch.armed)
    assert not Switch(tmp_path).armed
    assert (True, True) == (switch.arm(), switch.armed)
    assert (False, True) == (switch.arm(), switch.armed)
    assert Switch(tmp_path).armed


def test_what_cannot_be_kept_is_off_all_the_same(tmp_path: Path) -> None:
    directory = tmp_path / "missing"
    switch = Switch(directory)
    with pytest.raises(FileNotFoundError):
        switch.disarm()
    assert not switch.armed


def test_whatever_has_the_name_switches_off(tmp_path: Path) -> None:
    (tmp_path / "disarmed").symlink_to(tmp_path / "nowhere")
    assert not Switch(tmp_path).armed


def test_disarmed_calls_are_dry_and_say_so(act: Acting) -> None:
    path = act.writable / "file"
    act.switch.disarm()
    record = act("WriteFile", str(path), "text")
    assert ("would", 0) == (record.decision, record.value)
    assert not path.exists()
    assert 0 == act("DataSet", "key", "value").value
    assert act.store.get(act.detection.recipe.name, "key") is None
    entry = act.entries[0]
    assert ("would", True) == (entry["decision"], entry["arguments"]["disarmed"])
    act.switch.arm()
    assert "done" == act("WriteFile", str(path), "text").decision
    assert path.exists()
    assert "disarmed" not in act.entries[-1]["arguments"]
