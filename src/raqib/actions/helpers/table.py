"""All helpers, by section and by name. Those without an action return their error value and say so in `Errno()`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from raqib.actions.declare import Helper
from raqib.actions.helpers import copies, data, directories, emergency, evidence, files, kill, network, notify, tree

SECTIONS: Mapping[str, tuple[Helper, ...]] = MappingProxyType(
    {
        "Processes": (*kill.HELPERS, *tree.HELPERS),
        "Network": network.HELPERS,
        "Files": (*files.HELPERS, *copies.HELPERS, *evidence.HELPERS, *directories.HELPERS),
        "Data": data.HELPERS,
        "Others": (*notify.HELPERS, *emergency.HELPERS),
    }
)
"""In the order of the reference page."""

HELPERS: Mapping[str, Helper] = MappingProxyType(
    {helper.name: helper for helpers in SECTIONS.values() for helper in helpers}
)
"""Every function of the contract, loggers and `Errno` apart."""
