"""Where a process runs: its unit, its container, its pod; what is not known is None."""

from __future__ import annotations

import msgspec


class Where(msgspec.Struct, frozen=True):
    """Where a process runs, as its cgroup and the container runtimes tell."""

    unit: str | None = None
    container: str | None = None
    container_name: str | None = None
    image: str | None = None
    pod: str | None = None
    namespace: str | None = None
    labels: dict[str, str] = {}
