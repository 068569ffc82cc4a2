"""Recording what clients do: outcomes, order, journals that outlive their processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raftify.errors import DeadlineExceeded, NoLeader, PeerUnreachable
from raftify.testing.history import History, KeyValue, Operation, Outcome, Recorder
from tests.testing.histories import KV, failed, ok, unknown

EVERY_KIND = History(
    [
        ok("a", KV.put("x", b"\x00\xff"), None, 0, 1),
        ok("b", KV.get("x"), ("nested", (1, None, True, 2.5)), 0.1, 1 / 3 + 1),
        failed("a", KV.put("x", 2), 2, 3),
        unknown("a", KV.put("x", 3), 4, 5),
        unknown("a", KV.put("x", 4), 6),
    ]
)


def test_a_block_says_how_it_ended() -> None:
    recorder = Recorder()
    with recorder.call("a", KV.put("x", 1)):
        pass
    with recorder.call("a", KV.get("x")) as call:
        call.ok(1)
    for error in (NoLeader("none"), PeerUnreachable("gone"), DeadlineExceeded("late"), KeyError()):
        with pytest.raises(type(error)), recorder.call("a", KV.put("x", 2)):
            raise error
    recorder.call("b", KV.get("x"))
    outcomes = [each.outcome for each in recorder.history()]
    assert outcomes == [
        Outcome.OK,
        Outcome.OK,
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
        Outcome.UNKNOWN,
    ]
    assert [each.output for each in recorder.history()][:2] == [None, 1]
    assert recorder.history()[-1].returned is None


def test_events_at_one_moment_keep_their_order() -> None:
    """As in a simulation, where much happens at the same time."""
    recorder = Recorder(clock=lambda: 7.0)
    for _ in range(3):
        recorder.call("a", KV.get("x")).ok()
    first, second, third = recorder.history()
    assert first.precedes(second)
    assert second.precedes(third)


def test_a_call_ends_once() -> None:
    call = Recorder().call("a", KV.get("x"))
    call.unknown()
    with pytest.raises(ValueError, match="ended already"):
        call.ok(1)


def test_a_saved_history_reads_as_it_was(tmp_path: Path) -> None:
    EVERY_KIND.save(tmp_path / "history.jsonl")
    assert History.load(tmp_path / "history.jsonl") == EVERY_KIND


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot be written to a journal"):
        History([ok("a", {"x"}, None, 0, 1)]).save(tmp_path / "history.jsonl")


def test_a_line_cut_off_at_the_end_is_a_call_that_never_returned(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    EVERY_KIND[:1].save(path)
    text = path.read_text()
    path.write_text(text[: -len("}\n")])
    (operation,) = History.load(path)
    assert operation.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "damage", ["{\n", '{"return": 9, "outcome": "ok", "output": null, "at": 1}\n', "[1]\n"]
)
def test_damage_elsewhere_is_an_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "history.jsonl"
    EVERY_KIND.save(path)
    path.write_text(damage + path.read_text())
    with pytest.raises(ValueError, match=r"history\.jsonl"):
        History.load(path)


PROGRAM = """
import sys
from raftify.testing.history import KeyValue, Recorder
recorder = Recorder(journal=sys.argv[1])
recorder.call(sys.argv[2], KeyValue.put("x", sys.argv[2])).ok()
recorder.call(sys.argv[2], KeyValue.get("x"))
print("there", flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_journals_of_killed_processes_merge(tmp_path: Path) -> None:
    """One begins after the other's first operation ended: their clocks are one."""
    paths = []
    for name in ("one", "two"):
        paths.append(tmp_path / name)
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(paths[-1]), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"there\n"
            process.kill()
    history = History.load(*paths)
    assert [(each.client, each.outcome) for each in history] == [
        ("one", Outcome.OK),
        ("one", Outcome.UNKNOWN),
        ("two", Outcome.OK),
        ("two", Outcome.UNKNOWN),
    ]
    assert history[0].precedes(history[2])


def test_threads_may_share_a_recorder() -> None:
    recorder = Recorder()

    def work(name: str) -> None:
        for number in range(200):
            recorder.call(name, KeyValue.put(name, number)).ok()

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = recorder.history()
    times = [time for each in history for time in (each.called, each.returned)]
    assert len(history) == 800
    assert len(set(times)) == 1600


def test_times_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="one clock"):
        ok("a", KV.get("x"), None, 2, 1)
    with pytest.raises(ValueError, match="never returned"):
        Operation("a", KV.get("x"), None, 2, None)
