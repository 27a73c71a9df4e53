from __future__ import annotations

from typing import Any

from raqib.actions.switch import FILE_NAME
from raqib.cli import status as status_command
from raqib.cli.status import describe

COUNTERS = {"records": 2**40, "pending": 123456789, "lost_watched": 7, "lost_accesses": 2**33, "lost_texts": 1}
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4194304,
    "uptime_s": 94521.7,
    "armed": True,
    "dry_run": False,
    "recipes": 86,
    "sensors": COUNTERS,
    "network": {"flows_made": 2**40, "lost_sockets": 5, **COUNTERS},
    "policy": {
        "file": "/etc/raqib/policy.yaml",
        "off": False,
        "cidr_mode": "enforce",
        "cidr_policy": "allow",
        "cidr_rules": 100000,
        "resolve_mode": "alert",
        "resolve_policy": "deny",
        "domain_rules": 1,
        "blocks": {"networks": 12000, "domains": 1, "ending": 11999},
    },
    "printers": {
        "stdout": {"written": 2**40, "failed": 0, "dropped": 3, "waiting": 4},
        "varlog": {"written": 12, "failed": 1234, "dropped": 0, "waiting": 0},
    },
    "matches": {
        "total": 12,
        "repeated": 3,
        "by_recipe": {"a_recipe_with_quite_a_long_name_of_its_own": 7, "evil\x1b[2J": 5},
    },
    "reactions": {"started": 9, "running": 0, "waiting": 0, "done": 9, "error": 0, "timeout": 0, "out_of_memory": 0},
    "actions": {"done": 3, "would": 0, "refused": 0, "error": 0},
    "breakers_opened": 0,
    "latency": {
        "detect_to_print": {"count": 12, "p50_ms": 1.031, "p99_ms": 2.204},
        "detect_to_act": {"count": 0, "p50_ms": None, "p99_ms": None},
    },
    "workers": {"pids": [1, 2, 3], "ready": 3, "busy": 0, "sandbox_missing": ["landlock"]},
    "memory": {"agent_bytes": 100 << 20, "workers_bytes": 200 << 20},
    "ledger": {"seq": 9999, "hash": "f" * 64, "failure": ""},
}


def told(**changed: Any) -> str:
    return "\n".join(describe(STATUS | changed))


def test_it_fits_80_columns_and_is_aligned() -> None:
    lines = describe(STATUS)
    assert [] == [line for line in lines if len(line) > 80]
    assert [] == [
        line for line in lines if line[10] != " " or (line[11] == " " and "written" not in line and "p50" not in line)
    ]


def test_it_tells_of_network_policy_and_blocks() -> None:
    text = told()
    for part in (
        "up 1d2h15m21s",
        "flows made 1099511627776",
        "3 of them only counted",
        "policy     /etc/raqib/policy.yaml\n",
        "addresses: enforce, default allow, 100000 rules\n",
        "names: alert, default deny, 1 rule\n",
        "blocks     12000 networks, 1 domain, 11999 of them end by themselves\n",
        "sandbox    not permitted here: landlock",
    ):
        assert part in text
    assert "SWITCHED OFF" in told(policy=STATUS["policy"] | {"off": True})
    assert "policy     none\n" in told(policy=None)
    assert "network    not seen" in told(network=None, policy=None)


def test_printers_stand_in_columns() -> None:
    lines = describe(STATUS)
    title = next(line for line in lines if line.startswith("printers"))
    at = title.index("dropped")
    stdout, varlog = lines[lines.index(title) + 1 : lines.index(title) + 3]
    assert ("3", "0") == (stdout[at:].split()[0], varlog[at:].split()[0])


def test_it_cannot_steer_a_terminal() -> None:
    assert "\x1b" not in told()


def test_an_agent_of_before_is_understood() -> None:
    old = {name: value for name, value in STATUS.items() if name not in ("network", "policy")}
    assert "network    not seen" in "\n".join(describe(old))


def test_the_switch_is_the_one_of_the_actions() -> None:
    assert FILE_NAME == status_command._SWITCHED_OFF
