"""The policy in force: what a file says, what was blocked at run time, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import structlog

from raqib.errors import UsageError
from raqib.kernel.object import BpfObject
from raqib.model.clock import boottime_ns
from raqib.netpolicy.blocks import Block, Blocks, Resolved
from raqib.netpolicy.drops import Drop, Source, decode_count, decode_drop
from raqib.netpolicy.guards import Guards, cut_off, cut_off_message, may_cut_off
from raqib.netpolicy.host import Host
from raqib.netpolicy.sockets import Reaper
from raqib.netpolicy.spec import DomainRule, PolicySpec, Verdict
from raqib.netpolicy.tables import DROP_INTERVAL_NS, SHORTEST_DENIAL_NS, Tables

_FEW = 1000
_EPOCHS = 4
"""How many earlier policies are remembered: records of them may still come."""


class NetworkPolicy:
    """Belongs to one thread, except `blocks`."""

    def __init__(
        self,
        bpf: BpfObject,
        host: Callable[[], Host],
        *,
        protected: Iterable[str] = (),
        shared: Path | None = None,
        resolved: Resolved = lambda _: (),
        drop_interval_ns: int = DROP_INTERVAL_NS,
        shortest_denial_ns: int = SHORTEST_DENIAL_NS,
    ) -> None:
        """Take over what the maps hold. `host` is what must not be cut off; `protected` are networks never blocked.

        `shared` is the directory where the maps are pinned, if they are: commands change them, too. `resolved` knows
        what names were resolved to; it is called from any thread.
        """
        self._host = host
        self.tables = Tables(bpf, shared)
        self._drop_interval_ns = drop_interval_ns
        self._drops = bpf.map("net_drops", "struct net_drop_key", "struct net_drop_count")
        self.tables.activate(drop_interval_ns=drop_interval_ns, shortest_denial_ns=shortest_denial_ns)
        self.reaper = Reaper(bpf)
        self.reaper.start()
        self._guards = Guards(host, protected)
        self.blocks = Blocks(self.tables, self._guards, self.reaper.request, resolved)
        self._epochs: dict[int, tuple[PolicySpec, dict[int, DomainRule]]] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._blocks_seen: dict[tuple[Source, int], Block] = {}
        self._looked_at = 0.0
        self._followed = 0
        self._judged: tuple[frozenset[bytes], frozenset[bytes]] | None = None
        self._log = structlog.get_logger()
        self._epoch = self.tables.config().policies[self.tables.config().active].epoch
        self.refresh()

    def use(self, policy: PolicySpec) -> None:
        """Put a policy in force as a whole, in the place of the one before.

        Raises:
            UsageError: it would cut this host from its gateway or resolvers, and does not say `i_know: true`.
            RaqibError: the kernel refuses it.
        """
        host = self._host()
        if lost := cut_off(policy, host):
            raise UsageError(cut_off_message(lost))
        if may_cut_off(policy) and not (host.gateways and host.resolvers):
            self._log.warning("network policy: this host has no gateway or no resolver that it could be cut off from")
        self._judged = host.gateways, host.resolvers
        self._epoch += 1
        self._epochs[self._epoch] = policy, self.tables.load(policy, self._epoch)
        self._verdicts = {rule.domain: rule.policy for rule in policy.domains}
        for old in sorted(self._epochs)[:-_EPOCHS]:
            del self._epochs[old]
        self.reaper.request()

    def refresh(self) -> None:
        """Take away what has ended, and look who the resolvers are."""
        self.blocks.sweep()
        self.tables.sweep()
        host = self._host()
        # None at all is never meant: the file that names them may be being written just now.
        if host.resolvers:
            self.tables.set_resolvers(host.resolvers)
        self.tables.set_guarded(self._guards.kept())
        self._judge_anew(host)

    def _judge_anew(self, host: Host) -> None:
        """Warn if this host has got a gateway or a resolver that the policy in force denies."""
        policy, _ = self._epochs.get(self._epoch, (PolicySpec(), {}))
        if self._judged == (host.gateways, host.resolvers):
            return
        self._judged = host.gateways, host.resolvers
        if lost := cut_off(policy, host):
            self._log.warning("network policy: it cuts this host off; add allow rules", denied=lost)

    def follow(self) -> None:
        """Catch up with what others have blocked; costs next to nothing where nothing has changed."""
        generation = self.tables.switch().generation
        if generation != self._followed:
            self._followed = generation
            self.blocks.catch_up()

    def decode(self, raw: Any) -> Drop:
        """Return what a `struct net_record *` of a drop says."""
        return decode_drop(raw, self.describe)

    def unreported(self) -> Iterator[Drop]:
        """Yield what was counted, but not told because it was told of shortly before, and count it anew.

        So many at once at most that the daemon does not drown; the others follow.
        """
        told = 0
        for key, value in self._drops.entries():
            if told == _FEW:
                return
            if value.unreported and boottime_ns() - value.reported_ns >= self._drop_interval_ns:
                told += 1
                yield decode_count(key, value, self.describe)
                # What is counted between reading and writing is lost: it is a count, not a record.
                value.unreported, value.reported_ns = 0, boottime_ns()
                self._drops.set(key, value)

    def describe(self, source: Source, rule: int, epoch: int) -> str:
        """Return a rule in words."""
        policy, domains = self._epochs.get(epoch, (None, {}))
        match source:
            case "default":
                return f"cidr_policy: {policy.cidr_policy}" if policy else "cidr_policy: deny"
            case "rule":
                if policy is None or rule >= len(policy.cidrs):
                    return "a rule of an earlier policy"
                found = policy.cidrs[rule]
                return f"cidr: {found.prefix}, policy: {found.policy}"
            case "domain":
                if not rule:
                    return "resolve_policy: deny"
                domain = domains.get(rule)
                return f"domain: {domain.domain}, policy: {domain.policy}" if domain else "a rule of an earlier policy"
            case "block" | "domain_block":
                return self._describe_block(source, rule)

    def denies(self, name: str) -> bool:
        """Tell whether a name must not be resolved, by the policy last put in force and the blocks."""
        policy, _ = self._epochs.get(self._epoch, (PolicySpec(), {}))
        labels = name.lower().rstrip(".").split(".")
        above = [".".join(labels[at:]) for at in range(len(labels))]
        if self.blocks.has_domain(above):
            return True
        verdicts = (self._verdicts[domain] for domain in above if domain in self._verdicts)
        return next(verdicts, policy.resolve_policy) == "deny"

    def summary(self) -> dict[str, Any]:
        """Return what is in force: modes, defaults, and how many rules and blocks. Takes a moment with many blocks."""
        policy, _ = self._epochs.get(self._epoch, (PolicySpec(), {}))
        return {
            "off": bool(self.tables.switch().off),
            "cidr_mode": policy.cidr_mode,
            "cidr_policy": policy.cidr_policy,
            "cidr_rules": len(policy.cidrs),
            "resolve_mode": policy.resolve_mode,
            "resolve_policy": policy.resolve_policy,
            "domain_rules": len(policy.domains),
            "blocks": self.blocks.counts(),
        }

    def _describe_block(self, source: Source, rule: int) -> str:
        known = self._blocks_seen.get((source, rule))
        # There may be tens of thousands, and a recipe may be adding to them just now.
        if known is None and (len(self._blocks_seen) < _FEW or time.monotonic() - self._looked_at > 1.0):
            self._looked_at = time.monotonic()
            self._blocks_seen = {self._source_of(block): block for block in self.blocks.list()}
            known = self._blocks_seen.get((source, rule))
        if known is None:
            return "a block that has ended"
        return f"block of {known.target} by {known.owner}: {known.reason}"

    def _source_of(self, block: Block) -> tuple[Source, int]:
        is_domain = block.kind == "domain"
        return ("domain_block", self.tables.hash_of(block.target)) if is_domain else ("block", block.id)

    def close(self) -> None:
        """Let go of the maps; what is pinned stays in force."""
        self.reaper.close()
