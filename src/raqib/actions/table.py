"""All helpers by name. Those without an action return their error value and say so in `Errno()`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from raqib.actions import copies, data, directories, emergency, evidence, files, kill, notify, tree
from raqib.actions.declare import Argument, Helper

_IP = Argument("ip", "string")
_DOMAIN = Argument("domain", "string")
_SECONDS = Argument("seconds", "number")

_NETWORK = (
    Helper("NetBlockIp", (Argument("ip", "string", optional=True),)),
    Helper("NetUnblockIp", (_IP,)),
    Helper("NetBlockIpTimer", (_IP, _SECONDS)),
    Helper("NetBlockDomain", (Argument("domain", "string", optional=True),)),
    Helper("NetUnblockDomain", (_DOMAIN,)),
    Helper("NetBlockDomainTimer", (_DOMAIN, _SECONDS)),
)

HELPERS: Mapping[str, Helper] = MappingProxyType(
    {
        helper.name: helper
        for helpers in (
            kill.HELPERS,
            tree.HELPERS,
            _NETWORK,
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
