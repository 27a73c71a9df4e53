"""What raqib's own set-up is like here: configuration, recipes, disks, the workers' sandbox, a running agent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raqib.config.config import DEFAULT_PATH, Config, load_config
from raqib.control.socket import NoAgentError, ask
from raqib.errors import NotPermittedError, RaqibError
from raqib.kernel.probes import ProbeResult
from raqib.library.reading import files_of
from raqib.reactions.check import sandbox_missing
from raqib.sensors.intake import lost_of

LITTLE_BYTES, FEW_INODES = 256 << 20, 1000
"""What a disk should have left: some minutes of a flood of events."""

_REMEDIES = {
    "user namespace": "sysctl user.max_user_namespaces above 0, and, where AppArmor forbids them, "
    "kernel.apparmor_restrict_unprivileged_userns=0",
    "landlock": "a kernel with Landlock (5.13), and landlock in lsm= of its command line",
}
"""By how the sandbox calls what it misses; the rest comes of containers that may do little."""


def check_setup(config: Path | None, data_dir: Path | None) -> list[ProbeResult]:
    """Return what is found; leaves nothing behind. Nothing of it keeps an agent from running, but a configuration."""
    settings, answer = _configuration(config)
    directory = data_dir or settings.data_dir
    return [answer, *_recipes(settings), *_disks(settings, directory), _sandbox(), *_agent(directory)]


def _configuration(path: Path | None) -> tuple[Config, ProbeResult]:
    feature = "configuration"
    place = path or DEFAULT_PATH
    try:
        settings = load_config(path)
    except RaqibError as error:
        if not os.access(place, os.R_OK) and os.path.lexists(place):
            return Config(), ProbeResult(feature, "unknown", f"{place}: only root may read it")
        return Config(), ProbeResult(feature, "no", f"{error}; raqib check {place} says all that is wrong")
    except OSError as error:
        return Config(), ProbeResult(feature, "unknown", f"{place}: {error.strerror}: run it with sudo")
    return settings, ProbeResult(
        feature, "yes", str(place) if place.exists() else f"no {place}: the defaults are in force"
    )


def _recipes(settings: Config) -> Iterator[ProbeResult]:
    for path in settings.recipes.directories:
        feature = f"recipes in {path}"
        if path.exists() and not os.access(path, os.R_OK):
            yield ProbeResult(feature, "unknown", "only root may read it", needed=False)
            continue
        files, problem = files_of(path, allow_unsafe_owner=settings.recipes.allow_unsafe_owner)
        if problem is not None:
            yield ProbeResult(feature, "no", problem.message, needed=False)
        else:
            found = f"files: {len(files)}; raqib check {path} says whether they are good"
            yield ProbeResult(feature, "yes" if files else "no", found if files else "no recipe files", needed=False)


def _disks(settings: Config, data_dir: Path) -> Iterator[ProbeResult]:
    places = {"data directory": data_dir, "event log": settings.printers.varlog_path.parent}
    for name, path in places.items():
        feature = f"disk of the {name}"
        place = path
        try:
            # It is made when it is needed: until then the directory above tells.
            while not place.exists() and place != place.parent:
                place = place.parent
            space = os.statvfs(place)
        except OSError as error:
            yield ProbeResult(feature, "unknown", f"{path}: {error.strerror}: run it with sudo", needed=False)
            continue
        free = space.f_bavail * space.f_frsize
        # Some file systems count no inodes.
        few = bool(space.f_files) and space.f_favail < FEW_INODES
        detail = f"{path}: {free / (1 << 30):.1f} GiB and {space.f_favail} inodes free"
        if free < LITTLE_BYTES or few:
            detail += f"; expected {LITTLE_BYTES >> 20} MiB and {FEW_INODES} inodes: make room, or set another place"
            yield ProbeResult(feature, "no", detail, needed=False)
        else:
            yield ProbeResult(feature, "yes", detail, needed=False)


def _sandbox() -> ProbeResult:
    feature = "the workers' sandbox"
    if os.geteuid() != 0:
        return ProbeResult(
            feature, "unknown", "what root can give it shows only as root: run it with sudo", needed=False
        )
    try:
        missing = sandbox_missing()
    except (RaqibError, OSError) as error:
        return ProbeResult(feature, "no", str(error))
    if not missing:
        return ProbeResult(feature, "yes", "complete", needed=False)
    remedies = [text for name, text in _REMEDIES.items() if any(name in key for key in missing)]
    detail = f"not permitted here: {', '.join(missing)}; what is left holds all the same. "
    return ProbeResult(feature, "no", detail + ("; ".join(remedies) or "a container needs more granted"), needed=False)


def _agent(data_dir: Path) -> Iterator[ProbeResult]:
    feature = "a running agent"
    try:
        status: Mapping[str, Any] = ask(data_dir, "status")
    except NoAgentError:
        yield ProbeResult(
            feature, "no", f"none on {data_dir}: raqib run starts one, --data-dir names another", needed=False
        )
        return
    except NotPermittedError:
        yield ProbeResult(feature, "unknown", "it answers root alone: run it with sudo", needed=False)
        return
    except (RaqibError, OSError) as error:
        yield ProbeResult(feature, "no", str(error), needed=False)
        return
    told = f"version {status['version']}, pid {status['pid']}, {status['recipes']} recipes"
    yield ProbeResult(feature, "yes", told, needed=False)
    if status["armed"]:
        dry = "but a dry run: they are only written down" if status["dry_run"] else ""
        yield ProbeResult("its actions", "yes", dry, needed=False)
    else:
        yield ProbeResult("its actions", "no", "switched off: raqib arm switches them on", needed=False)
    yield from _losses(status)


def _losses(status: Mapping[str, Any]) -> Iterator[ProbeResult]:
    lost = lost_of(status["sensors"]) + lost_of(status.get("network") or {})
    unprinted = {name: counts["dropped"] + counts["failed"] for name, counts in status["printers"].items()}
    unprinted = {name: number for name, number in unprinted.items() if number}
    if not lost and not unprinted:
        yield ProbeResult("nothing is lost", "yes", needed=False)
        return
    told = [f"{lost} records in the kernel (sensors.* and network.* set the sizes)"] if lost else []
    told += [f"{number} events by the printer {name}" for name, number in unprinted.items()]
    yield ProbeResult("nothing is lost", "no", f"{', '.join(told)}; raqib status says more", needed=False)
