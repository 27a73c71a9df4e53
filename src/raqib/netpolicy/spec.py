"""A network policy as its file says it, checked: every fault with its line."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Literal, get_args

import msgspec

from raqib.recipes.diagnostic import Diagnostic, shown, source_of
from raqib.recipes.document import Mapping, Node, parse
from raqib.recipes.reader import At, Reader
from raqib.recipes.source import BadSourceError, read_source

Mode = Literal["bypass", "alert", "enforce", "both"]
Verdict = Literal["allow", "deny"]

KEY = "network_policy"
MAX_RULES = 1_000_000
MAX_BYTES = 256 << 20
_MODES: tuple[Mode, ...] = get_args(Mode)
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_FIELDS = ("cidr_mode", "cidr_policy", "resolve_mode", "resolve_policy", "rules", "i_know")
_SLIPS = {"default": "it is called cidr_policy, and resolve_policy for names", "mode": "it is called cidr_mode"}
_RULE_FIELDS = ("cidr", "domain", "policy")
_RULE_SLIPS = {"ip": "it is called cidr", "name": "it is called domain", "action": "it is called policy"}
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_MAPPED = bytes(10) + b"\xff\xff"


class Prefix(msgspec.Struct, frozen=True):
    """A network: its address without bits of the host, 4 or 16 bytes, and the length of its prefix."""

    address: bytes
    length: int

    def __str__(self) -> str:
        return f"{ipaddress.ip_address(self.address)}/{self.length}"

    @property
    def text(self) -> str:
        """The network as people write it: a single address without its length."""
        return str(self).removesuffix(f"/{8 * len(self.address)}")

    @property
    def mapped(self) -> tuple[bytes, int]:
        """The same in IPv6, where IPv4 lies in ::ffff:0:0/96."""
        return (self.address, self.length) if len(self.address) == 16 else (_MAPPED + self.address, self.length + 96)

    @classmethod
    def of_mapped(cls, address: bytes, length: int) -> Prefix:
        """Return the network that `mapped` is of."""
        return cls(address[12:], length - 96) if address.startswith(_MAPPED) else cls(address, length)

    def __contains__(self, address: bytes) -> bool:
        """Tell whether an address, 4 or 16 bytes, is in the network."""
        if len(address) != len(self.address):
            return False
        shift = 8 * len(address) - self.length
        return int.from_bytes(address, "big") >> shift == int.from_bytes(self.address, "big") >> shift


class CidrRule(msgspec.Struct, frozen=True):
    """What holds for a network."""

    prefix: Prefix
    policy: Verdict


class DomainRule(msgspec.Struct, frozen=True):
    """What holds for a name and everything below it."""

    domain: str
    """In lower case, without trailing dot."""
    policy: Verdict


class PolicySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy."""

    cidr_mode: Mode = "both"
    cidr_policy: Verdict = "allow"
    resolve_mode: Mode = "bypass"
    resolve_policy: Verdict = "allow"
    cidrs: tuple[CidrRule, ...] = ()
    domains: tuple[DomainRule, ...] = ()
    i_know: bool = False
    """Whether it is in force even if it cuts the host from its gateway or resolvers."""


def prefix_of(text: str) -> Prefix:
    """Return an address or a network; an IPv4 one that is mapped into IPv6 is IPv4.

    Raises:
        ValueError: it is neither, or bits of the host are set; the message says what was expected.
    """
    address, slash, length = text.partition("/")
    try:
        raw = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        raise ValueError(f"expected an address or a network such as 192.0.2.0/24, found {shown(text)}") from None
    bits = 8 * len(raw)
    if slash and not (length.isascii() and length.isdecimal() and int(length) <= bits):
        raise ValueError(f"expected a prefix length from 0 to {bits}, found {shown(text)}")
    size = int(length) if slash else bits
    if raw.startswith(_MAPPED) and bits == 128 and size >= 96:
        raw, size, bits = raw[12:], size - 96, 32
    if int.from_bytes(raw, "big") & (1 << bits - size) - 1:
        wanted = ipaddress.ip_network((raw, size), strict=False)
        raise ValueError(f"expected a network without bits of a host, found {shown(text)}; did you mean {wanted}?")
    return Prefix(raw, size)


def domain_of(text: str) -> str:
    """Return a domain in lower case, in ASCII, without trailing dot.

    Raises:
        ValueError: it is none; the message says what was expected.
    """
    name = text.strip().removesuffix(".").lower()
    if name.startswith("*."):
        raise ValueError(
            f"expected a domain, found {shown(text)}; write {shown(name[2:])}: it holds for everything below, too"
        )
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            raise ValueError(f"expected a domain, found {shown(text)}") from None
    if not 0 < len(name) <= 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"expected a domain such as example.com, found {shown(text)}")
    return name


