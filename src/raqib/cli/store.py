"""`raqib store`: the reactions' data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from raqib.actions.operator import STORE_NAME
from raqib.actions.store import Store
from raqib.cli.options import ConfigFile, DataDir, act, data_dir_of
from raqib.errors import NotPermittedError, RaqibError

app = typer.Typer(help="Look at the reactions' data, and set it. Output is JSON.", no_args_is_help=True)

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
def list_(recipe: Recipe, data_dir: DataDir = None, config: ConfigFile = None) -> None:
    """Print all keys with their values."""
    store = _open(data_dir_of(data_dir, config))
    try:
        content = store.items(recipe)
    finally:
        store.close()
    _print(content)


@app.command(name="set")
def set_(
    recipe: Recipe,
    key: Key,
    value: Annotated[str, typer.Argument()],
    ttl: Annotated[float | None, typer.Option(help="Seconds until it goes by itself.")] = None,
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
