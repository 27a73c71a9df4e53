"""Facts about processes and flows that `arbitrary` and `times` ask for; a fact that is not known has no values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from raqib.matcher.ancestry import Ancestry
from raqib.matcher.flow_facts import FLOW_ADDRESSES, FLOW_NUMBERS, FLOW_TEXTS
from raqib.model.clock import boot_offset_ns
from raqib.model.flow import FlowObservation
from raqib.model.observation import FileObservation
from raqib.model.process import Image, Process
from raqib.model.where import Where
from raqib.recipes.regex import subject

NS_PER_S = 1_000_000_000


class Facts:
    """What is known around one observation. Ancestors are asked for once, and only if a fact needs them."""

    def __init__(
        self,
        process: Process,
        ancestry: Ancestry,
        offset_ns: Callable[[], int] = boot_offset_ns,
        flow: FlowObservation | None = None,
        file: FileObservation | None = None,
    ) -> None:
        self.process = process
        self.flow = flow
        self.file = file
        self._ancestry = ancestry
        self._offset_ns = offset_ns

    @cached_property
    def ancestors(self) -> Sequence[Process]:
        """Nearest first."""
        return self._ancestry.ancestors(self.process)

    @property
    def parent(self) -> Process | None:
        """The nearest ancestor, if known."""
        return self.ancestors[0] if self.ancestors else None

    def texts(self, what: str) -> list[bytes]:
        """Return the values of a fact as texts to search in: valid UTF-8."""
        reader = _TEXTS.get(what)
        if reader is not None:
            return [subject(text) for text in reader(self) if text]
        of_flow = FLOW_TEXTS.get(what)
        if of_flow is not None:
            return [] if self.flow is None else [text.encode("utf-8", "replace") for text in of_flow(self.flow)]
        return [str(number).encode() for number in self.numbers(what)]

    def argument(self, index: int) -> list[bytes]:
        """Return one argument by its number, 0 being the name that the program is called by; none if there is none."""
        return [subject(text) for text in self.process.image.args[index : index + 1]]

    def numbers(self, what: str) -> list[int]:
        """Return the values of a fact that is a number."""
        process = self.process
        if what == "uid":
            return [process.uid]
        if what == "pid":
            return [process.pid]
        if what == "retcode":
            return [] if process.exit_status is None else [return_code(process.exit_status)]
        if what == "parent_pid":
            number = process.ppid or process.parent.pid
            return [number] if number else []
        of_flow = FLOW_NUMBERS.get(what)
        return [] if of_flow is None or self.flow is None else of_flow(self.flow)

    def addresses(self, what: str) -> list[str]:
        """Return the values of a fact that is an address."""
        of_flow = FLOW_ADDRESSES.get(what)
        return [] if of_flow is None or self.flow is None else of_flow(self.flow)

    def seconds(self, what: str) -> list[int]:
        """Return the values of a fact that is a moment, in whole seconds since 1970."""
        moment_ns = self.process.key.start_ns if what == "start" else self.process.exit_ns
        return [(moment_ns + self._offset_ns()) // NS_PER_S] if moment_ns else []


_Getter = Callable[[Process], list[bytes]]
_Reader = Callable[[Facts], list[bytes]]


def return_code(exit_status: int) -> int:
    """Return the exit code, or as shells do, 128 and the signal that ended the process."""
    signal = exit_status & 0x7F
    return 128 + signal if signal else exit_status >> 8


def command(image: Image) -> bytes:
    """Return the base name of argv[0]."""
    return image.args[0].rpartition(b"/")[2] if image.args else b""


def command_line(image: Image) -> bytes:
    """Return all of argv, joined by blanks."""
    return b" ".join(image.args)


def _exe(process: Process) -> list[bytes]:
    return [process.image.exe]


def _comm(process: Process) -> list[bytes]:
    return [process.comm]


def _cmd(process: Process) -> list[bytes]:
    return [command(process.image)]


def _cmdline(process: Process) -> list[bytes]:
    return [command_line(process.image)]


def _args(process: Process) -> list[bytes]:
    line = command_line(process.image)
    return [line, b" " + line + b" "] if line else []


def _envs(process: Process) -> list[bytes]:
    return list(process.envs)


def _where(get: Callable[[Where], Iterable[str | None]]) -> _Reader:
    def read(facts: Facts) -> list[bytes]:
        where = facts.process.where
        return [] if where is None else [text.encode("utf-8", "replace") for text in get(where) if text]

    return read


def _previous_exe(process: Process) -> list[bytes]:
    return [process.previous.exe] if process.previous else []


def _of_task(get: _Getter) -> _Reader:
    return lambda facts: get(facts.process)


def _of_parent(get: _Getter) -> _Reader:
    return lambda facts: get(facts.parent) if facts.parent else []


def _of_task_or_parent(get: _Getter) -> _Reader:
    return lambda facts: get(facts.process) + (get(facts.parent) if facts.parent else [])


def _of_all(get: _Getter) -> _Reader:
    return lambda facts: [text for process in (facts.process, *facts.ancestors) for text in get(process)]


_TEXTS: dict[str, _Reader] = {
    "exe": _of_task(_exe),
    "comm": _of_task(_comm),
    "path": lambda facts: [facts.file.path] if facts.file is not None else [],
    "arg": lambda facts: list(facts.process.image.args),
    "user": lambda facts: [facts.process.user.encode()] if facts.process.user is not None else [],
    "cwd": lambda facts: [facts.process.cwd],
    "unit": _where(lambda where: (where.unit,)),
    "container": _where(lambda where: (where.container, where.container_name)),
    "image": _where(lambda where: (where.image,)),
    "pod": _where(lambda where: (where.pod,)),
    "namespace": _where(lambda where: (where.namespace,)),
    "label": _where(lambda where: (f"{name}={value}" for name, value in where.labels.items())),
    "cmd": _of_task(_cmd),
    "cmdline": _of_task(_cmdline),
    "args": _of_task(_args),
    "envs": _of_task(_envs),
    "parent_exe": _of_parent(_exe),
    "parent_comm": _of_parent(_comm),
    "parent_cmd": _of_parent(_cmd),
    "parent_cmdline": _of_parent(_cmdline),
    "parent_args": _of_parent(_args),
    "parent_envs": _of_parent(_envs),
    "parent_or_prev_exe": lambda facts: _of_parent(_exe)(facts) + _previous_exe(facts.process),
    "task_or_prev_exe": lambda facts: _exe(facts.process) + _previous_exe(facts.process),
    "task_or_parent_exe": _of_task_or_parent(_exe),
    "task_or_parent_comm": _of_task_or_parent(_comm),
    "task_or_parent_cmd": _of_task_or_parent(_cmd),
    "task_or_parent_args": _of_task_or_parent(_args),
    "task_or_parent_envs": _of_task_or_parent(_envs),
    "ancient_exe": _of_all(_exe),
    "ancient_cmd": _of_all(_cmd),
    "ancient_args": _of_all(_args),
    "ancient_envs": _of_all(_envs),
}
