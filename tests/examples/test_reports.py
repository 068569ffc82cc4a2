"""What the demonstration and the benchmark print: the figures in it are the measured ones."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from benchmarks.baseline import Baseline
from benchmarks.load import Round
from benchmarks.results import Results, Scenario, save
from examples.demo.audit import Finding
from examples.demo.report import BARS, show_nodes, show_stream, show_verdict
from examples.demo.writers import History


def console() -> tuple[Console, StringIO]:
    out = StringIO()
    return Console(file=out, width=100), out


def test_silence_shows_as_a_gap_and_a_single_write_does_not() -> None:
    where, out = console()
    busy = [0.01 * n for n in range(20)]  # two tenths of a second with ten writes each
    show_stream(where, History(acknowledged_at=[*busy, 0.51, *(0.6 + t for t in busy)]), 0.2)
    bars = out.getvalue().splitlines()[1]
    assert bars == "  ██   " + BARS[1] + "██"
    assert out.getvalue().splitlines()[2].startswith("    ↑ SIGKILL")


def test_a_killed_node_is_shown_as_such() -> None:
    where, out = console()
    state = {
        "address": "127.0.0.1:4000", "role": "follower", "term": 2, "leader_id": 3,
        "committed": 1000, "applied": 998, "writes": 997,
    }  # fmt: skip
    show_nodes(where, {1: state, 2: None}, {1: 4711})
    rows = [line.split("│")[1:-1] for line in out.getvalue().splitlines() if "│" in line]
    assert [cell.strip() for cell in rows[1]] == [
        "1", "4711", "4000", "follows 3", "2", "1,000", "998", "997"
    ]  # fmt: skip
    assert rows[2][0].strip() == "2"
    assert rows[2][3].strip() == "killed"


def test_nothing_is_cut_on_a_narrow_terminal() -> None:
    out = StringIO()
    where = Console(file=out, width=60)
    state = {
        "address": "127.0.0.1:4000", "role": "pre_candidate", "term": 2, "leader_id": 0,
        "committed": 10_000, "applied": 99_998, "writes": 99_997,
    }  # fmt: skip
    show_nodes(where, {1: state, 2: None}, {1: 4711})
    show_verdict(where, [Finding("nothing is there that nobody wrote", "no others " * 9, True)], 1)
    text = out.getvalue()
    for word in ("pre_candidate", "10,000", "99,998", "99,997", "committed", "applied", "killed"):
        assert word in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60


def test_the_verdict_is_positive_only_if_every_claim_holds() -> None:
    for second, words in ((True, "All of it held"), (False, "Not all of it held")):
        where, out = console()
        show_verdict(where, [Finding("a", "seen", True), Finding("b", "seen", second)], 1.0)
        assert words in out.getvalue()
        assert ("✗" in out.getvalue()) is not second


def test_the_table_holds_the_medians_and_the_spread(tmp_path: Path) -> None:
    scenario = Scenario("local", 1024)
    rounds = [Round(1000, 1, 10, 9), Round(3000, 3, 30, 9), Round(2000, 2, 20, 9)]
    results = Results(
        Baseline(lmdb_commit_ms=0.5, stream_round_trip_ms=0.25),
        {scenario: rounds},
        seconds_per_round=2,
        warm_up_seconds=1,
    )
    assert tmp_path / "cluster.md" in save(results, tmp_path)
    table = (tmp_path / "cluster.md").read_text()
    assert "| local, 1,024 in flight | 2,000 | 2.00 | 20.00 | 1,000 to 3,000 |" in table
    assert "commit 0.50 ms" in table
    assert "stream 0.25 ms" in table
    assert "411 writes/s" in table
