"""Where events go. A failing or slow printer affects only itself."""

from raqib.printers.fanout import Handed, Printers
from raqib.printers.pretty import Pretty
from raqib.printers.printer import Counts, Printer, VoidPrinter
from raqib.printers.stdout import StdoutPrinter
from raqib.printers.varlog import VarlogPrinter

__all__ = ["Counts", "Handed", "Pretty", "Printer", "Printers", "StdoutPrinter", "VarlogPrinter", "VoidPrinter"]