def check_policy(node: Node, path: str, source: str) -> tuple[PolicySpec | None, list[Diagnostic]]:
    """Return the policy that a node says, or None if there is an error; and all that there is to say of it."""
    reader = Reader(source, KEY)
    at = At(node, path)
    fields = reader.fields(at, _FIELDS, _SLIPS)
    spec = PolicySpec(
        cidr_mode=reader.choice(fields.get("cidr_mode"), _MODES) or "both",
        cidr_policy=reader.choice(fields.get("cidr_policy"), _VERDICTS) or "allow",
        resolve_mode=reader.choice(fields.get("resolve_mode"), _MODES) or "bypass",
        resolve_policy=reader.choice(fields.get("resolve_policy"), _VERDICTS) or "allow",
        i_know=reader.boolean(fields.get("i_know"), False),
    )
    cidrs: dict[Prefix, CidrRule] = {}
    domains: dict[str, DomainRule] = {}
    entries = reader.entries(fields.get("rules"))
    if len(entries) > MAX_RULES:
        reader.error(fields["rules"], f"expected at most {MAX_RULES} rules, found {len(entries)}")
    for entry in entries[:MAX_RULES]:
        _rule(reader, entry, cidrs, domains)
    if not reader.failed:
        some_name = any(rule.policy == "allow" for rule in domains.values())
        # The addresses of an allowed name are allowed, too.
        if not some_name and not any(rule.policy == "allow" for rule in cidrs.values()):
            _denies_all(reader, fields, "cidr", spec.cidr_policy, spec.cidr_mode, spec.i_know)
        if not some_name:
            _denies_all(reader, fields, "resolve", spec.resolve_policy, spec.resolve_mode, spec.i_know)
    if reader.failed:
        return None, reader.diagnostics
    checked = msgspec.structs.replace(spec, cidrs=tuple(cidrs.values()), domains=tuple(domains.values()))
    return checked, reader.diagnostics


def _denies_all(reader: Reader, fields: dict[str, At], kind: str, policy: Verdict, mode: Mode, meant: bool) -> None:
    """Tell of a policy that lets nothing pass; it is an error unless it is meant, or only reports."""
    if policy == "allow" or mode == "bypass":
        return
    say = reader.warning if meant or mode == "alert" else reader.error
    what = "everything" if kind == "cidr" else "every name"
    hint = "" if meant else ", or i_know: true if that is meant"
    say(fields[f"{kind}_policy"], f"expected rules that allow something, found that {what} is denied; add some{hint}")


def _rule(reader: Reader, at: At, cidrs: dict[Prefix, CidrRule], domains: dict[str, DomainRule]) -> None:
    fields = reader.fields(at, _RULE_FIELDS, _RULE_SLIPS)
    policy = reader.choice(fields.get("policy"), _VERDICTS)
    if isinstance(at.node, Mapping) and "policy" not in fields:
        reader.error(at, "expected policy: allow or deny, found none")
    if isinstance(at.node, Mapping) and ("cidr" in fields) == ("domain" in fields):
        reader.error(at, "expected either cidr or domain, found " + ("both" if "cidr" in fields else "neither"))
        return
    if policy is None:
        return
    try:
        # Between equals, deny.
        if "cidr" in fields and (text := reader.text(fields["cidr"])) is not None:
            prefix = prefix_of(text.strip())
            if policy == "deny" or prefix not in cidrs:
                cidrs[prefix] = CidrRule(prefix, policy)
        elif "domain" in fields and (text := reader.text(fields["domain"])) is not None:
            domain = domain_of(text)
            if policy == "deny" or domain not in domains:
                domains[domain] = DomainRule(domain, policy)
    except ValueError as error:
        reader.error(fields["cidr" if "cidr" in fields else "domain"], str(error))


def load_policy(path: Path, *, alone: bool = True) -> tuple[PolicySpec | None, list[Diagnostic]]:
    """Read a policy file; None if there is an error in it. Never raises for what a file may be or contain.

    Without `alone`, it may say other things too: a configuration.
    """
    source = source_of(path)
    try:
        text = read_source(path, MAX_BYTES)
    except BadSourceError as error:
        return None, [Diagnostic("error", source, KEY, "", str(error))]
    return policy_from(text, source, alone=alone)


def policy_from(text: bytes | str, source: str, *, alone: bool = True) -> tuple[PolicySpec | None, list[Diagnostic]]:
    """Return the policy in a text, or None if there is an error; and all that there is to say of it."""
    root, faults = parse(text)
    diagnostics = [Diagnostic("error", source, KEY, fault.path, fault.message, fault.line) for fault in faults]
    if root is None:
        if not diagnostics:
            diagnostics = [Diagnostic("error", source, KEY, "", f"expected {KEY}:, found an empty file")]
        return None, diagnostics
    reader = Reader(source, KEY)
    at = At(root, "$")
    known = (KEY,) if alone or not isinstance(root, Mapping) else (KEY, *root.entries)
    fields = reader.fields(at, known)
    diagnostics += reader.diagnostics
    if KEY not in fields:
        if not reader.failed:
            diagnostics.append(Diagnostic("error", source, KEY, "$", f"expected {KEY}:, found none", root.line))
        return None, diagnostics
    spec, found = check_policy(fields[KEY].node, fields[KEY].path, source)
    diagnostics += found
    return (None if any(diagnostic.severity == "error" for diagnostic in diagnostics) else spec), diagnostics
