from __future__ import annotations

import pytest

from raqib.actions.declare import Helper
from raqib.actions.helpers.table import HELPERS

NAMES = """
KillCurrent KillParent KillProcess KillTree NetBlockIp NetUnblockIp NetBlockIpTimer NetBlockDomain NetUnblockDomain
NetBlockDomainTimer ReadFile WriteFile AppendFile Stat HashFile CopyFile CollectEvidence CreateTempDir RemoveDir DataSet
DataGet DataDelete DataPush DataPop DataKeys DataValues DataClear DataSize DataIsEmpty DataHasKey DataHasValue DataIncr
SharedSet SharedGet SharedHasKey SharedIncr SharedDelete Notify PowerOff Panic
"""


def test_every_helper_of_the_contract_is_declared() -> None:
    assert sorted(NAMES.split()) == sorted(HELPERS)


@pytest.mark.parametrize("helper", HELPERS.values(), ids=lambda helper: helper.name)
def test_declarations_are_consistent(helper: Helper) -> None:
    assert helper.error in ("-1", '""', "null", "NaN", "false", '"[]"')
    optional = [argument.optional for argument in helper.arguments]
    assert optional in (sorted(optional), [True, False])
    # Budgets and what they tell may be used from any thread; kills and blocks wait for none.
    assert helper.place == "loop" or helper.budget not in ("kills", "blocks")
