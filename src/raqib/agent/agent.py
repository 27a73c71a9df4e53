"""The agent: what it is to do, and its life from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from raqib.agent.hangup import Hangup
from raqib.agent.outlets import Hooks, Outlets
from raqib.agent.scheduling import use_short_interpreter_slices, use_short_slices
from raqib.agent.stages import Stages, load_stages
from raqib.config.config import Config
from raqib.config.stages import make_printers
from raqib.errors import RaqibError
from raqib.host.spared import be_spared, be_usual
from raqib.library.library import Library
from raqib.printers import Printer
from raqib.recipes.spec import RecipeSpec


class Agent:
    """Runs until it is told to stop. Belongs to one event loop."""

    def __init__(
        self,
        config: Config,
        recipes: Iterable[RecipeSpec],
        *,
        library: Library | None = None,
        config_file: Path | None = None,
        printers: Iterable[Printer] | None = None,
        hooks: Hooks | None = None,
        on_ready: Callable[[Stages], None] = lambda stages: None,
    ) -> None:
        """Take what it is to do; nothing runs yet.

        `library` is where the recipes came from, which is then watched; `config_file` is where the configuration came
        from, which no reaction writes; `printers` replaces those of the configuration; `on_ready` gets what runs.
        """
        self._config = config
        self._config_file = config_file
        self._recipes = tuple(recipes)
        self._library = library
        self._printers = list(printers) if printers is not None else make_printers(config.printers)
        self._hooks = hooks or Hooks()
        self._on_ready = on_ready
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask the agent to end in order."""
        self._stop.set()

    async def run(self, duration_s: float | None = None) -> None:
        """Start everything in order, run until `stop`, a signal or the end of `duration_s`, stop in reverse order.

        Raises:
            NotPermittedError: this kernel or these privileges do not allow it.
            RaqibError: something else that the message explains.
        """
        async with contextlib.AsyncExitStack() as stack:
            lock_data_dir(self._config.data_dir, stack)
            use_short_slices()
            use_short_interpreter_slices(stack)
            if (score := be_spared()) is not None:
                stack.callback(be_usual, score)
            self._heed_signals(stack)
            outlets = Outlets(self._config, self._config_file, self._printers, self._hooks)
            outlets.open(stack)
            loaded = await load_stages(self._config, self._recipes, outlets, stack)
            stages = Stages(self._config, loaded, outlets)
            await stack.enter_async_context(stages.excepting())
            stages.start(stack)
            if self._library is not None:
                await stack.enter_async_context(stages.reloading(self._library, self._recipes))
            await stack.enter_async_context(stages.steering())
            self._on_ready(stages)
            notify_systemd("READY=1")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), duration_s)
            notify_systemd("STOPPING=1")

    def _heed_signals(self, stack: contextlib.AsyncExitStack) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
            stack.callback(loop.remove_signal_handler, number)
        stack.enter_context(Hangup(self.stop))


def lock_data_dir(directory: Path, stack: contextlib.AsyncExitStack) -> None:
    """Keep other agents from a data directory, until the stack is closed: two would break the chain of the ledger.

    Raises RaqibError if another one runs there, or it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RaqibError(f"expected a data directory that can be written, found: {error}") from error
    stack.callback(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RaqibError(
            f"expected no other agent on {directory}, found one that runs; stop it or give another --data-dir"
        ) from error


def notify_systemd(state: str) -> None:
    """Tell the service manager, if one asked to be told (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender, contextlib.suppress(OSError):
        sender.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
