"""The event: what printers write and what a reaction gets as `data`. One JSON object a detection.

A field that could not be read is absent, never invented. Names, paths and arguments are bytes in the kernel; here
they are text, U+FFFD standing for what is not UTF-8, and the exact bytes are beside it in a field ending in `_b64`.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

EventType = Literal[
    "file_access",
    "execution",
    "network_peer",
    "flow",
    "dropip",
    "dropdomain",
    "env_vars",
    "outcome",
    "attenuation",
    "notify",
    "agent",
    "repeated",
]


class _Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A part of an event; members left at their default are not written."""


class Attack(_Part):
    """The ATT&CK identifiers that a recipe's names resolve to."""

    tactic: str | None = None
    technique: str | None = None
    subtechnique: str | None = None


class Metadata(_Part):
    """What the recipe says of itself."""

    kind: str
    name: str
    format: EventType
    version: str | None = None
    description: str | None = None
    tactic: str | None = None
    technique: str | None = None
    subtechnique: str | None = None
    importance: str | None = None
    documentation: str | None = None
    attack: Attack | None = None


class Score(_Part):
    """How bad and how sure: severity 0-100, confidence 0-1, risk_score = severity * confidence."""

    severity: int | UnsetType = UNSET
    severity_level: str | None = None
    confidence: float | UnsetType = UNSET
    risk_score: float | UnsetType = UNSET
    reasons: list[str] = []


class NamespaceIds(_Part):
    """Inode numbers of a process's namespaces."""

    mnt_ns: int | None = None
    pid_ns: int | None = None
    uts_ns: int | None = None
    ipc_ns: int | None = None
    net_ns: int | None = None
    cgroup_ns: int | None = None


class ProcessInfo(_Part):
    """A process in an event; pids are those of the host's pid namespace, `ns_pid` is the one inside its own."""

    uuid: str | None = None
    start: str | None = None
    exit: str | None = None
    retcode: int | UnsetType = UNSET
    uid: int | UnsetType = UNSET
    pid: int | UnsetType = UNSET
    ns_pid: int | UnsetType = UNSET
    ppid: int | UnsetType = UNSET
    comm: str | None = None
    comm_b64: str | None = None
    cmd: str | None = None
    cmd_b64: str | None = None
    exe: str | None = None
    exe_b64: str | None = None
    args: list[str] | UnsetType = UNSET
    args_b64: list[str] | None = None
    envs: list[str] = []
    envs_b64: list[str] | None = None
    loader: str | None = None
    loader_b64: str | None = None
    prev_exe: str | None = None
    prev_exe_b64: str | None = None
    prev_args: list[str] = []
    prev_args_b64: list[str] | None = None
    prev_loader: str | None = None
    prev_loader_b64: str | None = None
    namespaces: NamespaceIds | None = None
    container: dict[str, str] | None = None


class Owner(_Part):
    """Who owns a file."""

    uid: int | UnsetType = UNSET
    gid: int | UnsetType = UNSET
    user: str | None = None
    group: str | None = None


class FileMetadata(_Part):
    """What stat(2) says, and the hash where it was asked for."""

    size: int | UnsetType = UNSET
    mtime: str | None = None
    inode: int | None = None
    device: str | None = None
    sha256: str | None = None


class FileInfo(_Part):
    """The file of an event; one boolean an action beside the list of their names."""

    file: str | None = None
    path: str | None = None
    path_b64: str | None = None
    dir: str | None = None
    basename: str | None = None
    type: str | None = None
    actions: list[str] | UnsetType = UNSET
    fasync: bool | UnsetType = UNSET
    flock: bool | UnsetType = UNSET
    fsync: bool | UnsetType = UNSET
    llseek: bool | UnsetType = UNSET
    mmap: bool | UnsetType = UNSET
    open: bool | UnsetType = UNSET
    read: bool | UnsetType = UNSET
    write: bool | UnsetType = UNSET
    rename: bool | UnsetType = UNSET
    truncate: bool | UnsetType = UNSET
    unlink: bool | UnsetType = UNSET
    create: bool | UnsetType = UNSET
    close: bool | UnsetType = UNSET
    link: bool | UnsetType = UNSET
    execve: bool | UnsetType = UNSET
    owner: Owner | None = None
    permissions: str | None = None
    metadata: FileMetadata | None = None
    aliases: list[str] = []
    """Further names of the same file: as used, within its own filesystem."""
    aliases_b64: list[str] | None = None
    host_path: str | None = None
    """What the host calls it, where that is known and differs from `path`."""
    host_path_b64: str | None = None
    as_given: bool = False
    """True if `path` is what the program named, not what was reached."""
    deleted: bool = False


class ListedFile(_Part):
    """A file that the process accessed."""

    path: str
    base: str
    actions: tuple[str, ...]
    path_b64: str | None = None
    mode: str | None = None
    owner: Owner | None = None
    metadata: FileMetadata | None = None


class Directory(_Part):
    """A node of the tree of accessed files."""

    path: str
    base: str
    dirs: list[Directory] | UnsetType = UNSET
    files: list[ListedFile] | UnsetType = UNSET


class FileTree(_Part):
    """What the process accessed, as a tree."""

    root: Directory


