"""What helpers need of the network, as the agent gives it to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from raqib.model.detection import Detection

Kind = Literal["network", "domain"]


class NetworkBlocks(Protocol):
    """Runtime blocks. Each method raises RefusedError where a guard says no, RaqibError where the kernel does."""

    def check(self, kind: Kind, target: str) -> str:
        """Return the target as it is known afterwards, if it may be blocked."""

    def block(self, kind: Kind, target: str, *, owner: str, reason: str, until_ns: int | None) -> bool:
        """Block it, until a time of CLOCK_BOOTTIME; False if it was blocked already."""

    def unblock(self, kind: Kind, target: str, *, by: str | None) -> bool:
        """Take a block off on behalf of a recipe, or of an administrator (None); False if there was none."""


class Remote(Protocol):
    """The other end of a flow."""

    @property
    def address(self) -> str:
        """Its address."""

    @property
    def sure_names(self) -> tuple[str, ...]:
        """Its names, as far as this host's resolvers said them."""


@dataclass(frozen=True, slots=True)
class NetworkAccess:
    """What helpers have of the network while a network policy is enabled."""

    blocks: NetworkBlocks
    remotes: Callable[[Detection], Iterable[Remote]]
    """The other ends of all flows of an event's process until now."""
