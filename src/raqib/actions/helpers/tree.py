"""The helper that kills a process with all its descendants, stopped first so that none escapes by forking."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from raqib.actions.context import ActionContext
from raqib.actions.declare import Arguments, Checked, Description, Done, Failed, Helper, Plan, Refused, Result
from raqib.actions.helpers.kill import KILL_ERRORS, WAIT_S, hold, wait_until_gone
from raqib.actions.kill_guards import refusal
from raqib.host.procfs import ProcessStat, has_exited, read_stat

STOP_S = 1.0
"""How long the whole tree may take to come to a stand; then it is killed as far as it is known."""

SPARE_FILES = 16
"""Descriptors that are left while a tree is held."""
RAISES_LIMIT = True
"""Whether a tree that needs more descriptors than are usually open gets them, up to the hard limit."""

_QUIET_ROUNDS = 2
_ROUND_S = 0.001
_STANDING = "TtZXD"
"""States in which a thread cannot fork: stopped, traced, gone, or waiting for the child that it has just forked."""


class _Node(NamedTuple):
    """A process of the tree, held by a descriptor."""

    pid: int
    pidfd: int


class _Tree:
    """What is known of a tree of processes; a process that a guard protects is left out, with all below it."""

    def __init__(self, context: ActionContext, root: _Node) -> None:
        self._context = context
        self.nodes: dict[int, _Node] = {root.pid: root}
        self.refused: dict[int, str] = {}

    def close(self) -> None:
        """Let go of all but the root, which belongs to the plan."""
        for node in list(self.nodes.values())[1:]:
            os.close(node.pidfd)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that are known."""
        _signal(self.nodes.values(), number)

    def grow(self, *, stop: bool) -> bool:
        """Look for children that are not known yet, and stop them if that is wanted; False if there were none."""
        grown = False
        known = -1
        while known != len(self.nodes):
            known = len(self.nodes)
            for pid, found in _processes():
                if found.ppid in self.nodes and pid not in self.nodes and pid not in self.refused:
                    grown |= self._add(pid, stop)
        return grown

    def _add(self, pid: int, stop: bool) -> bool:
        try:
            pidfd = _open(pid)
        except ProcessLookupError:
            return False
        except OSError as error:
            self.refused[pid] = f"it cannot be held: {error.strerror}"
            return False
        # Read after the descriptor was opened: what has this parent now is what the descriptor holds.
        found = read_stat(pid)
        if found is None or found.ppid not in self.nodes or has_exited(pidfd):
            os.close(pidfd)
            return False
        if (refused := refusal(self._context, pid, found)) is not None:
            self.refused[pid] = refused.reason
            os.close(pidfd)
            return False
        self.nodes[pid] = _Node(pid, pidfd)
        if stop:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
        return True

    def stands(self) -> bool:
        """Tell whether no thread of any of them can fork any more."""
        return all(_stands(node.pid) or has_exited(node.pidfd) for node in self.nodes.values())


