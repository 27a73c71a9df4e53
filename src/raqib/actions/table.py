"""All helpers by name. Those without an action return their error value and say so in `Errno()`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from raqib.actions import data, files, kill
from raqib.actions.declare import Argument, Helper

_IP = Argument("ip", "string")
_DOMAIN = Argument("domain", "string")
_SECONDS = Argument("seconds", "number")
_PATH = Argument("path", "string")

_LATER = (
    Helper("KillTree"),
    Helper("NetBlockIp", (Argument("ip", "string", optional=True),)),
    Helper("NetUnblockIp", (_IP,)),
    Helper("NetBlockIpTimer", (_IP, _SECONDS)),
    Helper("NetBlockDomain", (Argument("domain", "string", optional=True),)),
    Helper("NetUnblockDomain", (_DOMAIN,)),
    Helper("NetBlockDomainTimer", (_DOMAIN, _SECONDS)),
    Helper("HashFile", (_PATH,), error='""'),
    Helper("CopyFile", (Argument("from", "string"), Argument("toDir", "string"))),
    Helper("CollectEvidence", error='""'),
    Helper("CreateTempDir", (Argument("pattern", "string", optional=True),), error='""'),
    Helper("RemoveDir", (_PATH,)),
    Helper("Notify", (Argument("title", "string"), Argument("fields", "object", optional=True, content=True))),
    Helper("PowerOff"),
    Helper("Panic"),
)

HELPERS: Mapping[str, Helper] = MappingProxyType(
    {helper.name: helper for helper in (*kill.HELPERS, *files.HELPERS, *data.HELPERS, *_LATER)}
)
"""Every function of the contract, loggers and `Errno` apart."""
