"""The demonstration: its verdict can be negative, it succeeds, and it leaves no process behind."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from examples.demo.__main__ import main, prepare
from examples.demo.audit import audit
from examples.demo.writers import History
from tests.examples.processes import ended, needs_proc, processes_of, program

NODES = (1, 2, 3)


def history(acknowledged: list[str], unknown: list[str] | None = None) -> History:
    return History(acknowledged=acknowledged, unknown=unknown or [])


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def verdict(history: History, *counts: dict[str, int]) -> list[bool]:
    """Return for each claim, in order, whether it was found to hold."""
    return [f.holds for f in audit(history, dict(zip(NODES, counts, strict=True)))]


def test_all_holds_where_each_acknowledged_write_is_everywhere_once() -> None:
    held = {"a": 1, "b": 1}
    assert verdict(history(["a", "b"]), held, held, held) == [True] * 4


def test_a_write_of_unknown_outcome_may_be_there_or_not() -> None:
    present, absent = {"a": 1, "u": 1}, {"a": 1}
    assert all(verdict(history(["a"], ["u"]), present, present, present))
    assert all(verdict(history(["a"], ["u"]), absent, absent, absent))


def test_a_write_that_one_node_lacks_is_found() -> None:
    held = {"a": 1, "b": 1}
    assert verdict(history(["a", "b"]), held, {"a": 1}, held) == [False, True, True, False]


def test_a_write_applied_twice_is_found_whatever_its_outcome() -> None:
    acknowledged_twice, unknown_twice = {"a": 2, "u": 1}, {"a": 1, "u": 2}
    for held in (acknowledged_twice, unknown_twice):
        assert verdict(history(["a"], ["u"]), held, held, held) == [True, False, True, True]


def test_a_write_acknowledged_as_the_second_of_its_id_is_found() -> None:
    told = History()
    told.acknowledge("a", b"2", 0.0)
    assert verdict(told, {"a": 1}, {"a": 1}, {"a": 1}) == [True, False, True, True]


def test_a_write_that_nobody_sent_is_found() -> None:
    held = {"a": 1, "ghost": 1}
    assert verdict(history(["a"]), held, held, held) == [True, True, False, True]


def test_a_history_without_writes_proves_nothing() -> None:
    assert verdict(history([]), {}, {}, {}) == [False, True, True, True]


def test_the_silence_is_the_longest_one_that_ended_after_the_kill() -> None:
    told = History(acknowledged_at=[0.0, 5.0, 6.0, 6.1, 8.1, 8.2])
    assert told.longest_silence_after(6.0) == pytest.approx(2.0)
    assert told.longest_silence_after(6.05) == pytest.approx(2.0)
    assert told.longest_silence_after(8.2) == 0.0


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs_proc
async def test_the_demonstration_succeeds_and_leaves_no_process(tmp_path: Path) -> None:
    async with program("-m", "examples.demo", "--keep", str(tmp_path)) as demo:
        output, _ = await demo.communicate()
    assert demo.returncode == 0, output.decode()
    assert b"All of it held" in output
    assert processes_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs_proc
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
async def test_no_node_outlives_a_demonstration_that_was_ended(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    async with program("-m", "examples.demo", "--keep", str(tmp_path)) as demo:
        assert demo.stdout is not None
        async for line in demo.stdout:
            if b"writers, and SIGKILL" in line:
                break
        nodes = [pid for pid in processes_of(tmp_path) if pid != demo.pid]
        assert len(nodes) == len(NODES)
        demo.send_signal(number)
        await demo.communicate()
    assert demo.returncode == code
    await ended(nodes, timeout=10.0)
    assert processes_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.timeout(120)
@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_demonstration_that_was_ended_leaves_no_directory(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with program("-m", "examples.demo", TMPDIR=str(tmp_path)) as demo:
        assert demo.stdout is not None
        async for line in demo.stdout:
            if b"node 1 founds a cluster" in line:
                break
        assert [name[:13] for name in names_in(tmp_path)] == ["raftify-demo-"]
        demo.send_signal(number)
        await demo.communicate()
    assert names_in(tmp_path) == []


def test_a_directory_to_keep_is_new_or_empty(tmp_path: Path) -> None:
    assert prepare(tmp_path / "new" / "deep") == ""
    assert prepare(tmp_path / "new" / "deep") == ""
    assert "not empty" in prepare(tmp_path / "new")
    (tmp_path / "file").touch()
    assert prepare(tmp_path / "file") == f"{tmp_path / 'file'} is a file; name a directory"
    assert "Not a directory" in prepare(tmp_path / "file" / "below")


def test_a_wrong_directory_to_keep_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["demo", "--keep", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("is a file; name a directory")
