"""All helpers by name. Those without an action return their error value and say so in `Errno()`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from raqib.actions.declare import Helper
from raqib.actions.helpers import copies, data, directories, emergency, evidence, files, kill, network, notify, tree

HELPERS: Mapping[str, Helper] = MappingProxyType(
    {
        helper.name: helper
        for helpers in (
            kill.HELPERS,
            tree.HELPERS,
            network.HELPERS,
            files.HELPERS,
            copies.HELPERS,
            evidence.HELPERS,
            directories.HELPERS,
            data.HELPERS,
            notify.HELPERS,
            emergency.HELPERS,
        )
        for helper in helpers
    }
)
"""Every function of the contract, loggers and `Errno` apart."""
