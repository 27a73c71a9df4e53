"""Fuzzes the kernel's DNS parser with packets that never leave this process: python -m tests.kernel.net.fuzzing SECONDS

The oracle is a reader that takes what it can get, as the most careless client would. Whatever it finds in a packet that
passed must be known to the programs: no question for a denied name, no address of one that is not denied itself.
"""

from __future__ import annotations

import random
import struct
import sys
import time
from typing import NamedTuple

from raqib.kernel.network import load_network
from raqib.model.clock import boottime_ns
from raqib.netpolicy.spec import policy_from
from raqib.netpolicy.tables import Tables

RESOLVER, UNLISTED = bytes([192, 0, 2, 53]), bytes([192, 0, 2, 54])
CLIENT = bytes([192, 0, 2, 1])
PORT = 40000
DROPPED = (0, 2)
MOST_BYTES = 3000
DENIED = (b"denied", b"test")
LABELS = (*DENIED, b"Denied", b"TEST", b"www", b"good", b"example", b"a" * 63, b"\0", b".", b"denied.test", b"\xff\xc0")
SLOWEST_NS = 20_000_000


class Outcome(NamedTuple):
    """What was tried, and what must not have happened."""

    cases: int
    passed: int
    learned: int
    slowest_ns: int
    violations: list[str]


def frame(message: bytes, *, egress: bool, server: bytes = RESOLVER) -> bytes:
    """A UDP datagram over IPv4 to or from a server."""
    udp = struct.pack("!HHHH", *((PORT, 53) if egress else (53, PORT)), 8 + len(message), 0) + message
    source, destination = (CLIENT, server) if egress else (server, CLIENT)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + source + destination
    return bytes(12) + b"\x08\x00" + ip + udp


def careless_name(message: bytes, at: int) -> tuple[list[bytes], int] | None:
    """Read a name, following any pointer, until it ends or makes no sense to anybody."""
    labels: list[bytes] = []
    after, jumps = 0, 0
    while True:
        if at >= len(message):
            return None
        length = message[at]
        if length >= 0xC0:
            if at + 1 >= len(message) or jumps > 300:
                return None
            after = after or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            jumps += 1
        elif length > 63:
            return None
        elif not length:
            return labels, after or at + 1
        else:
            labels.append(message[at + 1 : at + 1 + length].lower())
            if len(labels[-1]) < length or sum(map(len, labels)) + len(labels) > 254:
                return None
            at += 1 + length


def is_denied(labels: list[bytes]) -> bool:
    return tuple(labels[-2:]) == DENIED


def careless_answer(message: bytes) -> tuple[bool, list[bytes]]:
    """Whether a denied name is in an answer, and the addresses in it, as far as it can be read at all."""
    if len(message) < 12:
        return False, []
    count = struct.unpack_from("!H", message, 6)[0]
    question = careless_name(message, 12)
    if question is None:
        return False, []
    denied, addresses = is_denied(question[0]), []
    at = question[1] + 4
    for _ in range(count):
        owner = careless_name(message, at)
        if owner is None or owner[1] + 10 > len(message):
            break
        kind, _, _, length = struct.unpack_from("!HHIH", message, owner[1])
        data = message[owner[1] + 10 : owner[1] + 10 + length]
        if len(data) < length:
            break
        denied |= is_denied(owner[0])
        if kind in (5, 39):
            target = careless_name(message, owner[1] + 10)
            denied |= target is not None and is_denied(target[0])
        elif kind == 1 and length == 4:
            addresses.append(bytes(10) + b"\xff\xff" + data)
        elif kind == 28 and length == 16:
            addresses.append(data)
        at = owner[1] + 10 + length
    return denied, addresses


