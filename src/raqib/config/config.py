"""The configuration: one YAML file, every setting with a default."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from raqib.actions.settings import EmergencySettings
from raqib.config.reader import read_settings
from raqib.errors import UsageError
from raqib.model.in_flight import MAX_BYTES
from raqib.model.quantity import Count, Seconds
from raqib.netpolicy.spec import KEY as NETWORK_POLICY
from raqib.netpolicy.spec import MAX_BYTES as MOST_READ
from raqib.printers.defaults import MAX_WAITING_BYTES, VARLOG_KEPT, VARLOG_MAX_BYTES, VARLOG_PATH
from raqib.reactions.settings import ReactionSettings
from raqib.recipes.diagnostic import Diagnostic, source_of
from raqib.recipes.document import Mapping, Sequence, parse
from raqib.recipes.reader import At, is_empty
from raqib.recipes.source import BadSourceError, is_missing, read_source

DEFAULT_PATH = Path("/etc/raqib/config.yaml")

PrinterName = Literal["stdout", "varlog", "void"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file."""


class RecipesConfig(_Section, frozen=True, kw_only=True):
    """Which recipes are loaded."""

    directories: tuple[Path, ...] = ()
    builtin: bool = True
    enable: tuple[str, ...] = ()
    """Which recipes run whatever they say of themselves: shell patterns of names, or `kind:`, `tactic:`, `technique:`
    or `importance:` and a pattern."""
    disable: tuple[str, ...] = ()
    """The same, and stronger than `enable`."""
    lists: dict[str, tuple[Path, ...]] = {}
    """Lists that users have already, by the name of the recipe whose own entries they add to."""
    times_window_s: Seconds = 86400.0
    allow_unsafe_owner: bool = False
    """Load recipes that others than root can write: to try them out."""


class ExceptionsConfig(_Section, frozen=True, kw_only=True):
    """What is normal here."""

    directory: Path = Path("/etc/raqib/exceptions")
    """Whose *.yaml and *.yml say which events are neither printed nor reacted to; it need not exist."""


class PrintersConfig(_Section, frozen=True, kw_only=True):
    """Where events go."""

    enabled: tuple[PrinterName, ...] = ("stdout",)
    raw: bool = False
    """JSON lines on stdout even if it is a terminal."""
    full: bool = False
    """Everything in JSON: events whole on stdout too, and in both places with the alias `base`."""
    each: bool = False
    """Print every detection. Else those that are alike are printed once, and told together at growing intervals."""
    max_waiting_bytes: Count = MAX_WAITING_BYTES
    """Memory of events that wait for one printer, of what is in flight; beyond it, the printer drops and counts."""
    varlog_path: Path = VARLOG_PATH
    varlog_max_bytes: Count = VARLOG_MAX_BYTES
    varlog_keep: Count = VARLOG_KEPT


class InFlightConfig(_Section, frozen=True, kw_only=True):
    """The one budget of all detections and events that are not printed and reacted to yet."""

    max_bytes: Count = MAX_BYTES
    """Beyond it, detections lose their background; then they are counted in an event, and only reacted to."""


class SensorsConfig(_Section, frozen=True, kw_only=True):
    """Sizes of the kernel's maps: entries, and bytes for the ring buffer (a power of two)."""

    ring_bytes: Count = 8 << 20
    processes: Count = 65536
    exited: Count = 16384
    accesses: Count = 131072
    watched: Count = 65536
    verdicts: Count = 65536
    paths: Count = 32768
    texts: Count = 2048
    literals: Count = 262_144
    """Names and directories that recipes spell out, the set in force and the next one together."""
    cadence_s: Seconds = 0.25
    """How often what did not fit into the ring buffer is looked for."""


