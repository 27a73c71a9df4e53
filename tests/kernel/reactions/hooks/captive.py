"""Shuts itself in as a worker does, warm engine included, and then tries one thing that must not work."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from raqib.reactions.protocol import HelperStub
from raqib.reactions.settings import WORKER_UID
from raqib.reactions.worker import sandbox
from raqib.reactions.worker.engine import Engine

libc = ctypes.CDLL(None, use_errno=True)


def system_call(number: int, *arguments: object) -> str:
    result = libc.syscall(ctypes.c_long(number), *arguments)
    return f"result {result}" if result >= 0 else os.strerror(ctypes.get_errno())


def attempt(work: Callable[[], object]) -> str:
    try:
        return f"result {work()}"
    except OSError as error:
        return str(error.strerror)


def in_other_thread(work: Callable[[], str]) -> str:
    results: list[str] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def allocate() -> str:
    try:
        return f"result {len(bytearray(1 << 30))}"
    except MemoryError:
        return "no memory"


TARGET = int(sys.argv[2])

ATTEMPTS: dict[str, Callable[[], str]] = {
    "nothing": lambda: "result 0",
    "read_file": lambda: attempt(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "list_root": lambda: attempt(lambda: list(Path("/").iterdir())),
    "create_file": lambda: attempt(lambda: os.open("x", os.O_CREAT | os.O_WRONLY)),
    "open_by_parent": lambda: attempt(lambda: os.open("../../../../etc/passwd", os.O_RDONLY)),
    "socket_inet": lambda: attempt(lambda: socket.socket(socket.AF_INET)),
    "socket_unix": lambda: attempt(lambda: socket.socket(socket.AF_UNIX)),
    "fork": lambda: attempt(os.fork),
    "fork_in_thread": lambda: in_other_thread(lambda: attempt(os.fork)),
    "clone3": lambda: system_call(435, None, ctypes.c_size_t(0)),
    "new_user_namespace": lambda: attempt(lambda: libc_check(libc.unshare(0x10000000))),
    "signal_other": lambda: attempt(lambda: os.kill(TARGET, 0)),
    "signal_parent": lambda: attempt(lambda: os.kill(os.getppid(), signal.SIGKILL)),
    "pidfd_open": lambda: attempt(lambda: os.pidfd_open(TARGET)),
    "become_root": lambda: attempt(lambda: os.setuid(0)),
    "raise_limit": lambda: attempt(lambda: libc_check(libc.prlimit(0, 7, None, ctypes.create_string_buffer(16)))),
    "chroot": lambda: attempt(lambda: os.chroot(".")),
    "dumpable": lambda: attempt(lambda: libc_check(libc.prctl(4, 1, 0, 0, 0))),
    "execve": lambda: attempt(lambda: os.execv("/bin/true", ["true"])),
    "ptrace": lambda: system_call(101, ctypes.c_long(16), ctypes.c_long(TARGET), None, None),
    "allocate": allocate,
    "threads_work": lambda: in_other_thread(lambda: "result 0"),
}


def libc_check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def main() -> None:
    what, directory = sys.argv[1], os.open(sys.argv[3], os.O_PATH | os.O_DIRECTORY)
    os.dup2(directory, 20)
    missing = sandbox.enter(
        root=20, keep=(), uid=WORKER_UID, data_bytes=256 << 20, max_data_bytes=256 << 20, parent_pid=os.getppid()
    )
    engine = Engine((HelperStub("Test", "-1"),), 64 << 20, lambda name, payload: "[true,true,'']")
    engine.warm_up()
    sandbox.close()
    outcome = ATTEMPTS[what]()
    sys.stdout.write(json.dumps({"outcome": outcome, "missing": missing}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
