"""`raqib version`: what runs here, as a report of a fault needs it."""

from __future__ import annotations

import platform
from importlib.metadata import version as package_version

import msgspec
import typer

from raqib.cli.options import AsJson
from raqib.errors import NotPermittedError
from raqib.kernel.libbpf import Libbpf


def register(root: typer.Typer) -> None:
    """Add the command."""
    root.command("version")(version)


def version(as_json: AsJson = False) -> None:
    """Say which versions run here: raqib, kernel, libbpf, Python, the JavaScript engine. For reports of faults."""
    found = versions()
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    for name, value in found.items():
        typer.echo(f"{name:<8} {value or 'none'}")


def versions() -> dict[str, str | None]:
    """Return each version by what it is of; None if that is not installed."""
    try:
        libbpf = Libbpf().version
    except NotPermittedError:
        libbpf = None
    return {
        "raqib": package_version("raqib"),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libbpf": libbpf,
        "python": platform.python_version(),
        "jsrun": package_version("jsrun"),
    }
