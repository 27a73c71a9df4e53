"""Feature probes with three answers: yes, no (and why), could not tell."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

import msgspec

from raqib.errors import RaqibError
from raqib.kernel.network import can_destroy_sockets, find_cgroup2, load_network
from raqib.kernel.object import ARCHITECTURES, HOOKS, BpfObject
from raqib.kernel.pinning import USUAL_PLACE, is_bpf_filesystem

_AS_ROOT = "only root can try: run it with sudo"
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39


class ProbeResult(msgspec.Struct, frozen=True):
    """What was found out about one feature."""

    feature: str
    verdict: Literal["yes", "no", "unknown"]
    detail: str = ""
    """Why not, and what to do; or what was found."""
    needed: bool = True
    """Whether the agent cannot run without it."""


def probe_all() -> list[ProbeResult]:
    """Try everything that the agent can use; leaves nothing behind."""
    return [
        _processor(),
        _privileges(),
        _btf(),
        *_programs(),
        _network(),
        _bpf_filesystem(),
        _lsm(),
        _cgroup2(),
        _pid_namespace(),
    ]


def _processor() -> ProbeResult:
    machine = platform.machine()
    if machine in ARCHITECTURES:
        return ProbeResult("processor", "yes", f"{machine}, kernel {platform.release()}")
    return ProbeResult("processor", "no", f"expected {' or '.join(ARCHITECTURES)}, found {machine}")


def _privileges() -> ProbeResult:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    capabilities = int(status["CapEff"], 16)
    if os.geteuid() != 0:
        return ProbeResult("privileges", "no", f"expected root, found uid {os.geteuid()}: run it with sudo")
    needed = {"CAP_SYS_ADMIN": _CAP_SYS_ADMIN, "CAP_PERFMON": _CAP_PERFMON, "CAP_BPF": _CAP_BPF}
    missing = [name for name, bit in needed.items() if not capabilities >> bit & 1]
    if missing:
        return ProbeResult("privileges", "no", f"root without {', '.join(missing)}: a container needs them granted")
    return ProbeResult("privileges", "yes")


def _btf() -> ProbeResult:
    if os.access("/sys/kernel/btf/vmlinux", os.R_OK):
        return ProbeResult("kernel types (BTF)", "yes")
    return ProbeResult(
        "kernel types (BTF)", "no", "no /sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF, 6.1 or newer"
    )


def _programs() -> list[ProbeResult]:
    """Load the real programs and attach them for a moment: what works then works later."""
    if os.geteuid() != 0:
        return [ProbeResult("eBPF programs load", "unknown", _AS_ROOT)]
    try:
        bpf = BpfObject({"records": 1 << 16, "processes": 64, "exited": 64, "accesses": 64, "watched": 64})
    except (RaqibError, OSError) as error:
        return [ProbeResult("eBPF programs load", "no", str(error))]
    try:
        answers = [ProbeResult("eBPF programs load", "yes")]
        for name in HOOKS:
            try:
                bpf.attach(name)
                answers.append(ProbeResult(f"tracepoint {name}", "yes"))
            except RaqibError as error:
                answers.append(ProbeResult(f"tracepoint {name}", "no", str(error)))
        return answers
    finally:
        bpf.close()


def _network() -> ProbeResult:
    """Load the network's programs; attaching them waits until something asks for it."""
    feature = "network programs load"
    if os.geteuid() != 0:
        return ProbeResult(feature, "unknown", _AS_ROOT, needed=False)
    try:
        load_network().close()
    except (RaqibError, OSError) as error:
        return ProbeResult(feature, "no", str(error), needed=False)
    if not can_destroy_sockets():
        return ProbeResult(
            feature, "yes", "blocked connections are ended by netlink; Linux 6.5 does it faster", needed=False
        )
    return ProbeResult(feature, "yes", needed=False)


def _bpf_filesystem() -> ProbeResult:
    feature = "a BPF filesystem"
    if is_bpf_filesystem(USUAL_PLACE):
        return ProbeResult(feature, "yes", str(USUAL_PLACE), needed=False)
    return ProbeResult(
        feature, "no", f"a network policy mounts one at {USUAL_PLACE}, and is pinned there", needed=False
    )


def _lsm() -> ProbeResult:
    feature = "security hooks (BPF LSM)"
    detail = "not used yet; tracepoints do"
    try:
        active = Path("/sys/kernel/security/lsm").read_text().split(",")
    except OSError as error:
        return ProbeResult(feature, "unknown", f"{error.strerror}: {detail}", needed=False)
    if "bpf" in active:
        return ProbeResult(feature, "yes", detail, needed=False)
    return ProbeResult(feature, "no", f"boot with lsm=…,bpf; {detail}", needed=False)


def _cgroup2() -> ProbeResult:
    if (mounted := find_cgroup2()) is not None:
        return ProbeResult("cgroup v2", "yes", str(mounted), needed=False)
    return ProbeResult("cgroup v2", "no", "mount it: mount -t cgroup2 none /sys/fs/cgroup", needed=False)


def _pid_namespace() -> ProbeResult:
    """Outside the host's pid namespace the pids of events are not those that a kill needs."""
    feature = "the host's pid namespace"
    try:
        inode = Path("/proc/self/ns/pid").stat().st_ino
    except OSError as error:
        return ProbeResult(feature, "unknown", str(error), needed=False)
    if inode == 0xEFFFFFFC:  # PROC_PID_INIT_INO
        return ProbeResult(feature, "yes", needed=False)
    return ProbeResult(
        feature, "no", "reactions cannot kill here: start the container with the host's pid namespace", needed=False
    )
