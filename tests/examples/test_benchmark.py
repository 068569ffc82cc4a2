"""The benchmark's arithmetic, and one short run of the whole."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.load import Round, percentile, run_round
from tests.examples.processes import names_in, needs_proc, processes_of, program


def test_percentile_is_the_value_that_the_fraction_does_not_exceed() -> None:
    ordered = [float(n) for n in range(1, 101)]
    assert percentile(ordered, 0.50) == 50
    assert percentile(ordered, 0.99) == 99
    assert percentile(ordered, 1.0) == 100
    assert percentile([7.0], 0.01) == 7
    assert percentile([1.0, 2.0], 0.50) == 1
    assert percentile([1.0, 2.0], 0.51) == 2


def test_the_median_is_taken_of_each_figure() -> None:
    rounds = [Round(100, 5, 50, 1), Round(300, 1, 70, 2), Round(200, 3, 60, 4)]
    assert Round.median(rounds) == Round(200, 3, 60, 7)


def clock_of(milliseconds: int) -> Callable[[], float]:
    """Return a clock that goes on by `milliseconds` each time it is read."""
    ticks = itertools.count(0, milliseconds)
    return lambda: next(ticks) / 1000


async def test_a_round_keeps_as_many_in_flight_as_asked() -> None:
    under_way, most = 0, 0

    async def propose(_data: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return b""

    done = await run_round(propose, in_flight=7, seconds=0.1, clock=clock_of(1))
    assert most == 7
    assert 0 < done.p50_ms <= done.p99_ms


async def test_only_what_returned_in_time_counts() -> None:
    async def propose(_data: bytes) -> bytes:
        return b""

    # Read at 0 ms, 30, and then after each write: those at 60 and 90 are in time.
    done = await run_round(propose, in_flight=1, seconds=0.1, clock=clock_of(30))
    assert done.writes_per_second == 20
    assert done.p50_ms == pytest.approx(30)
    assert done.acknowledged == 3
    with pytest.raises(RuntimeError, match="is the cluster alive"):
        await run_round(propose, in_flight=1, seconds=0.01, clock=clock_of(8))


async def test_a_write_that_fails_ends_the_round() -> None:
    async def propose(_data: bytes) -> bytes:
        raise ConnectionError("gone")

    with pytest.RaisesGroup(ConnectionError, ConnectionError):
        await run_round(propose, in_flight=2, seconds=0.02)


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs_proc
async def test_a_quick_run_writes_its_results(tmp_path: Path) -> None:
    async with program("-m", "benchmarks.cluster", "--quick", "--results", str(tmp_path)) as bench:
        output, _ = await bench.communicate()
    assert bench.returncode == 0, output.decode()
    results = json.loads((tmp_path / "cluster.json").read_text())
    measured = {(s["source"], s["in_flight"]) for s in results["scenarios"]}
    assert measured == {
        ("local", 1), ("local", 64), ("local", 1024), ("client", 1), ("client", 256)
    }  # fmt: skip
    assert all(s["median"]["writes_per_second"] > 0 for s in results["scenarios"])
    assert results["baseline"]["lmdb_commit_ms"] > 0
    assert results["baseline"]["stream_round_trip_ms"] > 0
    assert "| local, 1,024 in flight |" in (tmp_path / "cluster.md").read_text()
    has_matplotlib = importlib.util.find_spec("matplotlib") is not None
    plot = ["cluster.png"] if has_matplotlib else []
    assert names_in(tmp_path) == ["cluster.json", "cluster.md", *plot]
    assert processes_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_the_profile_switch_shows_where_a_leader_spends_its_time(tmp_path: Path) -> None:
    async with program(
        "-m", "benchmarks.cluster", "--quick", "--profile", "64", "--results", str(tmp_path)
    ) as bench:
        output, _ = await bench.communicate()
    assert bench.returncode == 0, output.decode()
    assert b"tottime" in output
    assert (tmp_path / "leader.prof").stat().st_size > 0
