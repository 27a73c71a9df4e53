"""Where the kernel's tests run, and where their absence is a failure.

Everything below `kernel` and `e2e` needs root and a kernel with BTF. Elsewhere these tests are skipped, all for one
reason; with RAQIB_REQUIRE_KERNEL=1, as in continuous integration, a skip there is a failure.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from raqib.kernel.pinning import USUAL_PLACE, is_bpf_filesystem

HERE = Path(__file__).parent
PRIVILEGED = (HERE / "kernel", HERE / "e2e")
CAP_SYS_ADMIN = 1 << 21

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that is not interactive has what it starts in the background ignore it, and all below would do so, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

had_mount = is_bpf_filesystem(USUAL_PLACE)

# How long an example takes depends on who else uses the machine.
settings.register_profile("raqib", deadline=None, max_examples=100 * int(os.environ.get("RAQIB_EXAMPLES", "1")))
settings.load_profile("raqib")


def is_privileged(path: Path) -> bool:
    return any(path.is_relative_to(directory) for directory in PRIVILEGED)


def is_required() -> bool:
    return os.environ.get("RAQIB_REQUIRE_KERNEL", "0") not in ("", "0")


@functools.cache
def why_not_here() -> str | None:
    if os.geteuid() != 0:
        return "needs root"
    status = Path("/proc/self/status").read_text()
    capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    if not int(capabilities, 16) & CAP_SYS_ADMIN:
        return "needs root with CAP_SYS_ADMIN"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "needs a kernel with BTF (/sys/kernel/btf/vmlinux)"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes long is begun first; what is short fills the time until the last of it has ended.
    items.sort(key=lambda item: (not item.path.is_relative_to(HERE / "vm"), item.path.is_relative_to(HERE / "unit")))
    reason = why_not_here()
    if reason is None:
        return
    for item in items:
        if is_privileged(item.path):
            item.add_marker(pytest.mark.skip(reason=reason), append=False)


def fail_if_required(report: pytest.TestReport | pytest.CollectReport, path: Path) -> None:
    """Turn a skip into a failure; an expected failure is none."""
    if not (report.skipped and is_required() and is_privileged(path)) or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: expected to run since RAQIB_REQUIRE_KERNEL is set, but: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """A network policy mounts a BPF filesystem where there is none: it goes when all, also those beside, have ended."""
    yield
    if not had_mount and not is_beside(session.config) and is_bpf_filesystem(USUAL_PLACE):
        subprocess.run(["umount", USUAL_PLACE], check=True)


def is_beside(config: pytest.Config) -> bool:
    """Tell whether this process runs a share of the tests for another one."""
    return hasattr(config, "workerinput")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_required(report, item.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_required(report, collector.path)
    return report
