"""The helpers that take the host down, refused; the real thing is tried in virtual machines (tests/vm/emergency.py)."""

from __future__ import annotations

import os

import pytest

from raqib.actions.settings import EmergencySettings
from tests.unit.actions.conftest import Acting, Change

BOTH = pytest.mark.parametrize("helper", ["PowerOff", "Panic"])


@BOTH
def test_is_refused_by_default(act: Acting, helper: str) -> None:
    record = act(helper)
    assert ("refused", "emergency helpers are switched off (emergency.enabled)") == (record.decision, record.reason)
    assert [(helper, "refused")] == [(entry["action"], entry["decision"]) for entry in act.entries]
    assert [] == act.machine.reached


@BOTH
def test_needs_both_settings(act: Acting, configure: Change, helper: str) -> None:
    other = {"PowerOff": "Panic", "Panic": "PowerOff"}[helper]
    for settings in (
        EmergencySettings(enabled=False, helpers=(helper,)),  # type: ignore[arg-type]
        EmergencySettings(enabled=True),
        EmergencySettings(enabled=True, helpers=(other,)),  # type: ignore[arg-type]
    ):
        configure(emergency=settings)
        assert "refused" == act(helper).decision
    assert [] == act.machine.reached


@BOTH
def test_arguments_are_an_error(act: Acting, configure: Change, helper: str) -> None:
    configure(emergency=EmergencySettings(enabled=True, helpers=("PowerOff", "Panic")))
    assert f"{helper}: expected no arguments, got 1" == act(helper, "now").reason
    assert [] == act.machine.reached


@BOTH
def test_dry_run_stays_up(act: Acting, configure: Change, helper: str) -> None:
    configure(emergency=EmergencySettings(enabled=True, helpers=("PowerOff", "Panic")))
    act.dry_run = True
    record = act(helper)
    assert ("would", 0) == (record.decision, record.value)
    assert [] == act.machine.reached


@BOTH
def test_without_a_ledger_it_is_refused(act: Acting, configure: Change, helper: str) -> None:
    configure(emergency=EmergencySettings(enabled=True, helpers=("PowerOff", "Panic")))
    working, act.ledger._fd = act.ledger._fd, os.open("/dev/full", os.O_WRONLY)
    for _ in range(2):
        record = act(helper)
        assert ("refused", True) == (record.decision, "the ledger cannot be written" in record.reason)
    os.close(act.ledger._fd)
    act.ledger._fd = working
    assert [] == act.machine.reached


@BOTH
def test_what_is_switched_off_at_the_last_moment_stays_up(act: Acting, configure: Change, helper: str) -> None:
    configure(emergency=EmergencySettings(enabled=True, helpers=("PowerOff", "Panic")))
    sync = act.ledger.sync

    def sync_and_switch_off() -> None:
        sync()
        act.switch.disarm()

    act.ledger.sync = sync_and_switch_off  # type: ignore[method-assign]
    record = act(helper)
    assert ("refused", "all actions were switched off meanwhile") == (record.decision, record.reason)
    assert ("would", 0) == ((record := act(helper)).decision, record.value)
    assert [] == act.machine.reached