class Endpoint(_Part):
    """One side of a flow."""

    address: str | None = None
    name: str | None = None
    names: list[str] | UnsetType = UNSET
    names_from: Literal["resolver", "unlisted"] | None = None
    """Absent if all names are of resolvers of this host. Else some are of a server that only the process's namespace
    names as its resolver, or that nobody does (`unlisted`): whoever runs that server has chosen them."""
    port: int | None = None


class Icmp(_Part):
    """An ICMP message's type and code."""

    type: int
    code: int


class Phase(_Part):
    """Where a flow stands."""

    direction: str | None = None
    initiated_by: str | None = None
    status: str | None = None
    ended_by: str | None = None


class FlowFlags(_Part):
    """What a flow did."""

    ingress: bool | UnsetType = UNSET
    egress: bool | UnsetType = UNSET
    incoming: bool | UnsetType = UNSET
    outgoing: bool | UnsetType = UNSET
    started: bool | UnsetType = UNSET
    ongoing: bool | UnsetType = UNSET
    ended: bool | UnsetType = UNSET
    terminator: bool | UnsetType = UNSET
    terminated: bool | UnsetType = UNSET


class Traffic(_Part):
    """What a flow has carried so far; bytes count network headers too."""

    packets_in: int
    packets_out: int
    bytes_in: int
    bytes_out: int


class Flow(_Part):
    """A flow of packets between two endpoints."""

    ip_version: int
    proto: str
    icmp: Icmp | None = None
    local: Endpoint | None = None
    remote: Endpoint | None = None
    service_port: int | None = None
    flags: FlowFlags | None = None
    phase: Phase | None = None
    traffic: Traffic | None = None


class Nodes(_Part):
    """The two endpoints that a port matrix belongs to."""

    local: Endpoint
    remote: Endpoint


class PortPair(_Part):
    """One connection between two nodes."""

    src_port: int
    dst_port: int
    phase: Phase | None = None


class FlowPair(_Part):
    """Two nodes and what ran between them."""

    nodes: Nodes
    port_matrix: list[PortPair] = []


class FlowProtocol(_Part):
    """All pairs of one protocol."""

    proto: str
    pairs: list[FlowPair] | UnsetType = UNSET
    icmps: list[Icmp] = []


class Flows(_Part):
    """The process's flows, by protocol."""

    ip_version: int | None = None
    protocols: list[FlowProtocol] | UnsetType = UNSET


class Background(_Part):
    """What stood around the detection: pid 1 comes first in the ancestry, the process itself last."""

    ancestry: list[ProcessInfo] | UnsetType = UNSET
    files: FileTree | None = None
    file_list: list[ListedFile] = []
    flows: Flows | UnsetType = UNSET
    flow_list: list[Flow] = []
    containers: list[dict[str, str]] = []


class Habitat(_Part):
    """The host."""

    name: str | None = None
    kernel: str | None = None
    distribution: str | None = None
    machine_id: str | None = None
    agent_version: str | None = None


class Attenuator(_Part):
    """A language model's verdict, if one was asked."""

    attenuated_by: str | None = None
    interpretation: str | None = None
    thinking: str | None = None
    is_false_positive: bool | UnsetType = UNSET
    new_severity: int | UnsetType = UNSET
    new_severity_level: str | None = None
    new_confidence: float | UnsetType = UNSET
    new_risk_score: float | UnsetType = UNSET


class Loss(_Part):
    """Whether the kernel side lost anything in the process's window."""

    lost: int | UnsetType = UNSET


class Base(_Part):
    """The alias under which recipes in the wild look for the same facts."""

    uuid: str
    timestamp: str
    note: str | None = None
    metadata: Metadata | None = None
    attenuator: Attenuator | None = None
    score: Score | None = None
    background: Background | None = None
    habitat: Habitat | None = None
    scenarios: dict[str, dict[str, str]] = {}


class Event(_Part):
    """One event; `event_type` says which of the optional members are there."""

    uuid: str
    """UUIDv7."""
    timestamp: str
    """RFC 3339 with nanoseconds, UTC: when the kernel saw it."""
    event_type: EventType
    metadata: Metadata
    note: str | None = None
    score: Score | None = None
    process: ProcessInfo | None = None
    file: FileInfo | None = None
    flow: Flow | None = None
    background: Background | None = None
    habitat: Habitat | None = None
    scenarios: dict[str, dict[str, str]] = {}
    attenuator: Attenuator | None = None
    base: Base | None = None
    loss: Loss | None = None
    rule: str | None = None
    names: list[str] = []
    shared_with: list[str] = []
    count: int | UnsetType = UNSET
    fields: dict[str, msgspec.Raw] | None = None
    """For `notify`, `outcome`, `agent` and `repeated`: what they carry."""


_ENCODER = msgspec.json.Encoder()
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode(event: Event) -> bytes:
    """Return the event as one line of JSON without the newline."""
    return _ENCODER.encode(event)


def with_base(bare: bytes) -> bytes:
    """Return the JSON of an event that has no `base` yet, with it. Raises msgspec.DecodeError."""
    members = _MEMBERS.decode(bare)
    base = {name: members[name] for name in Base.__struct_fields__ if name in members}
    return b'%s,"base":%s}' % (bare[:-1], _ENCODER.encode(base))
