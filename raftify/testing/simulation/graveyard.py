"""Where the coroutines of dead processes, and of a simulation that has ended, are laid to rest."""

from __future__ import annotations

import asyncio
import logging
import warnings
from asyncio import events
from typing import Any

#: How often a coroutine that waits in a `finally` is told again that it has ended.
_PATIENCE = 100


def bury(loop: asyncio.AbstractEventLoop) -> None:
    """Close every coroutine that `loop`, which takes no callback any more, has left.

    Python has no way to free a coroutine without running its `finally` blocks. Here, after the end,
    they can do no harm: nobody hears them.
    """
    logging_was_disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    outer = events._get_running_loop()
    # What they begin in a `finally` needs one; it is buried in its turn.
    events._set_running_loop(loop)
    buried: set[asyncio.Task[Any]] = set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while left := asyncio.all_tasks(loop) - buried:
                buried |= left
                for task in left:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own
                    _close(task.get_coro())
    finally:
        events._set_running_loop(outer)
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
