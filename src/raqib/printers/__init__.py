"""Where events go. A failing or slow printer affects only itself.

The public names are loaded when they are first used: whoever reads a configuration has no use for printers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raqib.printers.fanout import Handed, Printers
    from raqib.printers.pretty import Pretty
    from raqib.printers.printer import Counts, Printer, VoidPrinter
    from raqib.printers.stdout import StdoutPrinter
    from raqib.printers.varlog import VarlogPrinter

__all__ = ["Counts", "Handed", "Pretty", "Printer", "Printers", "StdoutPrinter", "VarlogPrinter", "VoidPrinter"]

_HOMES = {
    "Counts": "printer",
    "Handed": "fanout",
    "Pretty": "pretty",
    "Printer": "printer",
    "Printers": "fanout",
    "StdoutPrinter": "stdout",
    "VarlogPrinter": "varlog",
    "VoidPrinter": "printer",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
