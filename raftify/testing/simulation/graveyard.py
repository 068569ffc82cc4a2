"""Where the coroutines of dead processes, and of a simulation that has ended, are laid to rest."""

from __future__ import annotations

import asyncio
import logging
import warnings
from contextlib import suppress
from typing import Any

#: How often a coroutine that waits in a `finally` is told again that it has ended.
_PATIENCE = 100


def bury(loop: asyncio.AbstractEventLoop) -> None:
    """Close every coroutine that `loop` has left, unheard.

    Python has no way to free a coroutine without running its `finally` blocks. Here, after the end,
    they can do no harm: the loop takes no callback, the disks and the network no call.
    """
    logging_was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
                _close(task.get_coro())
    finally:
        logging.disable(logging_was_disabled)


def _close(coroutine: Any) -> None:
    for _ in range(_PATIENCE):
        try:
            coroutine.close()
        except RuntimeError:
            continue  # it waits for something in a `finally`
        except BaseException:  # noqa: BLE001 - whatever it raises, nobody is there to hear it
            return
        return


def forget(task: asyncio.Task[Any]) -> None:
    """Take note of what `task` ended with, so that nobody is told that nobody asked."""
    with suppress(asyncio.CancelledError):
        task.exception()
