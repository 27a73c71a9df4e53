"""Ending connections by netlink (sock_diag(7)), for kernels whose programs cannot: before 6.5."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raqib.kernel.layout import ffi
from raqib.kernel.network import find_cgroup2
from raqib.kernel.object import BpfObject
from raqib.netpolicy.spec import Prefix

_NETLINK_SOCK_DIAG = 4
_BY_FAMILY, _DESTROY = 20, 21
_ERROR, _DONE = 2, 3
_REQUEST, _ACKNOWLEDGE, _DUMP = 0x1, 0x4, 0x300
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI48s")
"""`struct inet_diag_req_v2`."""
_ANSWER = struct.Struct("=BBBB48s")
"""The beginning of `struct inet_diag_msg`."""
_ANSWER_BYTES = 72
_ATTRIBUTE = struct.Struct("=HH")
_CGROUP = 21
"""`INET_DIAG_CGROUP_ID`: since 5.8."""
_COOKIE = struct.Struct("=40xII")
_STATES = sum(1 << state for state in (1, 2, 3, 4, 5, 8, 9, 11))
"""Everything that has a peer: not TIME_WAIT, CLOSE, LISTEN."""
_ROOM = 1 << 16


class _Connection(NamedTuple):
    family: int
    identity: bytes
    """`struct inet_diag_sockid`."""
    cgroup: int | None
    """Whose it is, if the kernel tells."""

    @property
    def remote(self) -> bytes:
        """4 or 16 bytes."""
        return self.identity[20:24] if self.family == socket.AF_INET else self.identity[20:36]

    @property
    def cookie(self) -> int:
        low, high = _COOKIE.unpack(self.identity)
        return int(low | high << 32)


def end_forbidden(bpf: BpfObject) -> int:
    """End each TCP connection of this network namespace whose remote address is forbidden; return their number.

    Only those of the policy's cgroup, as far as the kernel tells whose they are.

    Raises:
        OSError: the kernel does not do it (CONFIG_INET_DIAG_DESTROY).
    """
    dying = bpf.map("net_dying", "uint64_t", "uint32_t")
    ended = 0
    within = _cgroups_of(bpf)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.bind((0, 0))
        for family in (socket.AF_INET, socket.AF_INET6):
            for connection in list(_connections(netlink, family)):
                ours = within is None or connection.cgroup is None or connection.cgroup in within
                if ours and _is_forbidden(bpf, connection.remote):
                    dying.set(dying.key(connection.cookie), dying.value(1))
                    ended += _end(netlink, connection)
    return ended


def _cgroups_of(bpf: BpfObject) -> set[int] | None:
    """Return the numbers of the policy's cgroup and of all below it; None if it is for all."""
    configs = bpf.map(".data.net_config", "uint32_t", "struct net_config")
    config: Any = configs.get(configs.key(0))
    root = find_cgroup2()
    if not config.cgroup or root is None:
        return None
    found: set[int] = {config.cgroup}
    for path, _, _ in os.walk(root):
        with contextlib.suppress(OSError):
            one = Path(path)
            if one != root and one.parent.stat().st_ino in found:
                found.add(one.stat().st_ino)
    return found


def _is_forbidden(bpf: BpfObject, remote: bytes) -> bool:
    request: Any = ffi.new("struct net_judge_request *")
    request.remote.bytes = Prefix(remote, 8 * len(remote)).mapped[0]
    return bool(bpf.run("judge_address", request, ffi.sizeof("struct net_judge_request")))


def _send(netlink: socket.socket, kind: int, flags: int, family: int, identity: bytes) -> None:
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _STATES, identity)
    netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body)


def _messages(netlink: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield the type and the body of each message of one datagram."""
    data = netlink.recv(_ROOM)
    while len(data) >= _HEADER.size:
        length, kind, _, _, _ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _connections(netlink: socket.socket, family: int) -> Iterator[_Connection]:
    _send(netlink, _BY_FAMILY, _DUMP, family, bytes(48))
    while True:
        for kind, body in _messages(netlink):
            if kind == _DONE:
                return
            if kind == _ERROR:
                _raise_for(body)
                return
            found, _, _, _, identity = _ANSWER.unpack_from(body)
            yield _Connection(found, identity, _cgroup_in(body))


def _cgroup_in(body: bytes) -> int | None:
    """Return the cgroup among the attributes of an answer."""
    at = _ANSWER_BYTES
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            return None
        if kind == _CGROUP:
            return int.from_bytes(body[at + _ATTRIBUTE.size : at + length], sys.byteorder)
        at += (length + 3) & ~3
    return None


def _end(netlink: socket.socket, connection: _Connection) -> bool:
    """Tell whether it was there to be ended."""
    _send(netlink, _DESTROY, _ACKNOWLEDGE, connection.family, connection.identity)
    for kind, body in _messages(netlink):
        if kind == _ERROR:
            return _raise_for(body)
    return False


def _raise_for(body: bytes) -> bool:
    """Return whether an acknowledgement tells of success; False if the connection has gone meanwhile."""
    (number,) = struct.unpack_from("=i", body)
    if number in (0, -errno.ENOENT):
        return not number
    raise OSError(-number, f"cannot end a connection: {os.strerror(-number)}")
