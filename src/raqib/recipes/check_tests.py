"""`tests`: sample events and what the recipe shall make of them."""

from __future__ import annotations

import ipaddress
import re
from collections import abc

from raqib.model.actions import NO_ACTIONS
from raqib.model.flow import NO_FLOW_ACTIONS
from raqib.model.where import Where
from raqib.recipes.check_files import check_actions
from raqib.recipes.check_network import check_flow_actions
from raqib.recipes.diagnostic import Diagnostic, shown
from raqib.recipes.document import Mapping, Scalar, parse
from raqib.recipes.reader import At, Reader
from raqib.recipes.spec import (
    Because,
    ExpectedCall,
    PlainValue,
    RecipeTest,
    SampleEvent,
    SampleFile,
    SampleFlow,
    SamplePeer,
    SampleProcess,
)

_BECAUSE: tuple[Because, ...] = ("bases", "file_actions", "flow", "flow_actions", "arbitrary", "times")
_FLOW_SLIPS = {
    "protocol": "it is called proto",
    "flow_actions": "it is called actions",
    "ip_version": "the address says it",
}
_WHERE_FIELDS = ("unit", "container", "container_name", "image", "pod", "namespace")
_PROCESS_FIELDS = (
    *("exe", "args", "comm", "uid", "pid", "envs", "prev_exe", "prev_args", "retcode", "user", "cwd", "labels"),
    *_WHERE_FIELDS,
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}\.[0-9]{1,15}")


def check_tests(reader: Reader, at: At | None) -> tuple[RecipeTest, ...]:
    """Return the sample events of a recipe."""
    tests = []
    for index, entry in enumerate(reader.entries(at)):
        fields = reader.fields(entry, ("name", "event", "expect", "repeat"))
        event = _event(reader, fields["event"]) if "event" in fields else SampleEvent()
        expect_at = fields.get("expect")
        if expect_at is None:
            reader.error(entry, "expected expect: {match: true} or {match: false}, found none")
            continue
        expect = reader.fields(expect_at, ("match", "because", "calls"))
        match = reader.boolean(expect.get("match"), True)
        because = reader.choice(expect.get("because"), _BECAUSE)
        if match and because is not None:
            reader.error(expect["because"], "expected because only beside match: false")
        calls = _calls(reader, expect["calls"]) if "calls" in expect else None
        name = reader.text(fields.get("name")) or f"test {index + 1}"
        repeat = reader.integer(fields.get("repeat"), 1, 10_000) or 1
        tests.append(RecipeTest(name, event, match, because, calls, repeat))
    return tuple(tests)


def read_sample(text: bytes | str, source: str) -> tuple[SampleEvent | None, list[Diagnostic]]:
    """Read one sample event that stands alone; None if something is wrong with it. Never raises for what it reads."""
    root, faults = parse(text)
    reader = Reader(source, "")
    for fault in faults:
        reader.diagnostics.append(Diagnostic("error", source, "", fault.path, fault.message, fault.line))
    if root is None:
        return None, reader.diagnostics
    event = _event(reader, At(root, "$"))
    return (None if reader.failed else event), reader.diagnostics


def _event(reader: Reader, at: At) -> SampleEvent:
    fields = reader.fields(at, ("process", "parent", "ancestry", "file", "flow"))
    process = _process(reader, fields["process"]) if "process" in fields else SampleProcess()
    ancestors = [_process(reader, entry) for entry in reader.entries(fields.get("ancestry"))][::-1]
    if "parent" in fields:
        ancestors.insert(0, _process(reader, fields["parent"]))
    sample = SampleFile()
    if "file" in fields:
        inner = reader.fields(fields["file"], ("path", "actions", "aliases"))
        actions = check_actions(reader, inner.get("actions"), NO_ACTIONS) or None
        path = reader.text(inner.get("path"))
        for name, place in [(path, fields["file"]), *reader.texts(inner.get("aliases"), split=False)]:
            if name is not None and not name.startswith("/"):
                reader.error(place, "expected an absolute path")
        aliases = tuple(text for text, _ in reader.texts(inner.get("aliases"), split=False))
        sample = SampleFile(path, actions, aliases)
    flow = _flow(reader, fields["flow"]) if "flow" in fields else SampleFlow()
    return SampleEvent(process, tuple(ancestors), sample, flow)


