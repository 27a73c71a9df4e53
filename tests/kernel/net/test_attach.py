"""The network's programs load, and are attached to a cgroup that somebody names, only as long as that lasts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from raqib.errors import NotPermittedError
from raqib.kernel.network import NETWORK_HOOKS, CgroupAttachment, load_network


def attached_to(cgroup: Path) -> set[str]:
    shown = subprocess.run(["bpftool", "cgroup", "show", cgroup, "-j"], capture_output=True, check=True).stdout
    return {program["name"] for program in json.loads(shown.strip() or "[]")}


def test_attached_as_long_as_it_lasts(cgroup: Path) -> None:
    bpf = load_network()
    try:
        attachment = CgroupAttachment(bpf, cgroup)
        assert set(NETWORK_HOOKS) == attached_to(cgroup)
        attachment.close()
        assert set() == attached_to(cgroup)
    finally:
        bpf.close()


def test_what_is_no_cgroup_is_refused(tmp_path: Path) -> None:
    bpf = load_network()
    try:
        with pytest.raises(NotPermittedError, match="expected a directory of cgroup v2"):
            CgroupAttachment(bpf, tmp_path)
    finally:
        bpf.close()
