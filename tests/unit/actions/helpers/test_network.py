from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import pytest

from raqib.actions.helpers.table import HELPERS
from raqib.actions.network_access import Kind, NetworkAccess
from raqib.errors import RefusedError
from raqib.model.execution import ActionRecord
from raqib.model.recipe import Limits
from raqib.testing import make_detection, make_recipe
from tests.unit.actions.conftest import Acting

FORBIDDEN = "192.0.2.99"


class End(NamedTuple):
    """A remote end."""

    address: str
    sure_names: tuple[str, ...]


class Blocks:
    """Remembers what is blocked."""

    def __init__(self) -> None:
        self.blocked: list[str] = []

    def check(self, kind: Kind, target: str) -> str:
        if target == FORBIDDEN:
            raise RefusedError(f"{target} is protected")
        return target

    def block(self, kind: Kind, target: str, *, owner: str, reason: str, until_ns: int | None) -> bool:
        self.blocked.append(target)
        return True

    def unblock(self, kind: Kind, target: str, *, by: str | None) -> bool:
        return False


class Network:
    """Calls helpers on a network of this many remote ends, with this budget of blocks left."""

    def __init__(self, act: Acting, *, ends: int, left: int) -> None:
        self._act = act
        self.blocks = Blocks()
        self._ends = [End(f"192.0.2.{number}", (f"n{number}.test",)) for number in range(1, ends + 1)]
        act.detection = make_detection(recipe=make_recipe("", limits=Limits(blocks_per_minute=left)))

    def __call__(self, name: str, *arguments: Any) -> ActionRecord:
        context = self._act.context
        access = NetworkAccess(self.blocks, lambda detection: self._ends)
        context = replace(context, services=replace(context.services, network=lambda: access))
        text = msgspec.json.encode(arguments).decode()
        return asyncio.run(self._act.door.perform(HELPERS[name], context, text))

    @property
    def budget_used(self) -> int:
        taken = self._act.budgets._taken.get(("blocks", "test_recipe"), ())
        return len(taken)


@pytest.mark.parametrize(
    ("name", "blocked"),
    [("NetBlockIp", ["192.0.2.1", "192.0.2.2", "192.0.2.3"]), ("NetBlockDomain", ["n1.test", "n2.test", "n3.test"])],
)
def test_what_is_paid_for_is_blocked(act: Acting, name: str, blocked: list[str]) -> None:
    network = Network(act, ends=5, left=3)
    record = network(name)
    assert ("done", 0) == (record.decision, record.value)
    assert blocked == network.blocks.blocked
    assert "2 are not blocked: the recipe's budget of 3 blocks a minute is used up" == record.reason
    arguments = act.entries[-1]["arguments"]
    assert blocked == arguments["targets"] == arguments["blocked"]
    assert 2 == len(arguments["refused"])
    assert 3 == network.budget_used
    assert [("blocks", 3)] == [(opened.budget, opened.limit) for opened in act.opened]


def test_a_budget_that_just_suffices_refuses_nothing(act: Acting) -> None:
    network = Network(act, ends=3, left=3)
    assert ("done", 0, "") == ((record := network("NetBlockIp")).decision, record.value, record.reason)
    assert 3 == network.budget_used
    assert [] == act.opened


def test_without_budget_nothing_is_blocked_or_paid_for(act: Acting) -> None:
    network = Network(act, ends=3, left=1)
    assert "done" == network("NetBlockIp", "192.0.2.50").decision
    for arguments in ([], ["192.0.2.51"]):
        record = network("NetBlockIp", *arguments)
        assert ("refused", "the recipe's budget of 1 blocks a minute is used up") == (record.decision, record.reason)
    assert ["192.0.2.50"] == network.blocks.blocked
    assert 1 == network.budget_used


def test_what_a_guard_refuses_is_not_paid_for(act: Acting) -> None:
    network = Network(act, ends=1, left=2)
    network._ends.insert(0, End(FORBIDDEN, ()))
    record = network("NetBlockIp")
    assert ("done", f"{FORBIDDEN} is protected") == (record.decision, record.reason)
    assert ["192.0.2.1"] == network.blocks.blocked
    assert "refused" == network("NetBlockIp", FORBIDDEN).decision
    assert 1 == network.budget_used


def test_a_dry_run_pays_like_a_real_one(act: Acting) -> None:
    network = Network(act, ends=5, left=3)
    act.dry_run = True
    assert ("would", 0) == ((record := network("NetBlockIp")).decision, record.value)
    assert 3 == network.budget_used
    assert 2 == len(act.entries[-1]["arguments"]["refused"])
    assert "refused" == network("NetBlockIp").decision
    assert [] == network.blocks.blocked


@pytest.mark.parametrize("name", ["NetBlockIp", "NetBlockDomain"])
def test_what_others_made_up_blocks_nothing_by_itself(act: Acting, name: str) -> None:
    network = Network(act, ends=2, left=3)
    act.detection = msgspec.structs.replace(act.detection, by_hearsay=True)
    record = network(name)
    assert "refused" == record.decision
    assert "name the server in network.resolvers" in record.reason
    assert [] == network.blocks.blocked
    assert "done" == network(name, "192.0.2.1").decision


def test_no_name_of_this_hosts_resolvers(act: Acting) -> None:
    network = Network(act, ends=0, left=3)
    network._ends = [End("192.0.2.1", ())]
    record = network("NetBlockDomain")
    assert ("error", "no remote names that a resolver of this host said") == (record.decision, record.reason)