def _flow(reader: Reader, at: At) -> SampleFlow:
    fields = reader.fields(at, ("proto", "local", "remote", "actions", "icmp"), _FLOW_SLIPS)
    icmp = reader.fields(fields["icmp"], ("type", "code")) if "icmp" in fields else {}
    return SampleFlow(
        proto=reader.choice(fields.get("proto"), ("tcp", "udp", "icmp")),
        local=_peer(reader, fields["local"]) if "local" in fields else SamplePeer(),
        remote=_peer(reader, fields["remote"]) if "remote" in fields else SamplePeer(),
        actions=check_flow_actions(reader, fields.get("actions"), NO_FLOW_ACTIONS) or None,
        icmp_type=reader.integer(icmp.get("type"), 0, 255),
        icmp_code=reader.integer(icmp.get("code"), 0, 255),
    )


def _peer(reader: Reader, at: At) -> SamplePeer:
    fields = reader.fields(at, ("address", "port", "name", "names"))
    address = reader.text(fields.get("address"))
    if address is not None:
        try:
            address = str(ipaddress.ip_address(address.strip()))
        except ValueError:
            reader.error(fields["address"], f"expected an address as 192.0.2.1, found {shown(address)}")
    names = [text for key in ("name", "names") for text, _ in reader.texts(fields.get(key), split=False)]
    given = "name" in fields or "names" in fields
    return SamplePeer(address, reader.integer(fields.get("port"), 0, 65535), tuple(names) if given else None)


def _process(reader: Reader, at: At) -> SampleProcess:
    fields = reader.fields(at, _PROCESS_FIELDS)

    def texts(name: str) -> tuple[str, ...]:
        return tuple(text for text, _ in reader.texts(fields.get(name), split=False))

    return SampleProcess(
        exe=reader.text(fields.get("exe")),
        args=texts("args") if "args" in fields else None,
        comm=reader.text(fields.get("comm")),
        uid=reader.integer(fields.get("uid"), 0, 2**32 - 1),
        pid=reader.integer(fields.get("pid"), 1, 2**22),
        envs=texts("envs"),
        prev_exe=reader.text(fields.get("prev_exe")),
        prev_args=texts("prev_args"),
        retcode=reader.integer(fields.get("retcode"), 0, 255),
        user=reader.text(fields.get("user")),
        cwd=reader.text(fields.get("cwd")),
        where=_where(reader, fields),
    )


def _where(reader: Reader, fields: abc.Mapping[str, At]) -> Where | None:
    if not fields.keys() & {*_WHERE_FIELDS, "labels"}:
        return None
    labels: dict[str, str] = {}
    if (at := fields.get("labels")) is not None and isinstance(at.node, Mapping):
        found = {name: reader.text(At(node, at.child(name))) for name, node in at.node.entries.items()}
        labels = {name: value for name, value in found.items() if value is not None}
    elif at is not None:
        reader.error(at, "expected a mapping of labels as {app: web}")
    return Where(**{name: reader.text(fields.get(name)) for name in _WHERE_FIELDS}, labels=labels)


def _calls(reader: Reader, at: At) -> tuple[ExpectedCall, ...]:
    calls = []
    for entry in reader.entries(at):
        if not isinstance(entry.node, Mapping):
            name = reader.text(entry)
            calls.extend([] if name is None else [ExpectedCall(name)])
            continue
        for name, value in entry.node.entries.items():
            items = reader.entries(At(value, entry.child(name)))
            calls.append(
                ExpectedCall(name, tuple(_scalar(item.node) for item in items if isinstance(item.node, Scalar)))
            )
            if any(not isinstance(item.node, Scalar) for item in items):
                reader.error(entry, f"expected the arguments of {name} as strings or numbers")
    return tuple(calls)


def _scalar(node: Scalar) -> PlainValue:
    """Return what an argument means: a plain word may be a number or a truth value, all else is a string."""
    if node.plain:
        if node.value in ("true", "false"):
            return node.value == "true"
        if _INTEGER.fullmatch(node.value):
            return int(node.value)
        if _NUMBER.fullmatch(node.value):
            return float(node.value)
    return node.value