class NetworkConfig(_Section, frozen=True, kw_only=True):
    """The network's programs, which are loaded only if something asks for them; sizes as of the sensors."""

    cgroup: Path | None = None
    """Whose processes they see, with all below it. None: the root of cgroup v2, wherever that is mounted."""
    flow_events: bool = False
    """Print an event when a flow begins, and one when it ends."""
    enforce: bool = False
    """Have a network policy, though there is no file: for the blocks of reactions and of `raqib blocks`."""
    policy: Path | None = None
    """The file of the network policy, if that is not in this one, below `network_policy`. Either way there is one."""
    protected_cidrs: tuple[str, ...] = ()
    """Networks that are never blocked at run time."""
    resolvers: tuple[str, ...] = ()
    """Whose DNS answers count, beside those of /etc/resolv.conf."""
    pin_dir: Path = Path("/sys/fs/bpf/raqib")
    """Where, on a BPF filesystem, the policy is kept while the daemon is not there."""
    ring_bytes: Count = 4 << 20
    flows: Count = 32768
    flow_links: Count = 65536
    flow_heads: Count = 16384
    flows_pending: Count = 16384
    sockets: Count = 32768

    @property
    def has_policy(self) -> bool:
        """Whether there is a network policy, be it an empty one."""
        return self.enforce or self.policy is not None


class Config(_Section, frozen=True, kw_only=True):
    """All settings."""

    data_dir: Path = Path("/var/lib/raqib")
    """Data store, ledger, evidence."""
    log_file: Path | None = None
    """None: standard error."""
    recipes: RecipesConfig = RecipesConfig()
    exceptions: ExceptionsConfig = ExceptionsConfig()
    printers: PrintersConfig = PrintersConfig()
    reactions: ReactionSettings = ReactionSettings()
    emergency: EmergencySettings = EmergencySettings()
    """Whether reactions may take the host down, and how: `enabled`, and `helpers: [PowerOff, Panic]`."""
    sensors: SensorsConfig = SensorsConfig()
    network: NetworkConfig = NetworkConfig()
    in_flight: InFlightConfig = InFlightConfig()


class ConfigFile(NamedTuple):
    """A configuration as it was read."""

    config: Config | None
    """None if there is an error."""
    diagnostics: list[Diagnostic]
    source: str
    """What messages call it."""
    root: At | None = None
    """Its tree, for lines of what is found to be wrong later."""

    def expect(self) -> Config:
        """Return the configuration.

        Raises UsageError if there are errors in it; the message has a line for each.
        """
        if self.config is None:
            raise UsageError(
                "\n".join(str(diagnostic) for diagnostic in self.diagnostics if diagnostic.severity == "error")
            )
        return self.config


def load_config(path: Path | None) -> Config:
    """Return the configuration; None means the default file, if there is one.

    Raises UsageError if there are errors in it; the message has a line for each.
    """
    return read_config(path).expect()


def read_config(path: Path | None) -> ConfigFile:
    """Read a configuration, or the default one, which need not be there. Never raises for what is in it."""
    chosen, path = path, path or DEFAULT_PATH
    source = source_of(path)
    try:
        text = b"" if chosen is None and is_missing(path) else read_source(path, MOST_READ)
    except BadSourceError as error:
        return ConfigFile(None, [Diagnostic("error", source, "", "", str(error))], source)
    node, faults = parse(text)
    diagnostics = [Diagnostic("error", source, "", fault.path, fault.message, fault.line) for fault in faults]
    if node is None or is_empty(node):
        return ConfigFile(None if diagnostics else Config(), diagnostics, source)
    if isinstance(node, Sequence):
        message = "expected a configuration, which is a mapping, found a list; recipes are given by --recipes"
        return ConfigFile(None, [*diagnostics, Diagnostic("error", source, "", "$", message, node.line)], source)
    root = At(node, "$")
    config, said = read_settings(root, Config, source, beside=(NETWORK_POLICY,))
    diagnostics += said
    # The policy is read again where its lines are known: here it only matters that it is in this file.
    if isinstance(node, Mapping) and NETWORK_POLICY in node.entries:
        own = At(node.entries[NETWORK_POLICY], f"$.{NETWORK_POLICY}")
        if config is not None and config.network.policy is not None:
            message = f"expected either {NETWORK_POLICY} or network.policy, found both"
            diagnostics.append(Diagnostic("error", source, "", own.path, message, node.key_lines[NETWORK_POLICY]))
        elif config is not None:
            config = replace(config, network=replace(config.network, policy=path))
    failed = any(diagnostic.severity == "error" for diagnostic in diagnostics)
    return ConfigFile(None if failed else config, diagnostics, source, root)