class Maker:
    """Makes messages, more or less broken."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._next = 0

    def name(self, at: int) -> bytes:
        """A name as it could stand at an offset of a message."""
        made = b""
        for _ in range(self.chance.choice((0, 1, 2, 2, 2, 3, 8, 40))):
            label = self.chance.choice(LABELS)
            made += bytes([len(label)]) + label
        end = self.chance.random()
        if end < 0.55:
            return made + b"\0"
        if end < 0.95:
            return made + struct.pack(
                "!H", 0xC000 | self.chance.choice((12, 12, 12, 0, at, at + 2, at - 4, 0x3FFF)) & 0x3FFF
            )
        return made + bytes([self.chance.randrange(256)])

    def question(self) -> bytes:
        plain = self.chance.choice((b"\6denied\4test\0", b"\3www\6dEnied\4test\0", b"\4good\7example\0"))
        name = plain if self.chance.random() < 0.7 else self.name(12)
        number = self.chance.randrange(65536)
        return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + name + b"\0\1\0\1"

    def address(self, size: int) -> bytes:
        """One that has not been seen before."""
        self._next += 1
        return (b"\x0a" if size == 4 else b"\xfd" + bytes(11)) + self._next.to_bytes(4, "big")[
            -(3 if size == 4 else 4) :
        ]

    def answer(self, question: bytes) -> bytes:
        body = b""
        count = self.chance.choice((0, 1, 1, 2, 3, 5, 20, 60))
        for _ in range(count):
            at = len(question) + len(body)
            owner = b"\xc0\x0c" if self.chance.random() < 0.5 else self.name(at)
            kind = self.chance.choice((1, 1, 28, 5, 5, 39, 64, 65, 16, self.chance.randrange(65536)))
            if kind in (1, 28):
                data = self.address(4 if kind == 1 else 16)
            elif kind in (5, 39):
                data = self.name(at + len(owner) + 10)
            elif kind in (64, 65):
                hints = self.address(4) if self.chance.random() < 0.5 else self.address(16)
                data = b"\0\1" + self.name(at + len(owner) + 12)
                data += struct.pack("!HH", 4 if len(hints) == 4 else 6, len(hints)) + hints
            else:
                data = self.chance.randbytes(self.chance.randrange(40))
            length = len(data) if self.chance.random() < 0.95 else self.chance.randrange(65536)
            body += owner + struct.pack("!HHIH", kind, 1, self.chance.randrange(1 << 32), length) + data
        if self.chance.random() < 0.05:
            count = self.chance.randrange(65536)
        return question[:2] + struct.pack("!HHHHH", 0x8180, 1, count, 0, 0) + question[12:] + body

    def broken(self, message: bytes) -> bytes:
        """Flip, cut or repeat some of it, mostly not at all."""
        what = self.chance.random()
        if what < 0.6 or not message:
            return message
        if what < 0.9:
            changed = bytearray(message)
            for _ in range(self.chance.choice((1, 1, 2, 8))):
                # What was asked, and its number, stay mostly as they are.
                at = self.chance.randrange(min(12, len(changed) - 1), len(changed))
                changed[at] = self.chance.choice((0, 0x3F, 0x40, 0xC0, 0xFF, self.chance.randrange(256)))
            return bytes(changed)
        return message[: self.chance.randrange(len(message))]


class Fuzzer:
    """Two sets of programs: one that lets denied questions pass, and one that does not."""

    def __init__(self, seed: int) -> None:
        self.maker = Maker(random.Random(seed))
        self._lenient, self._tables = self._load("bypass")
        self._tables.want_answers(True)
        self._strict, _ = self._load("enforce")
        self.cases = self.passed = self.learned = self.slowest_ns = 0
        self.violations: list[str] = []

    @staticmethod
    def _load(mode: str) -> tuple[object, Tables]:
        bpf = load_network({"net_records": 4096})
        tables = Tables(bpf)
        tables.activate(shortest_denial_ns=600 * 10**9)
        text = f"network_policy: {{resolve_mode: {mode}, rules: [{{domain: denied.test, policy: deny}}]}}"
        policy, _ = policy_from(text, "fuzz")
        assert policy is not None
        tables.load(policy, 1)
        tables.set_resolvers([RESOLVER])
        return bpf, tables

    def run(self, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and len(self.violations) < 10:
            for _ in range(200):
                self._case()
            self._tables.sweep()
            self._forget()
        return Outcome(self.cases, self.passed, self.learned, self.slowest_ns, self.violations)

    def _forget(self) -> None:
        for key in self._tables.learned.walk():
            self._tables.learned.delete(key)

    def _judge(self, bpf: object, program: str, message: bytes, *, egress: bool, server: bytes = RESOLVER) -> bool:
        """Whether it passes."""
        packet = frame(message, egress=egress, server=server)
        result, took_ns = bpf.judge_packet(program, packet)  # type: ignore[attr-defined]
        if took_ns > SLOWEST_NS:
            # The processor may have been somebody else's meanwhile: what is slow is slow each time.
            took_ns = min(bpf.judge_packet(program, packet)[1] for _ in range(5))  # type: ignore[attr-defined]
        self.slowest_ns = max(self.slowest_ns, took_ns)
        return result not in DROPPED

    def _case(self) -> None:
        self.cases += 1
        question = self.maker.question()
        sent = self.maker.broken(question)
        if len(sent) > MOST_BYTES:
            return
        if self._judge(self._strict, "net_egress", sent, egress=True):
            read = careless_name(sent, 12) if len(sent) >= 12 else None
            if read is not None and is_denied(read[0]):
                self.violations.append(f"a denied question passed: {sent.hex()}")
        self._judge(self._lenient, "net_egress", question, egress=True)
        answer = self.maker.broken(self.maker.answer(question))
        if len(answer) > MOST_BYTES:
            return
        if self.cases % 4 == 0:
            self._unlisted_case(question, answer)
        if not self._judge(self._lenient, "net_ingress", answer, egress=False):
            return
        self.passed += 1
        if len(answer) < 12 or not answer[2] & 0x80:
            return
        denied, addresses = careless_answer(answer)
        if not denied:
            return
        now = boottime_ns()
        for address in addresses:
            known = self._tables.learned.get(self._tables.learned.key({"bytes": address}))
            if known is None or known.deny_until <= now:
                self.violations.append(f"an address of a denied name passed unseen: {address.hex()} of {answer.hex()}")
                return
            self.learned += 1

    def _unlisted_case(self, question: bytes, answer: bytes) -> None:
        """Whatever another server says passes, and teaches nothing."""
        before = sum(1 for _ in self._tables.learned.walk())
        self._judge(self._lenient, "net_egress", question, egress=True, server=UNLISTED)
        if not self._judge(self._lenient, "net_ingress", answer, egress=False, server=UNLISTED):
            self.violations.append(f"an answer of an unlisted server was dropped: {answer.hex()}")
        if sum(1 for _ in self._tables.learned.walk()) != before:
            self.violations.append(f"an answer of an unlisted server was learned: {answer.hex()}")

    def close(self) -> None:
        for bpf in (self._lenient, self._strict):
            bpf.close()  # type: ignore[attr-defined]


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns()
    fuzzer = Fuzzer(seed)
    try:
        outcome = fuzzer.run(seconds)
    finally:
        fuzzer.close()
    print(
        f"seed {seed}: {outcome.cases} cases, {outcome.passed} answers passed, {outcome.learned} addresses denied, "
        f"slowest run {outcome.slowest_ns / 1000:.0f} us, {len(outcome.violations)} violations"
    )
    for violation in outcome.violations:
        print(violation)
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
