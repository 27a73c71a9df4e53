"""`raqib store`: the reactions' data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from raqib.actions.store import Store
from raqib.cli.options import DURATION_METAVAR, AsJson, ConfigFile, DataDir, act, data_dir_of, duration
from raqib.cli.words import columns, count
from raqib.control.operator import STORE_NAME
from raqib.errors import NotPermittedError, RaqibError
from raqib.printers.escape import visible

app = typer.Typer(help="Look at the reactions' data, and set it.", no_args_is_help=True)

Recipe = Annotated[str, typer.Argument(help="The recipe's name: each has data of its own; * is what all share.")]
Key = Annotated[str, typer.Argument()]


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.add_typer(app, name="store")


@app.command(name="get")
def get(recipe: Recipe, key: Key, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Print the value of a key: a text, or a list of texts, the latest last."""
    store = _open(data_dir_of(data_dir, config))
    try:
        value = store.items(recipe).get(key)
    finally:
        store.close()
    if value is None:
        raise RaqibError(f"recipe {recipe!r}: expected a key {key!r}, found none; `raqib store list {recipe}` has all")
    _print(value)


@app.command(name="list")
def list_(
    recipe: Annotated[str | None, typer.Argument(help="One recipe's keys with their values.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Print which recipes have data and how many keys; of one recipe all keys with their values, as JSON."""
    store = _open(data_dir_of(data_dir, config))
    try:
        content = store.namespaces() if recipe is None else store.items(recipe)
    finally:
        store.close()
    if recipe is not None or as_json:
        _print(content)
        return
    rows = [(visible(name), str(keys)) for name, keys in content.items()]
    if not rows:
        typer.echo("no recipe has data yet")
        return
    for line in columns(("recipe", "keys"), rows):
        typer.echo(line)
    typer.echo(f"{count(len(rows), 'recipe')}; * is what all of them share")


@app.command(name="set")
def set_(
    recipe: Recipe,
    key: Key,
    value: Annotated[str, typer.Argument()],
    ttl: Annotated[
        float | None,
        typer.Option(parser=duration, metavar=DURATION_METAVAR, help="It goes by itself after that: 10m, 1h30m."),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
) -> None:
    """Give a key a value; the ledger says so."""
    arguments = {"recipe": recipe, "key": key, "value": value, "ttl_s": ttl}
    answer = act(
        data_dir_of(data_dir, config),
        "store_set",
        arguments,
        lambda operator: operator.store_set(recipe, key, value, ttl),
    )
    if not answer.done:
        raise RaqibError(answer.reason)


@app.command()
def delete(recipe: Recipe, key: Key, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Remove a key; the ledger says so."""
    answer = act(
        data_dir_of(data_dir, config),
        "store_delete",
        {"recipe": recipe, "key": key},
        lambda operator: operator.store_delete(recipe, key),
    )
    if not answer.done:
        raise RaqibError(answer.reason)


def _open(data_dir: Path) -> Store:
    path = data_dir / STORE_NAME
    try:
        with path.open("rb"):
            return Store(path)
    except PermissionError as error:
        raise NotPermittedError(f"{path}: expected root: {error.strerror}") from error
    except OSError as error:
        raise RaqibError(
            f"{path}: expected a data store: {error.strerror}; give the right directory with --data-dir"
        ) from error


def _print(value: object) -> None:
    # ASCII alone: what reactions keep comes from attackers, and this may be a terminal.
    typer.echo(json.dumps(value))
