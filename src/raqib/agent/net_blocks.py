"""Runtime blocks as helpers use them."""

from __future__ import annotations

from raqib.actions.network_access import Kind
from raqib.netpolicy.blocks import ADMINISTRATOR, Blocks


class BlocksOfHelpers:
    """The door from the actions to the runtime blocks. May be used from any thread."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks

    def check(self, kind: Kind, target: str) -> str:
        """Return the target in its usual form. Raises RefusedError."""
        guards = self._blocks.guards
        return guards.network(target).text if kind == "network" else guards.domain(target)

    def block(self, kind: Kind, target: str, *, owner: str, reason: str, until_ns: int | None) -> bool:
        """Block it; False if it was blocked already. Raises RefusedError or RaqibError."""
        add = self._blocks.block if kind == "network" else self._blocks.block_domain
        return add(target, owner=owner, reason=reason, until_ns=until_ns)

    def unblock(self, kind: Kind, target: str, *, by: str | None) -> bool:
        """Take a block off; False if there was none. Raises RefusedError or RaqibError."""
        remove = self._blocks.unblock if kind == "network" else self._blocks.unblock_domain
        return remove(target, by=ADMINISTRATOR if by is None else by)
