"""Which commands there are: where each is, what it does in a line, and how it is called."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command by name; its module has a function `register` that adds it."""

    module: str
    summary: str
    """The first sentence of its help, cut to what fits beside its name."""


COMMANDS = {
    "run": Command("run", "Run the agent in the foreground, until SIGINT or SIGTERM."),
    "demo": Command("demo", "Show the whole story: a miner is seen, and killed by a reaction."),
    "doctor": Command("doctor", "Say what is allowed and set up here, and what is missing."),
    "version": Command("version", "Say which versions run here, for reports of faults."),
    "status": Command("status", "Say how the running agent is."),
    "disarm": Command("control", "Switch all actions off, at once and until `arm`."),
    "arm": Command("control", "Switch actions on again."),
    "check": Command("check", "Validate recipes and configuration."),
    "test": Command("test", "Run the tests in recipes."),
    "recipes": Command("recipes", "List the recipes, or show one."),
    "exceptions": Command("exceptions", "List what is held to be normal here."),
    "except": Command("except_", "Draft an exception from an event."),
    "explain": Command("explain", "Say why an event matched, or why a recipe did not."),
    "reaction": Command("reaction", "Try a reaction."),
    "record": Command("record", "Write what the sensors deliver."),
    "replay": Command("replay", "Run recipes and reactions over a recording, dry."),
    "ledger": Command("ledger", "Show the audit trail, or verify it."),
    "undo": Command("ledger", "Take back what a line of the ledger says was done."),
    "blocks": Command("blocks", "List, add and remove network blocks."),
    "store": Command("store", "Look at the reactions' data, and set it."),
}

EXAMPLES = {
    "run": (
        "raqib run --recipes /etc/raqib/recipes --dry-run",
        "raqib run --no-builtin --recipes mine.yaml --duration 10m --raw",
    ),
    "demo": ("raqib demo",),
    "doctor": ("raqib doctor", "raqib doctor --json"),
    "version": ("raqib version", "raqib version --json"),
    "status": ("raqib status", "raqib status --json"),
    "disarm": ("raqib disarm",),
    "arm": ("raqib arm",),
    "check": ("raqib check /etc/raqib/recipes /etc/raqib/config.yaml",),
    "test": ("raqib test /etc/raqib/recipes --junit results.xml", "raqib test --builtin"),
    "recipes": ("raqib recipes --tactic 'cred*' --enabled", "raqib recipes show crypto_miner_execution"),
    "recipes show": ("raqib recipes show crypto_miner_execution",),
    "explain": (
        "raqib explain 0199c2a4-7d1e-7c3a-9b52-3f6f0a1d2e4b",
        "raqib explain --recipes mine.yaml --recipe mine --event event.yaml",
    ),
    "exceptions": ("raqib exceptions", "raqib exceptions --json"),
    "except": (
        "raqib except 3f6f0a1d2e4b",
        "raqib except 3f6f0a1d2e4b --reason 'it unpacks here' --write",
    ),
    "reaction": ("raqib reaction run reaction.js --event event.json",),
    "reaction run": (
        "raqib reaction run reaction.js --event event.json",
        "raqib reaction run mine.yaml --name mine --event event.json",
    ),
    "record": ("raqib record -o /tmp/today.jsonl --duration 90s",),
    "replay": ("raqib replay /tmp/today.jsonl --recipes /etc/raqib/recipes",),
    "ledger": ("raqib ledger --since 2h --decision done", "raqib ledger --undoable"),
    "ledger verify": ("raqib ledger verify",),
    "undo": ("raqib undo 17",),
    "blocks": ("raqib blocks", "raqib blocks add 192.0.2.1 --for 1h30m"),
    "blocks list": ("raqib blocks list --json",),
    "blocks add": (
        "raqib blocks add 192.0.2.0/24 --for 10m --reason 'scans us'",
        "raqib blocks add bad.example",
    ),
    "blocks remove": ("raqib blocks remove 192.0.2.0/24",),
    "blocks off": ("raqib blocks off",),
    "store": ("raqib store list", "raqib store get crypto_miner_execution seen"),
    "store list": ("raqib store list", "raqib store list crypto_miner_execution"),
    "store get": ("raqib store get crypto_miner_execution seen",),
    "store set": ("raqib store set '*' maintenance yes --ttl 1h30m",),
    "store delete": ("raqib store delete '*' maintenance",),
}
"""By the words of the command."""
