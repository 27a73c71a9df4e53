"""What the kernel's verifier makes of each program: `python -m bench.verifier` compares it with what is checked in.

`verified` is the number of instructions that the verifier went through (it gives up at a million), `length` that of the
translated program, in instructions. Both depend on the kernel, so each release has an entry of its own in
bench/verifier.json; `--write` renews that of the running one.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from raqib.kernel.layout import ffi
from raqib.kernel.network import load_network
from raqib.kernel.object import BpfObject

RECORDED = Path(__file__).with_suffix(".json")
GROWTH = 1.1
"""What grew beyond so many times what is checked in is told, with exit status 1."""

_INFO_BYTES = 232
_XLATED_LEN, _VERIFIED_INSNS = 20, 216
"""Size and offsets of `struct bpf_prog_info` of linux/bpf.h."""
_INSTRUCTION_BYTES = 8

Costs = dict[str, dict[str, int]]
"""`verified` and `length` by the program's name."""


def measure() -> Costs:
    """Load both objects and ask what became of each program. Needs root."""
    costs: Costs = {}
    for bpf in (BpfObject(), load_network()):
        try:
            costs |= {name: cost_of(bpf, name) for name in bpf.programs() if bpf.program_fd(name) >= 0}
        finally:
            bpf.close()
    return dict(sorted(costs.items()))


def cost_of(bpf: BpfObject, name: str) -> dict[str, int]:
    """Return the cost of one program that is loaded. Raises RaqibError."""
    info, size = ffi.new("char[]", _INFO_BYTES), ffi.new("__u32 *", _INFO_BYTES)
    calls: Any = bpf.library.calls
    code = calls.bpf_obj_get_info_by_fd(bpf.program_fd(name), info, size)
    if code:
        raise bpf.library.error(f"program {name}: cannot be asked about", code)
    words = memoryview(ffi.buffer(info)).cast("I")
    return {"verified": words[_VERIFIED_INSNS // 4], "length": words[_XLATED_LEN // 4] // _INSTRUCTION_BYTES}


def release() -> str:
    """Return the kernel's release as far as it matters: 6.18 of 6.18.3-1-amd64."""
    found = re.match(r"\d+\.\d+", os.uname().release)
    return found.group() if found else os.uname().release


def main() -> int:
    """Print the table; with 1 if a program grew or is not recorded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="record what is found for the running kernel")
    wanted = parser.parse_args()
    recorded: dict[str, Costs] = msgspec.json.decode(RECORDED.read_bytes()) if RECORDED.exists() else {}
    found = measure()
    before = recorded.get(release(), {})
    grown = []
    print(f"{'program':<32} {'verified':>9} {'before':>9} {'length':>7} {'before':>7}")
    for name, cost in found.items():
        old = before.get(name, {})
        line = f"{name:<32} {cost['verified']:>9} {old.get('verified', '-'):>9}"
        print(f"{line} {cost['length']:>7} {old.get('length', '-'):>7}")
        if not old or any(cost[what] > GROWTH * old[what] for what in cost):
            grown.append(name)
    if wanted.write:
        recorded[release()] = found
        RECORDED.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(recorded.items()))), indent=1) + b"\n")
        return 0
    if not before:
        print(f"nothing is recorded for kernel {release()}: record it with --write", file=sys.stderr)
        return 0
    if grown:
        print(f"grown or new: {', '.join(grown)}; look why, then record it with --write", file=sys.stderr)
    return bool(grown)


if __name__ == "__main__":
    raise SystemExit(main())
