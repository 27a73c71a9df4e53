"""Helpers that block addresses and names on the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import Literal

from raqib.actions.context import ActionContext, Services
from raqib.actions.declare import (
    Argument,
    Arguments,
    Checked,
    Description,
    Done,
    Failed,
    Helper,
    Plan,
    Refused,
    Result,
    Undo,
)
from raqib.actions.network_access import Kind, NetworkAccess, Remote
from raqib.errors import RaqibError, RefusedError
from raqib.ledger.chain import Entry
from raqib.model.clock import boottime_ns

NOT_ENABLED = "network policy is not enabled"
BY_HEARSAY = (
    "the recipe matched by a name that no resolver of this host said, so whoever made it up chose what would be"
    " blocked: say what to block, or name the server in network.resolvers"
)
NO_NAMES = "no remote names that a resolver of this host said"

_MOST_S = 10.0 * 365 * 86400
_MOST_TARGETS = 256
"""Of one call without argument."""

Check = Callable[[ActionContext, Arguments], Checked]


def _block(context: ActionContext, kind: Kind, targets: list[str], until_ns: int | None) -> Checked:
    access = context.services.network()
    if access is None:
        return Refused(NOT_ENABLED)
    permitted, refused = _guarded(access, kind, targets)
    allowed, unpaid = _within_budget(context, permitted)
    refused |= unpaid
    if not allowed:
        return Refused("; ".join(dict.fromkeys(refused.values())))
    reasons = [reason for target, reason in refused.items() if target not in unpaid]
    if unpaid:
        reasons.append(f"{len(unpaid)} are not blocked: {context.used_up('blocks')}")
    blocks, owner, uuid = access.blocks, context.recipe, context.detection.event.uuid

    def do() -> Result:
        new: list[str] = []
        problems = list(reasons)
        for target in allowed:
            try:
                if blocks.block(kind, target, owner=owner, reason=f"event {uuid}", until_ns=until_ns):
                    new.append(target)
            except RaqibError as error:
                problems.append(str(error))
        if len(problems) - len(reasons) == len(allowed):
            return Failed("; ".join(problems))
        if not new:
            problems.append("it was blocked already" if len(targets) == 1 else "all were blocked already")
        return Done(0 if new else 1, "; ".join(problems), {"blocked": new})

    details = {"targets": allowed, **({"refused": refused} if refused else {})}
    return Plan(do, would=0, details=details, paid=True)


def _guarded(access: NetworkAccess, kind: Kind, targets: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the targets, each once, that the guards allow to block, and why they refuse the others."""
    permitted: dict[str, None] = {}
    refused: dict[str, str] = {}
    for target in targets:
        try:
            permitted[access.blocks.check(kind, target)] = None
        except RefusedError as error:
            refused[target] = str(error)
    return list(permitted), refused


def _within_budget(context: ActionContext, targets: list[str]) -> tuple[list[str], dict[str, str]]:
    """Take from the recipe's budget for each target; return those that are paid for, and why the others are not."""
    paid = list(takewhile(lambda target: context.spend("blocks"), targets))
    return paid, dict.fromkeys(targets[len(paid) :], context.used_up("blocks"))


def _block_given_or_all(kind: Kind, all_of: Callable[[Remote], Iterable[str]]) -> Check:
    """Return the check of a helper that, without argument, blocks what all remote ends of the process are."""

    def check(context: ActionContext, arguments: Arguments) -> Checked:
        if arguments:
            return _block(context, kind, [arguments[0]], None)
        access = context.services.network()
        if access is None:
            return Refused(NOT_ENABLED)
        if context.detection.by_hearsay:
            return Refused(BY_HEARSAY)
        found = dict.fromkeys(target for remote in access.remotes(context.detection) for target in all_of(remote))
        if not found:
            return Failed("no remote addresses" if kind == "network" else NO_NAMES)
        return _block(context, kind, list(found)[:_MOST_TARGETS], None)

    return check


def _until(seconds: float) -> int | Failed:
    if not 0 < seconds <= _MOST_S or math.isnan(seconds):
        return Failed(f"expected seconds above 0 and at most {_MOST_S:g}, got {seconds:g}")
    return boottime_ns() + int(seconds * 1e9)


def _block_for(kind: Kind) -> Check:
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        until_ns = _until(arguments[1])
        return until_ns if isinstance(until_ns, Failed) else _block(context, kind, [arguments[0]], until_ns)

    return check


def _unblock(kind: Kind) -> Check:
    def check(context: ActionContext, arguments: Arguments) -> Checked:
        access = context.services.network()
        if access is None:
            return Refused(NOT_ENABLED)
        blocks, owner = access.blocks, context.recipe

        def do() -> Result:
            try:
                taken = blocks.unblock(kind, arguments[0], by=owner)
            except RefusedError as error:
                return Refused(str(error))
            except RaqibError as error:
                return Failed(str(error))
            return Done(0) if taken else Done(1, "it was not blocked")

        return Plan(do, would=0)

    return check