def _open(pid: int) -> int:
    """Open a descriptor of a process, leaving some to those who read what the tree does. Raises OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wants_more = RAISES_LIMIT and soft < hard
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno != errno.EMFILE or not wants_more:
            raise
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return os.pidfd_open(pid)
    if pidfd >= soft - SPARE_FILES:
        if not wants_more:
            os.close(pidfd)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return pidfd


def _signal(nodes: Iterable[_Node], number: signal.Signals) -> None:
    for node in nodes:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(node.pidfd, number)


def _processes() -> list[tuple[int, ProcessStat]]:
    names = os.listdir("/proc")  # noqa: PTH208 -- a kill waits for this: no path objects
    found = ((int(name), read_stat(int(name))) for name in names if name.isdigit())
    return [(pid, status) for pid, status in found if status is not None]


def _stands(pid: int) -> bool:
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return True
    for thread in threads:
        try:
            fields = (thread / "stat").read_bytes().rpartition(b") ")[2]
        except OSError:
            continue
        if fields[:1].decode() not in _STANDING:
            return False
    return True


def _kill_tree(context: ActionContext, arguments: Arguments) -> Checked:
    if not context.detection.ancestry:
        return Failed("the event has no process")
    key = context.detection.process.key
    pidfd = hold(context, key)
    if not isinstance(pidfd, int):
        # That it is gone already is no success here: its descendants may live, and cannot be found any more.
        return Failed(pidfd.reason, pidfd.details) if isinstance(pidfd, Done) else pidfd
    tree = _Tree(context, _Node(key.pid, pidfd))

    def release() -> None:
        tree.close()
        os.close(pidfd)

    return Plan(
        lambda: _do(context, tree), would=1, look=lambda: _count(tree), details={"pid": key.pid}, release=release
    )


async def _count(tree: _Tree) -> Result:
    """Do what a dry run does: find all of them, and leave them alone."""
    await asyncio.get_running_loop().run_in_executor(None, lambda: tree.grow(stop=False))
    return Done(len(tree.nodes))


async def _do(context: ActionContext, tree: _Tree) -> Result:
    loop = asyncio.get_running_loop()
    try:
        tree.signal(signal.SIGSTOP)
        # Looking through all processes takes milliseconds: other reactions must not wait for it.
        stood = await loop.run_in_executor(None, _bring_to_a_stand, tree)
        if context.now().dry_run:
            tree.signal(signal.SIGCONT)
            return Refused("all actions were switched off meanwhile")
        chosen, spared = _within_budget(context, tree)
    except BaseException:
        tree.signal(signal.SIGKILL)
        raise
    # In this order, and the root last: when the leader of a process group ends, the kernel hangs up on what is still
    # stopped in it, and on all others with that.
    _signal(spared, signal.SIGCONT)
    _signal(chosen[::-1], signal.SIGKILL)
    gone = await asyncio.gather(*(wait_until_gone(node.pidfd) for node in chosen))
    details = {"pids": [node.pid for node in chosen], **({"refused": tree.refused} if tree.refused else {})}
    reasons = [f"pid {pid} is left alive: {why}" for pid, why in tree.refused.items()]
    if spared:
        reasons.append(f"{len(spared)} are left alive: the recipe's budget of kills a minute is used up")
    if not all(gone):
        reasons.append(f"{gone.count(False)} got the signal, but were not gone within {WAIT_S:g} s")
    if not stood:
        reasons.append(f"they did not come to a stand within {STOP_S:g} s: some may have escaped")
    return Done(sum(gone), "; ".join(reasons), details)


def _bring_to_a_stand(tree: _Tree) -> bool:
    """Find and stop all of them, until none is found any more and none can fork; False if that takes too long."""
    deadline = time.monotonic() + STOP_S
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        stood = tree.stands()
        quiet = 0 if tree.grow(stop=True) or not stood else quiet + 1
        if time.monotonic() > deadline:
            return False
        if not stood:
            time.sleep(_ROUND_S)
    return True


def _within_budget(context: ActionContext, tree: _Tree) -> tuple[list[_Node], list[_Node]]:
    """Return which of them the recipe's budget allows to kill, the root being paid for already, and the others."""
    root, *others = tree.nodes.values()
    allowed = [node for node in others if context.spend("kills")]
    return [root, *allowed], others[len(allowed) :]


HELPERS = (
    Helper(
        "KillTree",
        check=_kill_tree,
        budget="kills",
        survives_ledger_failure=True,
        about=Description(
            summary=(
                "Kills the process and all its descendants, stopped first so that none escapes by forking. Each"
                " counts in the"
                " budget; protected ones are left alone, with what is below them."
            ),
            result="The number of processes killed; `Errno()` says which were left. -1: none",
            errors=f"the process is already gone; {KILL_ERRORS}",
            example="Info(KillTree() >= 1, Errno());",
            prints="true ",
        ),
    ),
)
