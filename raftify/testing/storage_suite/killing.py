"""A writer that is killed has kept all that it had reported, and nothing by halves."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from raftify.storage import MemStorage, StableStorage
from raftify.testing.storage_suite.base import Cases, Place
from raftify.testing.storage_suite.making import IDENTITY, MEMBERS
from raftify.testing.storage_suite.steps import describe, take_step
from raftify.testing.suites.elsewhere import environment, whereabouts

#: In how many steps' time a writer dies, on average half of it, and the most in seconds.
_STEPS_TO_LIVE: Final = 4
_LONGEST_TO_LIVE: Final = 1.0


class KillingCases(Cases):
    """Processes that write and are killed (SIGKILL), on a store that has to go on after each.

    Killing a process shows that what was reported had left it, whole and in order. Whether it would
    outlive a power cut, no test within one machine can tell: see docs/storage.md.
    """

    #: How many writers are killed, one after the other, on the same store.
    kill_rounds = 6

    def examine(self, directory: Path) -> None:
        """Look into `directory`, where the store is closed after a kill. Override to do more."""

    def test_a_writer_killed_between_two_writes_has_kept_them_all(self, place: Place) -> None:
        """Nothing is under way, so the store must be exactly what was reported."""

        def run(first_seed: int, rng: random.Random) -> int:
            count = rng.randint(1, 60)
            return self._run_and_kill(place.directory, first_seed, steps=count, pause=True, rng=rng)

        self._live_and_die(place, run, may_be_ahead=False)

    def test_a_writer_killed_at_any_moment_has_kept_what_it_reported(self, place: Place) -> None:
        """The step that was under way is there wholly or not at all."""

        def run(first_seed: int, rng: random.Random) -> int:
            count = rng.randint(1, 120)
            return self._run_and_kill(
                place.directory, first_seed, steps=count, pause=False, rng=rng
            )

        self._live_and_die(place, run, may_be_ahead=True)

    def _live_and_die(
        self, place: Place, run: Callable[[int, random.Random], int], *, may_be_ahead: bool
    ) -> None:
        storage = place.open()
        storage.initialize(IDENTITY, MEMBERS)
        storage.close()
        model = MemStorage.create()
        model.initialize(IDENTITY, MEMBERS)
        rng = random.Random(3)
        seed = 0
        for _ in range(self.kill_rounds):
            reported = run(seed, rng)
            seed = _follow(model, seed, reported)
            storage = place.open()
            found = describe(storage)
            if may_be_ahead and found != describe(model):
                seed = _follow(model, seed, seed)
            _check_same(found, model, reported)
            storage.close()
            self.examine(place.directory)
        assert seed > self.kill_rounds

    def _run_and_kill(
        self, directory: Path, first_seed: int, *, steps: int, pause: bool, rng: random.Random
    ) -> int:
        """Let a writer take `steps` steps or some more; return the seed of the last it reported."""
        order = {
            "suite": whereabouts(type(self)),
            "directory": str(directory),
            "first_seed": first_seed,
            "pause_before": first_seed + steps if pause else None,
        }
        command = [sys.executable, "-m", "raftify.testing.storage_suite.writer", json.dumps(order)]
        with subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        ) as writer:
            try:
                assert writer.stdout is not None
                output, began = b"", time.monotonic()
                while output.count(b"\n") < steps + pause:
                    part = os.read(writer.stdout.fileno(), rng.randint(1, 4096))
                    assert part, "the writer ended by itself: its error is on stderr"
                    if not output:
                        began = time.monotonic()
                    output += part
                if not pause:
                    # Right behind a report, the next step has hardly begun: die anywhere in the
                    # next few. What is reported meanwhile is read below.
                    a_step = (time.monotonic() - began) / steps
                    time.sleep(min(_STEPS_TO_LIVE * rng.random() * a_step, _LONGEST_TO_LIVE))
            finally:
                writer.kill()
            output += writer.stdout.read()
        whole = output[: output.rindex(b"\n")].removesuffix(b"\nwaiting")
        return int(whole.split()[-1])


def _follow(model: StableStorage, seed: int, last_seed: int) -> int:
    """Take the steps up to `last_seed`, which the writer has taken; return the next seed."""
    for done in range(seed, last_seed + 1):
        take_step(model, done)
    return last_seed + 1


def _check_same(found: object, model: StableStorage, reported: int) -> None:
    """Name what differs: bounds, entries, hard state, membership, incarnations or snapshot."""
    expected = describe(model)
    assert isinstance(found, tuple)
    assert isinstance(expected, tuple)
    for name, is_there, should_be in zip(
        ("bounds", "entries", "hard state", "membership", "incarnations", "snapshot"),
        found,
        expected,
        strict=True,
    ):
        assert is_there == should_be, (
            f"after a writer was killed that had reported step {reported}, the {name} "
            "are not those that it had reported"
        )
