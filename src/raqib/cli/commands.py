"""The commands of `raqib`: found by name, and imported only when they are called."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from raqib.cli.table import COMMANDS, EXAMPLES


class _Commands(TyperGroup):
    """Knows what there is from a table. Help of one command, and a call of it, import that one's module alone."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # `raqib help blocks add` is what people try first.
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            ctx.fail(f"expected a command, found {name!r}{hint}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    # Plain text fits every terminal and pipe, and a command is there in half the time.
    rich_markup_mode=None,
)


def load(name: str) -> Any:
    """Return a command of the table by its name, with its examples."""
    home = typer.Typer(rich_markup_mode=None, add_completion=False)
    import_module(f"raqib.cli.{COMMANDS[name].module}").register(home)
    command = get_group(home).commands[name]
    _complete(command, name)
    return command


def _complete(command: Any, path: str) -> None:
    """Give a command, and those below it, the examples of the table."""
    lines = EXAMPLES.get(path, ())
    if lines:
        title = "Example:" if len(lines) == 1 else "Examples:"
        # After this mark the lines stay as they are.
        command.epilog = "\n".join(("\b", title, *(f"  {line}" for line in lines)))
    for name, below in getattr(command, "commands", {}).items():
        _complete(below, f"{path} {name}")


def _version(wanted: bool) -> None:
    if wanted:
        from raqib import __version__

        typer.echo(f"raqib {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print and exit.")
    ] = False,
) -> None:
    """Runtime security for Linux: eBPF sees, recipes decide, reactions act."""
