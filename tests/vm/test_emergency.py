"""`make vm-emergency` as tests, so that it runs beside the others: only where RAQIB_TEST_VM=1 says so."""

from __future__ import annotations

import pytest

from tests.vm.emergency import SIGNS, TIMEOUT_S, attempt


@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.parametrize("helper", SIGNS)
def test_the_machine_goes_down_and_the_ledger_was_on_the_disk(helper: str) -> None:
    found, console = attempt(helper)
    assert [] == found, console
