"""A name whose memory is taken away while the call goes on: what can be had is told, what cannot is told as a loss."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from raqib.model.actions import ALL_ACTIONS
from tests.kernel.acting import Watch
from tests.kernel.test_actions import OPEN

NAME_IN_A_PAGE = """
import ctypes, mmap, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
def write(name):
    page[:len(name) + 1] = name + b"\\0"
def take_away():
    assert 0 == libc.madvise(address, mmap.PAGESIZE, 4)
"""

OPENS_A_FIFO = f"""{NAME_IN_A_PAGE}
write(os.fsencode(sys.argv[1]))
opened = []
thread = threading.Thread(target=lambda: opened.append(libc.open(ctypes.c_void_p(address), os.O_RDONLY)))
thread.start()
while True:
    with open(f"/proc/self/task/{{thread.native_id}}/wchan") as waits:
        if "fifo" in waits.read() or "wait_for_partner" in open(waits.name).read():
            break
take_away()
os.open(sys.argv[1], os.O_WRONLY)
thread.join()
assert opened[0] >= 0
"""

UNLINKS = f"""{NAME_IN_A_PAGE}
ended = False
def go_on_taking_away():
    while not ended:
        take_away()
thread = threading.Thread(target=go_on_taking_away)
thread.start()
for number in range(int(sys.argv[2])):
    name = os.fsencode(f"{{sys.argv[1]}}/{{number}}")
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    write(name)
    libc.unlink(ctypes.c_void_p(address))
ended = True
thread.join()
"""


def run(script: str, *arguments: str | Path) -> int:
    with subprocess.Popen(["/usr/bin/python3", "-I", "-c", script, *arguments]) as started:
        assert 0 == started.wait(60)
    return started.pid


def test_the_file_that_was_opened_is_known_all_the_same(watch: Watch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    before = watch.sensor.counters()
    pid = run(OPENS_A_FIFO, tmp_path / "fifo")
    watch.sensor.consume()
    after = watch.sensor.counters()
    assert OPEN in watch.of(pid)["fifo"]
    assert after["used_unread"] > before["used_unread"]
    assert 0 == next(observation.lost for observation in watch.seen if observation.process.pid == pid)


def test_a_name_that_only_the_memory_had_is_lost_and_told(watch: Watch, tmp_path: Path) -> None:
    assert ALL_ACTIONS
    pids = set[int]()
    losers = set[int]()
    for _ in range(20):
        pids.add(run(UNLINKS, tmp_path, "2000"))
        watch.sensor.consume()
        losers |= {loss.process.pid for loss in watch.sensor.lost() if loss.kind == "names"} & pids
        # It is told with what is told of that process afterwards, if there is anything.
        if any(observation.lost for observation in watch.seen if observation.process.pid in losers):
            break
    assert any(observation.lost for observation in watch.seen if observation.process.pid in losers), losers
