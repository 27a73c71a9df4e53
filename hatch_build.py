"""Compiles bpf/ for every supported processor and puts the objects into the package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAMS = ("make", "clang", "llvm-strip")


class CompileBpf(BuildHookInterface):
    """Runs clang; the objects are the same for every host, so the wheel is pure."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise RuntimeError(
                f"expected {', '.join(PROGRAMS)} to compile the eBPF programs, found no {', '.join(missing)}: "
                "install a wheel, which needs none of them, or run scripts/setup"
            )
        root = Path(self.root)
        target = root / "src/raqib/kernel/objects"
        subprocess.run(["make", "-s", "-C", str(root / "bpf"), f"OUT={target}"], check=True)
        build_data["artifacts"] += ["src/raqib/kernel/objects/*.bpf.o", "src/raqib/kernel/objects/layout/*.h"]
