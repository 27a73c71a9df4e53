"""Writes the tables of what recipes can say, from what the checks accept.

`python -m raqib.recipes.reference` prints docs/reference.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from textwrap import fill

from raqib.model.actions import ACTION_MACROS, ACTION_NAMES, ALL_ACTIONS, action_names
from raqib.model.flow import FLOW_ACTION_NAMES
from raqib.recipes.check_arbitrary import ALLOWED_TESTS, FACT_ALIASES, FACTS, FLOW_FACTS, TIMES_KINDS
from raqib.recipes.compile import EXECVE_IMPLIES

_INTRODUCTION = """# What recipes can say

<!-- Generated: python -m raqib.recipes.reference > docs/reference.md -->

The tables to [recipes.md](recipes.md), which explains them. `raqib check` names the nearest word to one that is
not here.
"""

FILE_ACTIONS: Mapping[str, str] = {
    "fasync": "asks for signals when something can be read or written",
    "flock": "locks it, or a part of it",
    "fsync": "has what was written put on the disk",
    "llseek": "moves to another place within it",
    "mmap": "maps it into memory",
    "open": "opens it",
    "read": "reads from it",
    "write": "writes to it",
    "rename": "gives it another name; the old name and the new one have this action",
    "truncate": "cuts it, also when it is opened",
    "unlink": "removes a name of it, or an empty directory",
    "create": "makes it, also a directory, a node or a symbolic link",
    "close": "closes it",
    "link": "gives it one more name; the old name and the new one have this action",
    "execve": "runs it",
}
"""What a process does to a file, by the action's name."""

FLOW_ACTIONS: Mapping[str, str] = {
    "created": "it is seen for the first time; one that was there before the agent has it not",
    "ingress": "a packet came",
    "egress": "a packet left",
    "incoming": "the other side began",
    "outgoing": "this side began",
    "started": "the first packet, or the connection is established",
    "ongoing": "both sides have sent",
    "ended": "it is over",
    "terminator": "this side ended it",
    "terminated": "the other side ended it",
}

_OF_PROCESS = {
    "exe": "the file of its program",
    "comm": "its name, of at most 15 bytes, which it may choose",
    "cmd": "the last component of its argument 0",
    "cmdline": "all its arguments, joined by blanks",
    "args": "all its arguments, joined by blanks; also with a blank before and behind, for `' -x '`",
    "envs": "its environment, each variable as `NAME=value`",
}
_PREFIXES = {
    "": "the process: ",
    "parent_": "its parent: ",
    "task_or_parent_": "the process or its parent: ",
    "ancient_": "the process or any of its ancestors: ",
}
_OTHER_FACTS = {
    "uid": "the user's number",
    "user": "the user's name",
    "path": "the file that the event is about, as really reached",
    "arg": "one argument: with `index` that one, 0 being the name it is called by; else any",
    "cwd": "its working directory",
    "unit": "the unit of the service manager that it runs in, as `nginx.service`",
    "container": "its container's identifier, and the container's name",
    "image": "its container's image",
    "pod": "its pod's name",
    "namespace": "its pod's namespace",
    "label": "its container's or pod's labels, each as `name=value`",
    "pid": "the process's number",
    "retcode": "its exit code, or 128 and the signal that ended it; known once it has ended",
    "parent_pid": "its parent's number",
    "start": "when it started",
    "exit": "when it ended",
    "parent_or_prev_exe": "the file of its parent's program, or of the program that it ran before",
    "task_or_prev_exe": "the file of its program, or of the one that it ran before",
    "proto": "`tcp`, `udp` or `icmp`",
    "family": "`ipv4` or `ipv6`",
    "local": "this side's address; a pattern is tried on its names, too",
    "remote": "the other side's address; a pattern is tried on its names, too",
    "any_peers": "either side's address; a pattern is tried on the names, too",
    "local_ports": "this side's port",
    "remote_ports": "the other side's port",
    "any_ports": "either side's port",
    "any_peers_and_ports": "`198.51.100.7:443`, `[2001:db8::1]:443`, `www.example.org:443`, of either side",
    "remote_domain_score": "0 to 100: how likely a program made up the other side's name",
}
TIMES = {
    "times_per_proc": "process",
    "times_per_parent_proc": "parent process",
    "times_per_exe": "file of a program",
    "times_per_parent_exe": "file of a parent's program",
    "times_per_cmd": "last component of argument 0",
    "times_per_full_ancestry": "line of programs, from the process up to the first",
    "times_per_hostname": "namespace of host names, which most containers have one of",
    "times_per_host": "recipe",
}


def fact_meaning(name: str) -> str:
    """Return what a fact of `arbitrary` is. Raises KeyError for one that is not described."""
    if name in _OTHER_FACTS:
        return _OTHER_FACTS[name]
    # The longest prefix first: one is the beginning of another's.
    for prefix in sorted(_PREFIXES, key=len, reverse=True):
        if name.startswith(prefix) and name.removeprefix(prefix) in _OF_PROCESS:
            return _PREFIXES[prefix] + _OF_PROCESS[name.removeprefix(prefix)]
    raise KeyError(name)


def reference_page() -> str:
    """Return the page, in Markdown."""
    parts = [
        _INTRODUCTION,
        "## File actions\n",
        "Of `file_actions`; with `file_actions_how: all` all of them have to be done, else one will do.\n",
    ]
    parts.append(_table(("action", "the process …"), ((_code(name), FILE_ACTIONS[name]) for name in ACTION_NAMES)))
    parts.append(f"`execve` counts as {_names(action_names(EXECVE_IMPLIES))}. These macros stand for several:\n")
    macros = (
        (_code(name), "all of them" if what == ALL_ACTIONS else _names(action_names(what)))
        for name, what in ACTION_MACROS.items()
    )
    parts.append(_table(("macro", "stands for"), macros))
    parts += ["## Flow actions\n", "Of `flow_actions`; with `flow_actions_how: all` all of them, else one.\n"]
    parts.append(_table(("action", "of the flow"), ((_code(name), FLOW_ACTIONS[name]) for name in FLOW_ACTION_NAMES)))
    parts += [
        "## Facts\n",
        "What `arbitrary` can ask, as `what`. What is not known has no value, and matches nothing.\n",
    ]
    for title, wanted in (("of every event", False), ("of flows only", True)):
        facts = [name for name in FACTS if (name in FLOW_FACTS) is wanted]
        rows = ((_code(name), _names(ALLOWED_TESTS[FACTS[name]]), fact_meaning(name)) for name in facts)
        parts.append(_table((f"fact {title}", "test", "what it is"), rows))
    aliases = ", ".join(f"`{alias}` is `{name}`" for alias, name in FACT_ALIASES.items())
    parts.append(fill(f"{aliases}.", 120) + "\n")
    parts.append("`when: smaller` or `bigger` goes with a number, a time or a cidr.\n")
    parts += [
        "## Limits of times\n",
        "Entries of `times`: `{kind: …, max: n}`. Beyond `max`, within `times_window_s`, a match says nothing.\n",
    ]
    parts.append(
        _table(
            ("kind", "counts for each"), ((_code(kind), TIMES[kind]) for kind in dict.fromkeys(TIMES_KINDS.values()))
        )
    )
    others = [f"`{alias}` is `{kind}`" for alias, kind in TIMES_KINDS.items() if alias != kind]
    parts.append(f"{', '.join(others)}.")
    return "\n".join(parts) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_code, names))


def _table(title: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (title, ("---",) * len(title), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(reference_page())
