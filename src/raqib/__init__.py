"""Runtime security for Linux: eBPF sees, recipes decide, reactions act."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("raqib")
