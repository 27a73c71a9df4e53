"""What the kernel side and the daemon exchange has one layout: the object's types are compared with the decoders'."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import raqib.kernel
from raqib.kernel.layout import LAYOUTS, constant, ffi
from raqib.kernel.syscalls import SYSCALLS, fill
from raqib.model.actions import ACTION_NAMES, ALL_ACTIONS, FileAction

ROOT = Path(__file__).parents[2]
OBJECTS = Path(str(files(raqib.kernel))) / "objects"
MACHINES = ("x86_64", "aarch64")
NET_STRUCTS = (
    "net_record",
    "net_address",
    "net_prefix4",
    "net_prefix6",
    "net_rule",
    "net_block",
    "net_domain_block",
    "net_learned",
    "net_policy",
    "net_config",
    "net_switch",
    "net_mark",
    "net_drop_key",
    "net_drop_count",
    "net_drop",
    "net_drop_domain",
    "net_dns_record",
    "net_question",
    "net_asker",
    "net_asked_lately",
    "net_hash_request",
    "net_judge_request",
    "net_counters",
    "flow_key",
    "net_socket",
    "flow_totals",
    "flow",
    "flow_head",
    "flow_link_key",
    "flow_link",
    "flow_record",
    "flow_pending",
    "flow_config",
    "flow_take_request",
    "net_room",
    "net_holder",
    "net_turn",
    "net_account",
    "net_load",
    "listener_key",
)
STRUCTS = (
    "process_key",
    "image",
    "share",
    "tally",
    "account",
    "held",
    "turn_key",
    "process",
    "access_key",
    "access",
    "name",
    "watched",
    "environment",
    "context_path",
    "long_text",
    "verdict",
    "filter",
    "literal_key",
    "object_key",
    "object",
    "policy",
    "syscall_row",
    "syscall_table",
    "counters",
    "record",
    "hash_request",
    "learn_request",
    "locate_request",
    "list_request",
    "listing",
    "merge_request",
    "settle_request",
)


CASES = [("files", name) for name in STRUCTS] + [("net", name) for name in NET_STRUCTS]


@cache
def types_of(program: str, machine: str) -> dict[str, dict[str, Any]]:
    """Return the structs of an object's BTF by name."""
    shown = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", OBJECTS / f"{program}.{machine}.bpf.o"],
        capture_output=True,
        check=True,
    )
    types = json.loads(shown.stdout)["types"]
    return {kind["name"]: kind for kind in types if kind["kind"] == "STRUCT" and kind["name"] != "(anon)"}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("program", "name"), CASES)
def test_struct(program: str, name: str, machine: str) -> None:
    known = types_of(program, machine)
    assert name in known, "the object has no such type: does a program or a map use it?"
    ours = ffi.typeof(f"struct {name}")
    fields = {field: kind.offset * 8 for field, kind in ours.fields or ()}
    assert {member["name"]: member["bits_offset"] for member in known[name]["members"]} == fields
    assert known[name]["size"] == ffi.sizeof(f"struct {name}")


@pytest.mark.parametrize(("layout", "structs"), [("core.h", STRUCTS), ("net.h", NET_STRUCTS)])
def test_every_struct_is_compared(layout: str, structs: tuple[str, ...]) -> None:
    header = (ROOT / "bpf/layout" / layout).read_text()
    assert sorted(re.findall(r"^struct (\w+) \{", header, re.MULTILINE)) == sorted(structs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_installed_header_is_the_source(layout: str) -> None:
    assert (ROOT / "bpf/layout" / layout).read_text() == (OBJECTS / "layout" / layout).read_text()


def test_actions_are_those_of_the_model() -> None:
    assert {name: constant(f"ACTION_{name.upper()}") for name in ACTION_NAMES} == {
        name: int(action) for name, action in ACTION_NAMES.items()
    }


def numbers(*candidates: str) -> dict[str, int]:
    """Return the numbers of a header of the kernel, or skip if there is none."""
    for candidate in candidates:
        path = Path("/usr/include") / candidate
        if path.exists():
            found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", path.read_text(), re.MULTILINE)
            return {name: int(number) for name, number in found}
    pytest.skip(f"none of {', '.join(candidates)} is installed below /usr/include")


@pytest.mark.parametrize(
    ("column", "headers"),
    [
        ("x86_64", ("x86_64-linux-gnu/asm/unistd_64.h", "asm/unistd_64.h")),
        ("i386", ("x86_64-linux-gnu/asm/unistd_32.h", "asm/unistd_32.h")),
        ("aarch64", ("asm-generic/unistd.h",)),
    ],
)
def test_syscall_numbers(column: str, headers: tuple[str, ...]) -> None:
    known = numbers(*headers)
    # What 32-bit programs call mmap is here the call with the offset in pages.
    names = {"mmap": "mmap2", "old_mmap": "mmap"} if column == "i386" else {}
    if column == "aarch64":
        names = {"sendfile64": "sendfile"}
    ours = {names.get(syscall.name, syscall.name): getattr(syscall, column) for syscall in SYSCALLS}
    assert {name: number for name, number in ours.items() if number is not None} == {
        name: known.get(name) for name, number in ours.items() if number is not None
    }


@pytest.mark.parametrize("machine", MACHINES)
def test_no_two_calls_share_a_number(machine: str) -> None:
    table = ffi.new("struct syscall_table *")
    fill(table, ALL_ACTIONS, machine)
    column, compat = ("x86_64", "i386") if machine == "x86_64" else ("aarch64", "arm")
    for rows, name in ((table.rows[0], column), (table.rows[1], compat)):  # type: ignore[attr-defined]
        expected = sum(getattr(syscall, name) is not None for syscall in SYSCALLS)
        assert expected == sum(rows[index].kind != 0 for index in range(len(rows)))


def test_table_has_only_what_is_wanted() -> None:
    table = ffi.new("struct syscall_table *")
    fill(table, FileAction.FLOCK, "x86_64")
    rows = table.rows[0]  # type: ignore[attr-defined]
    assert [73] == [index for index in range(len(rows)) if rows[index].kind]
