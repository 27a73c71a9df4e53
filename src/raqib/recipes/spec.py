"""A recipe as checked: what takes part in matching, beside the `RecipeInfo` that later stages need."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from raqib.model.actions import ALL_ACTIONS, FileAction
from raqib.model.flow import ALL_FLOW_ACTIONS, FlowAction
from raqib.model.recipe import RecipeInfo
from raqib.model.where import Where
from raqib.recipes.networks import DomainMatch, DomainSet, NetworkSet

Mechanism = Literal["file_access", "execution", "network_peers", "env_vars"]
Breed = Literal[
    "file_access", "execution", "env_vars", "remote_domains", "remote_cidrs", "local_domains", "local_cidrs"
]
When = Literal["smaller", "bigger", "equal"]
TimesKind = Literal[
    "times_per_proc",
    "times_per_parent_proc",
    "times_per_exe",
    "times_per_parent_exe",
    "times_per_cmd",
    "times_per_full_ancestry",
    "times_per_hostname",
    "times_per_host",
]
Because = Literal["bases", "file_actions", "flow", "flow_actions", "arbitrary", "times"]
PlainValue = str | int | float | bool | None


class Pattern(msgspec.Struct, frozen=True):
    """Names of files: all that is given must hold."""

    base: bytes | None = None
    dir: bytes | None = None
    """Without trailing slash, except for the root."""
    regex: str | None = None
    """RE2, searched in the absolute path, or below `dir` in the relative one."""


class FilePart(msgspec.Struct, frozen=True):
    """Which actions on which files."""

    actions: FileAction = ALL_ACTIONS
    """After macros and exclusion."""
    all: bool = False
    """All of them are needed, not one."""
    patterns: tuple[Pattern, ...] = ()
    """Any of them suffices; none means any file."""


class Item(msgspec.Struct, frozen=True):
    """One test of one fact; exactly one of `pattern`, `numbers`, `time`, `cidr` is given."""

    what: str
    """The canonical name of the fact."""
    pertinent: bool
    pattern: str | None = None
    numbers: tuple[int, ...] | None = None
    time: datetime | None = None
    cidr: str | None = None
    when: When = "equal"
    index: int | None = None
    """Which argument `arg` is about; None means any."""


class Group(msgspec.Struct, frozen=True):
    """A group of `arbitrary`: an event passes if every group ends pertinent."""

    every: bool
    """`how: AND`: all pertinent items are needed, not one."""
    pertinent: bool
    """What holds if no item decides."""
    items: tuple[Item, ...] = ()


class TimesLimit(msgspec.Struct, frozen=True):
    """At most `max` events for each value of what `kind` names."""

    kind: TimesKind
    max: int


class DomainList(msgspec.Struct, frozen=True, eq=False):
    """A file of names, as it was read; equal only to itself."""

    path: str
    entries: DomainSet


class NetworkList(msgspec.Struct, frozen=True, eq=False):
    """A file of networks, as it was read; equal only to itself."""

    path: str
    entries: NetworkSet


class NetworkPart(msgspec.Struct, frozen=True):
    """Which flows; an empty field means any."""

    protocols: tuple[str, ...] = ()
    local_ports: tuple[int, ...] = ()
    remote_ports: tuple[int, ...] = ()
    local_cidrs: tuple[str, ...] = ()
    remote_cidrs: tuple[str, ...] = ()
    local_domains: tuple[str, ...] = ()
    remote_domains: tuple[str, ...] = ()
    local_domains_type: DomainMatch = "exact"
    remote_domains_type: DomainMatch = "exact"
    remote_domain_lists: tuple[DomainList, ...] = ()
    """Lists in files, of the type of `remote_domains`, of which they are a part."""
    remote_cidr_lists: tuple[NetworkList, ...] = ()
    flow_actions: FlowAction = ALL_FLOW_ACTIONS
    """After exclusion."""
    flow_actions_all: bool = False


class SampleProcess(msgspec.Struct, frozen=True):
    """A process in a sample event; None is filled in."""

    exe: str | None = None
    args: tuple[str, ...] | None = None
    comm: str | None = None
    uid: int | None = None
    pid: int | None = None
    envs: tuple[str, ...] = ()
    prev_exe: str | None = None
    prev_args: tuple[str, ...] = ()
    retcode: int | None = None
    user: str | None = None
    cwd: str | None = None
    where: Where | None = None


class SampleFile(msgspec.Struct, frozen=True):
    """The file of a sample event; None is filled in."""

    path: str | None = None
    actions: FileAction | None = None
    aliases: tuple[str, ...] = ()


class SamplePeer(msgspec.Struct, frozen=True):
    """One side of a sample flow; None is filled in."""

    address: str | None = None
    port: int | None = None
    names: tuple[str, ...] | None = None


class SampleFlow(msgspec.Struct, frozen=True):
    """The flow of a sample event; None is filled in."""

    proto: str | None = None
    local: SamplePeer = SamplePeer()
    remote: SamplePeer = SamplePeer()
    actions: FlowAction | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class SampleEvent(msgspec.Struct, frozen=True):
    """A sample event: only what matters."""

    process: SampleProcess = SampleProcess()
    ancestors: tuple[SampleProcess, ...] = ()
    """Nearest first."""
    file: SampleFile = SampleFile()
    flow: SampleFlow = SampleFlow()


class ExpectedCall(msgspec.Struct, frozen=True):
    """A helper that a reaction is expected to call; None means any arguments."""

    name: str
    args: tuple[PlainValue, ...] | None = None


class RecipeTest(msgspec.Struct, frozen=True):
    """A sample event and what the recipe shall make of it."""

    name: str
    event: SampleEvent
    match: bool
    because: Because | None = None
    """The stage at which it shall fail."""
    calls: tuple[ExpectedCall, ...] | None = None
    repeat: int = 1
    """How often the event happens, each time in a new process; what is expected is of the last."""


class RecipeSpec(msgspec.Struct, frozen=True):
    """A checked recipe."""

    info: RecipeInfo
    mechanism: Mechanism
    breed: Breed
    enabled: bool = True
    file: FilePart | None = None
    """For `file_access`, `execution` and `env_vars`."""
    network: NetworkPart | None = None
    """For `network_peers`."""
    groups: tuple[Group, ...] = ()
    times: tuple[TimesLimit, ...] = ()
    tests: tuple[RecipeTest, ...] = ()

    @property
    def name(self) -> str:
        """The recipe's unique name."""
        return self.info.name
