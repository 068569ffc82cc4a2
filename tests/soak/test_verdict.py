"""The verdict of a soak run: it finds a leak of each kind, and calls noise no leak."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.samples import SampleFile
from tests.soak.verdict import SLACK, judge, judge_restarts, line
from tests.soak.vitals import Sample

QUIET = Sample(
    seconds=0, phase="steady", who="node-1", memory_kib=28_000, resident_kib=60_000,
    descriptors=34, threads=12, tasks=21, objects=35_000, disk_kib=2_700, log_kib=1_300,
    writes=0, p50_ms=4, p99_ms=20,
)  # fmt: skip
HOUR = [replace(QUIET, seconds=10.0 * i) for i in range(300)]


def noisy(samples: list[Sample]) -> list[Sample]:
    """Let memory and log move as those of a healthy node do, and tasks come and go."""
    source = random.Random(5)
    return [
        replace(
            s,
            memory_kib=s.memory_kib + source.randrange(1500),
            log_kib=s.log_kib + source.randrange(900),
            tasks=s.tasks + source.randrange(12),
        )
        for s in samples
    ]


def test_a_healthy_hour_is_flat() -> None:
    findings = judge(noisy(HOUR))
    assert {f.what for f in findings} == set(SLACK)
    assert not [str(f) for f in findings if f.grown]


@pytest.mark.parametrize(
    ("what", "per_sample"),
    [
        ("memory_kib", 10 * 300 * 16 / 1024),  # sixteen bytes for each of 300 writes a second
        ("descriptors", 1 / 60),  # one in ten minutes
        ("threads", 1 / 60),
        ("tasks", 1 / 20),
        ("objects", 30),
        ("disk_kib", 10),
        ("log_kib", 10),
    ],
)
def test_a_leak_is_found(what: str, per_sample: float) -> None:
    leaking = []
    for number, sample in enumerate(noisy(HOUR)):
        grown: dict[str, Any] = {what: int(getattr(sample, what) + per_sample * number)}
        leaking.append(replace(sample, **grown))
    assert [f.what for f in judge(leaking) if f.grown] == [what]


@pytest.mark.parametrize("what", ["descriptors", "threads", "tasks"])
@pytest.mark.parametrize("at", range(75, 300, 15))
def test_a_count_that_rises_once_as_another_node_leads_is_no_leak(what: str, at: int) -> None:
    samples: list[Sample] = []
    for number, sample in enumerate(noisy(HOUR)):
        more: dict[str, Any] = {what: getattr(sample, what) + (8 if number >= at else 0)}
        samples.append(replace(sample, **more))
    assert not [str(f) for f in judge(samples) if f.grown]


def test_samples_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    with SampleFile(tmp_path / "load.csv") as file:
        for sample in HOUR:
            file.note(sample)
            file.note(replace(sample, who="node-2", p99_ms=1.25))
        assert file.latest["node-2"].p99_ms == 1.25
        assert file.read()[::2] == HOUR


def test_too_few_samples_say_nothing() -> None:
    for few in ([], HOUR[:5]):
        with pytest.raises(ValueError, match="run for longer"):
            judge(few)


def test_who_keeps_connections_of_those_that_were_restarted_is_found() -> None:
    steady = [s for other in ("node-1", "node-2") for s in (replace(t, who=other) for t in HOUR)]
    calm = [replace(QUIET, phase="calm", who=who, seconds=3600) for who in ("node-1", "node-2")]
    assert not any(f.grown for f in judge_restarts([*steady, *calm], "node-2"))
    kept = [replace(s, descriptors=s.descriptors + 4) for s in calm]
    grown = [(f.who, f.what) for f in judge_restarts([*steady, *kept], "node-2") if f.grown]
    assert grown == [("node-1", "descriptors")]


def test_a_new_leader_may_have_as_many_tasks_as_the_old_one_had() -> None:
    leader = [replace(s, tasks=25) for s in HOUR]
    follower = [replace(s, who="node-2") for s in HOUR]
    calm = [replace(QUIET, phase="calm", who="node-2", tasks=25, seconds=3600)]
    assert not any(f.grown for f in judge_restarts([*leader, *follower, *calm], "node-1"))


@pytest.mark.parametrize(("what", "streams", "leak"), [("tasks", 6, 10), ("descriptors", 2, 4)])
def test_a_client_may_keep_a_stream_to_each_node_that_led(
    what: str, streams: int, leak: int
) -> None:
    names = ("node-1", "node-2", "node-3", "client")
    steady = [replace(s, who=who) for who in names for s in HOUR]
    calm = [replace(QUIET, phase="calm", who=who, seconds=3600) for who in names]

    def grown(more: int) -> list[str]:
        later = []
        for sample in calm:
            kept: dict[str, Any] = {what: getattr(sample, what) + more * (sample.who == "client")}
            later.append(replace(sample, **kept))
        return [f.what for f in judge_restarts([*steady, *later], "node-1") if f.grown]

    assert grown(streams) == []
    assert grown(leak) == [what]


def test_the_slope_of_a_straight_line_is_exact() -> None:
    assert line([0, 1, 2, 3], [1, 3, 5, 7]) == (2, 0)
