"""`raqib check`: what is wrong with recipes and configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from raqib.agent import load_config
from raqib.agent.recipes import load_path, with_checked_reactions, without_files
from raqib.cli.words import count
from raqib.errors import UsageError
from raqib.netpolicy.spec import load_policy
from raqib.recipes.check import REQUIRED_FIELDS
from raqib.recipes.diagnostic import Diagnostic, Loaded
from raqib.recipes.load import combine


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("check")(command)


def command(
    paths: Annotated[list[Path], typer.Argument(help="Recipe files, directories of them, configuration files.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Validate recipes and configuration; exit status 1 if anything is wrong."""
    raise typer.Exit(check(paths, as_json=json))


def check(paths: list[Path], *, as_json: bool) -> int:
    """Print a line for each problem and a summary; return the exit status."""
    loaded: list[Loaded] = []
    diagnostics: list[Diagnostic] = []
    configurations = 0
    for path in paths:
        if _is_configuration(path):
            configurations += 1
            diagnostics += _check_configuration(path)
        else:
            # Who owns the files is a matter of the host that runs them, not of the one that checks them.
            loaded.append(load_path(path, allow_unsafe_owner=True))
            diagnostics += without_files(path)
    together = combine(Loaded(), loaded)
    recipes, problems = with_checked_reactions(together.recipes)
    diagnostics = [*together.diagnostics, *problems, *diagnostics]
    errors = sum(1 for one in diagnostics if one.severity == "error")
    if as_json:
        summary = {"recipes": len(recipes), "errors": errors, "diagnostics": diagnostics}
        print(msgspec.json.encode(summary).decode())
    else:
        for one in diagnostics:
            print(f"{one.severity}: {one}")
        print(
            f"{count(len(recipes), 'recipe')} and {count(configurations, 'configuration')} checked: "
            f"{count(errors, 'error')}, {count(len(diagnostics) - errors, 'warning')}"
        )
    return 1 if errors else 0


def _check_configuration(path: Path) -> list[Diagnostic]:
    """Return what is wrong with it, and with a network policy in it."""
    try:
        settings = load_config(path)
    except UsageError as error:
        return [Diagnostic("error", str(path), "", "", str(error).removeprefix(f"{path}: "))]
    if settings.network.policy is None:
        return []
    return load_policy(settings.network.policy, alone=False)[1]


def _is_configuration(path: Path) -> bool:
    """A recipe file is a list, a configuration is a mapping: the first line that says something tells."""
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
    except OSError:
        return False
    for line in lines:
        if line.strip() and not line.lstrip().startswith((b"#", b"---")):
            # A recipe that stands alone is a mapping too, and no list, which is what to say of it.
            key = line.partition(b":")[0].strip(b" \t'\"").decode("utf-8", "replace")
            return not line.lstrip().startswith((b"-", b"[")) and key not in REQUIRED_FIELDS
    return False
