"""The same seed is the same run, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from raftify.testing.simulation import Trace
from tests.testing.simulated_lives import live

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_seed_gives_the_same_trace_twice_in_one_process() -> None:
    first, second = Trace(), Trace()
    live(3, first)
    live(4)
    live(3, second)
    pairs = zip(first.events(), second.events(), strict=False)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []
    assert first.digest() == second.digest()


def test_another_seed_gives_another_trace() -> None:
    assert live(5).trace.digest() != live(6).trace.digest()


def digest_elsewhere(seeds: list[int], hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.testing.simulated_lives", *map(str, seeds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split()


def test_other_processes_with_other_hashes_give_the_same_trace() -> None:
    here = [live(seed).trace.digest() for seed in (7, 8)]
    assert digest_elsewhere([7, 8], "1") == here
    # In another order, so that nothing is left over from the run before.
    assert digest_elsewhere([8, 7], "2") == here[::-1]
