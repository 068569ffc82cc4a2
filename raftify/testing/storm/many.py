"""Many storms, on as many cores as there are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from threading import Thread

from raftify.errors import ConfigError
from raftify.testing.history.linearizability import Undecided
from raftify.testing.storm.report import StormReport
from raftify.testing.storm.storm import run_storm


def one(seed: int) -> StormReport:
    """Run the storm of `seed`; what was wrong is in the report."""
    try:
        return run_storm(seed)
    except Undecided as error:
        return StormReport(seed, error=explain(error), undecided=1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed is what to report
        return StormReport(seed, error=explain(error))


def explain(error: BaseException) -> str:
    """Return an error with its notes, in words."""
    notes = "; ".join(getattr(error, "__notes__", ()))
    cause = f", because of {error.__cause__!r}" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {error}{cause} ({notes})"


def many(seeds: Sequence[int], processes: int) -> Iterator[StormReport]:
    """Run storms in so many processes; yield each report as it comes.

    Raises:
        ConfigError: there is to be no process.
    """
    if processes == 1:
        yield from map(one, seeds)
        return
    if processes < 1:
        raise ConfigError(f"storms need one process at least, not {processes}")
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        for future in as_completed([pool.submit(one, seed) for seed in seeds]):
            yield future.result()


def _end_with_parent() -> None:
    """Have this process end as soon as the one that started it has, however that was killed."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    Thread(target=watch, name="parent-watch", daemon=True).start()
