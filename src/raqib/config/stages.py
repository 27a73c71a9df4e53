"""From the configuration and the recipes to the settings of each stage."""

from __future__ import annotations

from pathlib import Path

import raqib
from raqib.actions.settings import Places
from raqib.config.config import DEFAULT_PATH, Config, NetworkConfig, PrintersConfig, SensorsConfig
from raqib.printers import Printer, StdoutPrinter, VarlogPrinter, VoidPrinter
from raqib.printers.varlog import older_file
from raqib.recipes.compile import CompiledSet
from raqib.sensors.files import Hint, Interests


def make_printers(config: PrintersConfig) -> list[Printer]:
    """Open the printers that are enabled.

    Raises RaqibError if the event log cannot be written.
    """
    printers: list[Printer] = []
    for name in dict.fromkeys(config.enabled):
        match name:
            case "stdout":
                printers.append(StdoutPrinter(raw=config.raw))
            case "varlog":
                printers.append(
                    VarlogPrinter(config.varlog_path, max_bytes=config.varlog_max_bytes, keep=config.varlog_keep)
                )
            case "void":
                printers.append(VoidPrinter())
    return printers


def places_of(config: Config, file: Path | None = None) -> Places:
    """Return where raqib keeps what is its own; `file` is the one that the configuration was read from."""
    return Places(config.data_dir, _own_paths(config, file))


def _own_paths(config: Config, file: Path | None) -> tuple[Path, ...]:
    """Return what is raqib's own outside of its data directory: its logs, what it is told by, and its program."""
    recipes, network = config.recipes, config.network
    told_by = (
        DEFAULT_PATH.parent,
        *recipes.directories,
        config.exceptions.directory,
        *(path for paths in recipes.lists.values() for path in paths),
        *(path for path in (file, network.policy) if path is not None),
        network.pin_dir,
    )
    # Links are followed: what such a file really is counts as well as its name.
    named = [path.absolute() for path in (*told_by, Path(raqib.__file__).parent)]
    return (*_own_logs(config), *dict.fromkeys([*named, *(path.resolve() for path in named)]))


def _own_logs(config: Config) -> tuple[Path, ...]:
    """Return the files that raqib logs to: the event log, also the older ones, and its own."""
    printers, events = config.printers, config.printers.varlog_path.absolute()
    older = [older_file(events, number) for number in range(1, printers.varlog_keep + 1)]
    return (events, *older, *([config.log_file.absolute()] if config.log_file is not None else []))


_MOST_ENTRIES = 2**32 - 1
"""A map cannot be told that it has more; none has room for as many."""


def map_sizes(config: SensorsConfig) -> dict[str, int]:
    """Return the number of entries for each map."""
    names = ("processes", "exited", "accesses", "watched", "verdicts", "paths", "texts", "literals")
    sizes = {name: getattr(config, name) for name in names}
    # Processors that end processes at once may go beyond it by one each.
    return {"records": config.ring_bytes, "exited_turns": min(config.exited + 1024, _MOST_ENTRIES), **sizes}


def network_map_sizes(config: NetworkConfig) -> dict[str, int]:
    """Return the number of entries for each map of the network's programs."""
    names = ("flows", "flow_links", "flow_heads", "flows_pending")
    sizes = {name: getattr(config, name) for name in names}
    turns = min(2 * (config.sockets + sum(sizes.values())), _MOST_ENTRIES)
    return {"net_records": config.ring_bytes, "net_sockets": config.sockets, "net_turns": turns, **sizes}


def interests_of(compiled: CompiledSet) -> Interests:
    """Return what the kernel is to know of the recipes."""
    return Interests(
        wanted=compiled.wanted,
        residual=compiled.residual,
        hints=[Hint(literal.kind, literal.value, literal.actions) for literal in compiled.literals],
        interest=compiled.interest,
        environments=compiled.wants_envs,
    )
