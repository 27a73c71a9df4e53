"""Dependencies between the rooms point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import raqib

ROOT = Path(raqib.__file__).parent

ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "host": {"model"},
    "kernel": {"model"},
    "dns": {"model"},
    "events": {"host", "model"},
    "ledger": {"model"},
    "printers": {"model"},
    "recipes": {"model"},
    "sensors": {"host", "kernel", "model"},
    "matcher": {"model", "recipes"},
    "netpolicy": {"kernel", "model", "recipes"},
    "actions": {"host", "ledger", "model"},
    "actions.helpers": {"actions", "host", "ledger", "model"},
    "reactions": {"actions", "actions.helpers", "host", "ledger", "model", "reactions.shell"},
    "reactions.shell": {"host", "model"},
    "reactions.worker": {"reactions"},
    "config": {"actions", "model", "netpolicy", "printers", "reactions", "recipes", "sensors"},
    "library": {"config", "matcher", "model", "reactions", "recipes"},
    "exceptions": {"library", "matcher", "model", "recipes"},
    "control": {
        "actions",
        "actions.helpers",
        "config",
        "host",
        "kernel",
        "ledger",
        "library",
        "model",
        "printers",
        "reactions",
        "sensors",
    },
    "offline": {
        "actions",
        "actions.helpers",
        "config",
        "events",
        "ledger",
        "matcher",
        "model",
        "netpolicy",
        "printers",
        "reactions",
        "recipes",
    },
}
"""What each room may import, beside itself and `raqib.errors`; `agent` wires all of them and `cli` calls it."""

WIRING = {"agent", "cli"}
EVERYBODY_MAY = {"errors", "__version__"}
NESTED = {room for room in ALLOWED if "." in room}


def room_of(module: str) -> str:
    """Return the room of a module, given without the leading `raqib.`."""
    first, _, rest = module.partition(".")
    nested = f"{first}.{rest.partition('.')[0]}"
    return nested if nested in NESTED else first


def imported_rooms(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "raqib":
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        found |= {room_of(module.removeprefix("raqib.")) for module in modules if module.startswith("raqib.")}
    return found - EVERYBODY_MAY


def files_of(room: str) -> list[Path]:
    return [
        file
        for file in ROOT.joinpath(*room.split(".")).rglob("*.py")
        if room_of(".".join(file.relative_to(ROOT).with_suffix("").parts)) == room
    ]


@pytest.mark.parametrize("room", ALLOWED)
def test_each_room_imports_only_what_it_may(room: str) -> None:
    beyond = {
        str(file.relative_to(ROOT)): sorted(imported_rooms(file) - ALLOWED[room] - {room}) for file in files_of(room)
    }
    assert {} == {file: rooms for file, rooms in beyond.items() if rooms}


@pytest.mark.parametrize("room", ALLOWED)
def test_what_a_room_may_import_is_what_it_imports(room: str) -> None:
    used = set().union(*map(imported_rooms, files_of(room)))
    assert set() == ALLOWED[room] - used


def test_no_room_is_above_itself() -> None:
    above = {room: set(allowed) for room, allowed in ALLOWED.items()}
    while above:
        lowest = {room for room, allowed in above.items() if not allowed & above.keys()}
        assert lowest, f"a circle among {sorted(above)}"
        above = {room: allowed for room, allowed in above.items() if room not in lowest}


def test_a_worker_imports_itself_and_the_protocol_only() -> None:
    imported = {
        node.module
        for file in files_of("reactions.worker")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("raqib.")
    }
    other = {module for module in imported if not module.startswith("raqib.reactions.worker")}
    assert {"raqib.errors", "raqib.reactions.protocol"} == other


def test_what_runs_and_what_needs_no_kernel_do_not_import_each_other() -> None:
    assert "offline" not in set().union(*map(imported_rooms, files_of("agent")))
    assert "agent" not in ALLOWED["offline"]


def test_every_room_is_in_the_table() -> None:
    rooms = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()}
    assert {room for room in ALLOWED if "." not in room} | WIRING == rooms


def test_only_who_decodes_records_knows_their_layout() -> None:
    users = {file.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py") if "kernel.layout" in file.read_text()}
    assert {"kernel", "sensors", "netpolicy"} == users


def test_only_the_kernel_room_talks_to_libbpf() -> None:
    users = {file.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py") if "import cffi" in file.read_text()}
    assert {"kernel"} == users


def test_nobody_asks_the_name_service_of_libc() -> None:
    """It may wait for a directory on the network, and the event loop with it."""
    found = {
        str(file.relative_to(ROOT)): sorted(imported)
        for file in ROOT.rglob("*.py")
        if (imported := imported_modules(file) & {"pwd", "grp", "spwd"})
    }
    assert {} == found


def imported_modules(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_events_are_built_in_one_room() -> None:
    """`printed` reads those that were built before, and `testing` is for tests."""
    builders = {
        file.relative_to(ROOT)
        for file in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Event"
    }
    outside = {str(file) for file in builders if file.parts[0] != "events"}
    assert {"offline/printed.py", "testing.py"} == outside
