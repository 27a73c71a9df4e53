from __future__ import annotations

import errno

import pytest

from raqib.reactions.worker import seccomp

MACHINES = list(seccomp.AUDIT_ARCH)


def run_filter(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """Interpret the filter as the kernel does."""
    data = {0: number, 4: seccomp.AUDIT_ARCH[machine] if arch is None else arch}
    data |= {16 + 8 * index: value & 0xFFFF_FFFF for index, value in enumerate((*arguments, 0, 0)[:3])}
    program = seccomp.instructions(machine, pid=4242)
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = data[operand]
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x06:
                return operand
            case other:
                raise AssertionError(f"unknown instruction {other:#x}")


ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_verdicts(machine: str) -> None:
    which = MACHINES.index(machine)
    for numbers in seccomp.ALLOWED.values():
        if (number := numbers[which]) is not None:
            assert run_filter(machine, number) == ALLOW
    for fatal in seccomp.FATAL.values():
        assert run_filter(machine, fatal[which]) == KILL
    assert run_filter(machine, seccomp.CLONE3[which]) == ENOSYS
    assert run_filter(machine, seccomp.CLONE[which], 0x3D0F00) == ALLOW
    assert run_filter(machine, seccomp.CLONE[which], 17) == EPERM
    assert run_filter(machine, seccomp.CLONE[which], 0x10000 | 0x10000000) == EPERM
    assert run_filter(machine, seccomp.TGKILL[which], 4242, 1, 6) == ALLOW
    assert run_filter(machine, seccomp.TGKILL[which], 1, 1, 9) == EPERM
    assert run_filter(machine, seccomp.PRCTL[which], 15) == ALLOW
    assert run_filter(machine, seccomp.PRCTL[which], 4) == EPERM
    assert run_filter(machine, seccomp.FCNTL[which], 3, 1030) == ALLOW
    assert run_filter(machine, seccomp.FCNTL[which], 3, 8) == EPERM
    assert run_filter(machine, seccomp.PRLIMIT[which], 0, 2) == ALLOW
    assert run_filter(machine, seccomp.PRLIMIT[which], 0, 7) == EPERM
    assert run_filter(machine, seccomp.PRLIMIT[which], 4242, 2) == EPERM
    assert run_filter(machine, 9999) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_another_processors_calls_end_the_process(machine: str) -> None:
    assert run_filter(machine, 0, arch=0x40000003) == KILL


def test_calls_of_the_x32_interface_are_not_allowed() -> None:
    assert run_filter("x86_64", 0x40000000 | 1) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "dangerous", ["openat", "open", "socket", "connect", "kill", "fork", "vfork", "mount", "setns"]
)
def test_dangerous_calls_by_libseccomps_numbers(machine: str, dangerous: str) -> None:
    pyseccomp = pytest.importorskip("pyseccomp", reason="needs libseccomp")
    number = pyseccomp.resolve_syscall(_arch(pyseccomp, machine), dangerous)
    if number >= 0:
        assert run_filter(machine, number) != ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_numbers_are_those_of_libseccomp(machine: str) -> None:
    pyseccomp = pytest.importorskip("pyseccomp", reason="needs libseccomp")
    which = MACHINES.index(machine)
    special = {"clone": seccomp.CLONE, "clone3": seccomp.CLONE3, "prctl": seccomp.PRCTL, "fcntl": seccomp.FCNTL}
    for name, numbers in {
        **seccomp.ALLOWED,
        **seccomp.FATAL,
        **special,
        "tgkill": seccomp.TGKILL,
        "prlimit64": seccomp.PRLIMIT,
    }.items():
        expected = pyseccomp.resolve_syscall(_arch(pyseccomp, machine), name)
        assert (name, expected if expected >= 0 else None) == (name, numbers[which])


def _arch(pyseccomp: object, machine: str) -> int:
    number: int = getattr(pyseccomp, "Arch").__dict__[{"x86_64": "X86_64", "aarch64": "AARCH64"}[machine]]  # noqa: B009
    return number
