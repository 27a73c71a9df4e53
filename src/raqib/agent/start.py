"""What is to be said before a start: `raqib run` says it and `raqib check` says it, by this one way.

Nothing is attached, mounted or made here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from raqib.config.config import Config, ConfigFile, NetworkConfig
from raqib.config.reader import at_of
from raqib.errors import UsageError
from raqib.kernel.pinning import USUAL_PLACE, is_bpf_filesystem
from raqib.library.library import Library
from raqib.netpolicy.guards import cut_off, cut_off_message
from raqib.netpolicy.host import address_bytes, read_host
from raqib.netpolicy.spec import load_policy, prefix_of
from raqib.recipes.diagnostic import CONFIGURATION, Diagnostic, Loaded, shown, shown_path, source_of

_PAGE: Final = 4096


class Start(NamedTuple):
    """What a start would do with, and what there is to say."""

    library: Library
    loaded: Loaded
    diagnostics: tuple[Diagnostic, ...]
    """All of them, those of the recipes included."""
    refused: tuple[Diagnostic, ...]
    """The errors that end a start: what is wrong in recipes does not."""

    def expect(self) -> None:
        """Raise UsageError if a start is refused."""
        if self.refused:
            raise UsageError("\n".join(map(str, self.refused)))


def examine(config: Config, file: ConfigFile, options: Mapping[str, str] | None = None) -> Start:
    """Examine all that a start needs and that can be examined without changing anything.

    `options` names the options of the command line that took the place of settings, by the setting.

    Raises NotPermittedError if no process comes up in which reactions can be checked.
    """
    wrong = [_placed(fault, file, options or {}) for fault in _faults(config)]
    library = Library(config.recipes, shell=config.reactions.shell)
    loaded = library.load()
    said = [_placed(found, file, options or {}) for found in loaded.diagnostics]
    refused = tuple(fault for fault in wrong if fault.severity == "error")
    return Start(library, loaded, (*file.diagnostics, *wrong, *said), refused)


def _faults(config: Config) -> Iterator[Diagnostic]:
    if problem := _no_directory(config.data_dir):
        yield _error("data_dir", problem)
    if config.log_file is not None and (problem := _no_log(config.log_file)):
        yield _error("log_file", problem)
    if "varlog" in config.printers.enabled and (problem := _no_log(config.printers.varlog_path, regular=True)):
        yield _error("printers.varlog_path", problem)
    for path, size in (("sensors", config.sensors.ring_bytes), ("network", config.network.ring_bytes)):
        if size < _PAGE or size & (size - 1):
            message = f"expected a power of two of at least {_PAGE} bytes, found {size}"
            yield _error(f"{path}.ring_bytes", message)
    yield from _network_faults(config.network)


def _network_faults(config: NetworkConfig) -> Iterator[Diagnostic]:
    if config.cgroup is not None and not (config.cgroup / "cgroup.controllers").is_file():
        yield _error("network.cgroup", f"expected a directory of cgroup v2, found none at {_quoted(config.cgroup)}")
    for index, text in enumerate(config.protected_cidrs):
        try:
            prefix_of(text)
        except ValueError as error:
            yield _error(f"network.protected_cidrs[{index}]", str(error))
    for index, text in enumerate(config.resolvers):
        if address_bytes(text) is None:
            yield _error(f"network.resolvers[{index}]", f"expected an address such as 192.0.2.53, found {shown(text)}")
    if not config.has_policy:
        return
    if not config.pin_dir.is_relative_to(USUAL_PLACE) and not is_bpf_filesystem(_nearest(config.pin_dir)):
        message = f"expected a directory of a BPF filesystem, found none at {_quoted(config.pin_dir)}"
        yield _error("network.pin_dir", message)
    if config.policy is None:
        return
    policy, said = load_policy(config.policy, alone=False)
    # Only the whole file's absence is the setting's fault: the rest has lines of its own.
    yield from (
        _error("network.policy", f"{found.source}: {found.message}") if not found.path else found for found in said
    )
    if policy is not None and (lost := cut_off(policy, read_host(config.resolvers))):
        yield _error("network.policy", cut_off_message(lost))


def _no_directory(path: Path) -> str | None:
    """Return why there is no directory and none can be made."""
    found = _nearest(path)
    if not found.is_dir():
        return f"expected a directory, found another file at {_quoted(found)}"
    if os.geteuid() == 0 and not os.access(found, os.W_OK):
        return f"expected a directory that can be written, found {_quoted(found)} that cannot"
    return None


def _no_log(path: Path, *, regular: bool = False) -> str | None:
    """Return why a file cannot be appended to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _no_directory(path.parent)
    except OSError as error:
        return f"expected a file to append to, found {_quoted(path)}: {error.strerror}"
    if stat.S_ISDIR(mode) or (regular and not stat.S_ISREG(mode)):
        what = "a directory" if stat.S_ISDIR(mode) else "another kind of file"
        return f"expected a file to append to, found {what} at {_quoted(path)}"
    if os.geteuid() == 0 and not os.access(path, os.W_OK):
        return f"expected a file to append to, found {_quoted(path)} that cannot be written"
    return None


def _nearest(path: Path) -> Path:
    """Return the path, or what there is nearest above it."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), Path("/"))


def _quoted(path: Path) -> str:
    return shown_path(source_of(path))


def _error(path: str, message: str) -> Diagnostic:
    return Diagnostic("error", CONFIGURATION, "", path, message)


def _placed(found: Diagnostic, file: ConfigFile, options: Mapping[str, str]) -> Diagnostic:
    """Return a diagnostic about the configuration with its file and line, or the option that is meant."""
    if found.source != CONFIGURATION:
        return found
    if found.path in options:
        return replace(found, source=options[found.path], path="")
    at = None if file.root is None else at_of(file.root, found.path)
    if at is None:
        return found
    return replace(found, source=file.source, path=at.path, line=at.node.line)
