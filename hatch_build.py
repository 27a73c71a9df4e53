"""Compiles bpf/ for every supported processor and puts the objects into the package."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}


class CompileBpf(BuildHookInterface):
    """Runs clang; the objects are the same for every host, so the wheel is pure."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        target = root / "src/raqib/kernel/objects"
        subprocess.run(["make", "-s", "-C", str(root / "bpf"), f"OUT={target}"], check=True, env=os.environ)
        build_data["artifacts"].append("src/raqib/kernel/objects/*.bpf.o")