def _undo(kind: Kind) -> Undo:
    def do(services: Services, entry: Entry) -> Result:
        access = services.network()
        if access is None:
            return Failed(f"{NOT_ENABLED} here: raqib blocks remove takes off what is in force")
        targets = [str(target) for target in entry.arguments.get("blocked", ())]
        try:
            taken = sum(access.blocks.unblock(kind, target, by=None) for target in targets)
        except RaqibError as error:
            return Failed(str(error))
        return Done(taken, "" if taken == len(targets) else "some were not blocked any more")

    return Undo("takes the blocks off", do)


_BLOCK_IP = _block_given_or_all("network", lambda remote: (remote.address,))
_BLOCK_DOMAIN = _block_given_or_all("domain", lambda remote: remote.sure_names)
_IP = Argument("ip", "string")
_DOMAIN = Argument("domain", "string")
_SECONDS = Argument("seconds", "number")


def _helper(
    name: str, arguments: tuple[Argument, ...], check: Check, kind: Kind | None, *, about: Description
) -> Helper:
    undo = None if kind is None else _undo(kind)
    budget: Literal["blocks"] | None = None if kind is None else "blocks"
    # Like kills, blocks do not wait until the ledger can be written again.
    return Helper(
        name, arguments, about=about, check=check, budget=budget, survives_ledger_failure=kind is not None, undo=undo
    )


_ERRORS = (
    "network policy is not enabled; a guard (loopback, own addresses, gateways, resolvers, protected or too wide"
    " networks, single labels); no remote addresses or names; the recipe's budget"
)

HELPERS = (
    _helper(
        "NetBlockIp",
        (Argument("ip", "string", optional=True),),
        _BLOCK_IP,
        "network",
        about=Description(
            summary=(
                "Blocks an address or a range; without argument every remote address in the flows of the event's"
                " process, unless the recipe matched only by names that no resolver of this host said."
            ),
            result="0: blocked. 1: all were blocked already. -1: not blocked",
            errors=_ERRORS,
            example="if (NetBlockIp('198.51.100.7') < 0) Error(Errno());\nInfo(NetBlockIp('198.51.100.7'));",
            prints="1",
        ),
    ),
    _helper(
        "NetUnblockIp",
        (_IP,),
        _unblock("network"),
        None,
        about=Description(
            summary="Takes off a block that a reaction or an administrator set at run time.",
            result="0: taken off. 1: it was not blocked. -1: not taken off",
            errors=_ERRORS,
            example="NetBlockIp('198.51.100.8');\nInfo(NetUnblockIp('198.51.100.8'), NetUnblockIp('198.51.100.8'));",
            prints="0 1",
        ),
    ),
    _helper(
        "NetBlockIpTimer",
        (_IP, _SECONDS),
        _block_for("network"),
        "network",
        about=Description(
            summary="Blocks an address or a range for so many seconds; the block ends by itself.",
            result="0: blocked. 1: it was blocked already. -1: not blocked",
            errors=_ERRORS,
            example="Info(NetBlockIpTimer('203.0.113.0/24', 60));",
            prints="0",
        ),
    ),
    _helper(
        "NetBlockDomain",
        (Argument("domain", "string", optional=True),),
        _BLOCK_DOMAIN,
        "domain",
        about=Description(
            summary=(
                "Blocks the resolution of a name, and the addresses that it resolves to; without argument every"
                " remote name in the flows that a resolver of this host said."
            ),
            result="0: blocked. 1: it was blocked already. -1: not blocked",
            errors=_ERRORS,
            example="Info(NetBlockDomain('bad.example.com'));",
            prints="0",
        ),
    ),
    _helper(
        "NetUnblockDomain",
        (_DOMAIN,),
        _unblock("domain"),
        None,
        about=Description(
            summary="Takes off the block of a name.",
            result="0: taken off. 1: it was not blocked. -1: not taken off",
            errors=_ERRORS,
            example="NetBlockDomain('worse.example.com');\nInfo(NetUnblockDomain('worse.example.com'));",
            prints="0",
        ),
    ),
    _helper(
        "NetBlockDomainTimer",
        (_DOMAIN, _SECONDS),
        _block_for("domain"),
        "domain",
        about=Description(
            summary="Blocks a name for so many seconds.",
            result="0: blocked. 1: it was blocked already. -1: not blocked",
            errors=_ERRORS,
            example="Info(NetBlockDomainTimer('once.example.com', 60));",
            prints="0",
        ),
    ),
)
