"""The built-in recipes about the environment of programs, on the live kernel."""

from __future__ import annotations

from tests.e2e.library.stage import Deed, Stage

DYNAMIC_LINKER = Deed(
    "dynamic_linker_attacks",
    "blank /dev/shm; cp \"$(ldd /bin/true | sed -n 's/.*=> \\(.*libc[^ ]*\\) .*/\\1/p')\" /dev/shm/x.so\n"
    "LD_PRELOAD=/dev/shm/x.so /bin/true",
    "LD_LIBRARY_PATH=/opt/lib:/usr/local/lib /bin/true",
    "/true",
)


def test_a_library_from_shared_memory_is_seen_and_one_that_is_installed_is_not(stage: Stage) -> None:
    stage.prove(DYNAMIC_LINKER)
