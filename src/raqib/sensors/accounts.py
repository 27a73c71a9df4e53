"""Who uses what all processes share, and who lost something: the kernel side's accounts of users."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from raqib.kernel.layout import constant
from raqib.kernel.object import BpfObject
from raqib.model.process import ProcessKey

KINDS = {"records": "LOSS_WATCHED", "names": "LOSS_NAME", "unresolved_names": "LOSS_BUDGET"}
"""What can be lost, and how the kernel side calls it."""

OTHERS: int = constant("ACCOUNT_OTHERS")
"""Stands for all users for whom there was no room."""


class Lost(msgspec.Struct, frozen=True):
    """What one user lost since it was last asked for."""

    kind: str
    uid: int
    count: int
    process: ProcessKey
    """The latest that lost something."""


class Account(NamedTuple):
    """What a user has and had, with all users of the user namespaces that it made."""

    uid: int
    records: int
    """Sent since the start."""
    watched: int
    """Entries in `watched`."""


class Accounts:
    """Belongs to one sensor."""

    def __init__(self, bpf: BpfObject) -> None:
        self._accounts = bpf.map("accounts", "uint32_t", "struct account")
        self._accounts.set(self._accounts.key(OTHERS), self._accounts.value({"id": OTHERS}))
        self._lost: dict[tuple[int, str], int] = {}

    def lost(self) -> list[Lost]:
        """Return what was lost since this was last asked. Goes over all users."""
        found = []
        for key, account in self._accounts.entries():
            for kind, name in KINDS.items():
                total = account.lost[constant(name)]
                count = total - self._lost.get((key[0], kind), 0)
                if count:
                    self._lost[key[0], kind] = total
                    loser = ProcessKey(account.loser.pid, account.loser.start_ns)
                    found.append(Lost(kind, key[0], count, loser))
        return found

    def all(self) -> list[Account]:
        """Return every user that did anything that was to be told."""
        return [Account(key[0], account.records, account.share.watched) for key, account in self._accounts.entries()]
