"""The host that the agent watches."""

from __future__ import annotations

import os
import platform
from functools import cache
from pathlib import Path

from raqib import __version__
from raqib.model.event import Habitat

_GITHUB = ("GITHUB_REPOSITORY", "GITHUB_WORKFLOW", "GITHUB_RUN_ID", "GITHUB_JOB", "GITHUB_SHA", "GITHUB_ACTOR")


@cache
def habitat() -> Habitat:
    """Return the facts of this host; what cannot be read is absent."""
    release = _os_release()
    return Habitat(
        name=platform.node() or None,
        kernel=platform.release() or None,
        distribution=release.get("PRETTY_NAME"),
        machine_id=_read("/etc/machine-id"),
        agent_version=__version__,
    )


@cache
def scenarios() -> dict[str, dict[str, str]]:
    """Return where the host runs: `github` in a workflow, `k8s` on a cluster's node, else `hostos`."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return {
            "github": {name.removeprefix("GITHUB_").lower(): os.environ[name] for name in _GITHUB if name in os.environ}
        }
    if host := os.environ.get("KUBERNETES_SERVICE_HOST"):
        return {"k8s": {"service_host": host, "node": platform.node()}}
    return {"hostos": {"id": _os_release().get("ID", "linux"), "version": _os_release().get("VERSION_ID", "")}}


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None
