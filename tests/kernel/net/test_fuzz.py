"""A short run of the fuzzer; `make long-fuzz-kernel` is the long one."""

from __future__ import annotations

from tests.kernel.net.fuzzing import SLOWEST_NS, Fuzzer, careless_answer, frame


def test_nothing_that_passes_is_unknown() -> None:
    fuzzer = Fuzzer(seed=1)
    try:
        outcome = fuzzer.run(5.0)
    finally:
        fuzzer.close()
    assert [] == outcome.violations
    assert 1000 < outcome.cases
    assert 100 < outcome.passed
    assert 100 < outcome.learned
    assert outcome.slowest_ns < SLOWEST_NS


def test_the_oracle_sees_addresses_of_denied_names() -> None:
    name = b"\x06denied\x04test\0"
    message = bytes(6) + b"\0\1\0\0\0\0" + name + b"\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4"
    assert (True, [bytes(10) + b"\xff\xff\1\2\3\4"]) == careless_answer(message)
    assert 14 + 20 + 8 + 3 == len(frame(b"abc", egress=True))
