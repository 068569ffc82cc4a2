"""`raftify-cli describe` in the words of the program whose log it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.memstore.store import HashStore, SetCommand
from raftify.cli.formatters import Machine
from raftify.cli.main import EXIT_FINE, EXIT_USAGE, main
from raftify.core.types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata
from raftify.node.telling import EntryDecoder
from raftify.records import SnapshotDescriptor
from raftify.storage.base import WriteBatch
from tests.cli import own_program
from tests.cli.log_directories import found
from tests.cli.own_program import Wish, Wishes

Capture = pytest.CaptureFixture[str]

ROOT = Path(__file__).resolve().parents[2]
OWN = "tests.cli.own_program"
NO_WISH = "ValueError: it begins with no \N{REPLACEMENT CHARACTER}[31mwish"


def make_log(path: Path, *proposals: bytes, snapshot: bytes | None = None) -> Path:
    """Make a log of one empty entry and `proposals`, from index 2 on, with a snapshot up to 2."""
    storage = found(path)
    entries = [Entry(term=2, index=2)]
    entries += [Entry(term=2, index=3 + i, data=data) for i, data in enumerate(proposals)]
    storage.write(WriteBatch(entries=entries, hard_state=HardState(2, 1, len(entries) + 1)))
    if snapshot is not None:
        sink = storage.create_snapshot_sink()
        sink.write(snapshot)
        descriptor = SnapshotDescriptor(*sink.finish(), membership=storage.membership())
        metadata = SnapshotMetadata(ConfState(voters=(1,)), index=2, term=2)
        storage.save_snapshot(Snapshot(data=descriptor.encode(), metadata=metadata))
    storage.close()
    return path


@pytest.fixture
def wishes(tmp_path: Path) -> Path:
    return make_log(tmp_path / "log", Wish("rain").encode(), b"what?", snapshot=b"abcdef")


def run(
    capture: Capture,
    *arguments: str | Path,
    decoder: EntryDecoder | None = None,
    machine: Machine | None = None,
) -> tuple[int, list[str], str]:
    code = main([str(a) for a in ("describe", *arguments)], decoder=decoder, machine=machine)
    out, err = capture.readouterr()
    return code, out.splitlines(), err


def logs_of(lines: list[str]) -> list[str]:
    """Return the last column of a listing, from the first proposal on."""
    return [line[len("index  term  type                size  ") :] for line in lines[2:-1]]


def state_machine_of(lines: list[str]) -> list[str]:
    label = "state machine "
    found = [line.strip() for line in lines if line.strip().startswith(label)]
    return [line.removeprefix(label).strip() for line in found]


def test_entries_are_shown_as_their_class_says_and_others_as_bytes_with_the_reason(
    wishes: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    code, lines, err = run(capsys, "logs", wishes, "--decoder", f"{OWN}:Wish")
    assert (code, err) == (EXIT_FINE, "")
    assert logs_of(lines) == ["wishes for rain", f"not decoded ({NO_WISH}): what?"]


def test_raw_has_the_bytes_and_what_was_made_of_them(wishes: Path, capsys: Capture) -> None:
    code, lines, _ = run(capsys, "logs", wishes, "--raw", decoder=Wish)
    assert code == EXIT_FINE
    _, first, second = map(json.loads, lines)
    assert (first["data"], first["entry"]) == ("wish:rain", "wishes for rain")
    assert (second["data"], second["decode_fault"]) == ("what?", NO_WISH)
    assert "decode_fault" not in first
    assert "entry" not in second


def test_a_decoder_may_be_a_function_and_the_command_line_comes_first(
    wishes: Path, capsys: Capture
) -> None:
    option = ("--decoder", f"{OWN}:shout")
    _, lines, _ = run(capsys, "logs", wishes, *option, decoder=Wish)
    assert logs_of(lines) == ["WISH:RAIN", "WHAT?"]


def test_an_empty_entry_of_a_leader_is_no_proposal(tmp_path: Path, capsys: Capture) -> None:
    _, lines, _ = run(capsys, "logs", make_log(tmp_path / "log", b"x"), decoder=Wish)
    assert lines[1].endswith("first entry of a new leader")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Wishes", "Wishes(abcdef)"),
        ("AsyncWishes", "Wishes(later abcdef)"),
        ("StreamedWishes", "StreamedWishes(abc|def)"),
        ("make_wishes", "Wishes(abcdef)"),
        ("Wishes.decode", "Wishes(abcdef)"),
        ("shout", "ABCDEF"),
    ],
)
def test_the_snapshot_is_shown_as_the_state_machine_shows_itself(
    wishes: Path, capsys: Capture, name: str, shown: str
) -> None:
    code, lines, err = run(capsys, "metadata", wishes, "--machine", f"{OWN}:{name}")
    assert (code, err) == (EXIT_FINE, "")
    assert state_machine_of(lines) == [shown]
    _, [line], _ = run(capsys, "metadata", wishes, "--machine", f"{OWN}:{name}", "--raw")
    assert json.loads(line)["state_machine"] == shown


def test_a_state_machine_that_cannot_be_made_is_told(wishes: Path, capsys: Capture) -> None:
    code, lines, _ = run(capsys, "metadata", wishes, machine=own_program.NeedyWishes)
    assert code == EXIT_FINE
    assert state_machine_of(lines)[0].startswith("cannot be shown: TypeError:")
    _, [line], _ = run(capsys, "metadata", wishes, "--raw", machine=own_program.NeedyWishes)
    values = json.loads(line)
    assert values["state_machine"] is None
    assert values["state_machine_fault"].startswith("TypeError:")


def test_a_damaged_snapshot_is_told_in_its_place(wishes: Path, capsys: Capture) -> None:
    [file] = wishes.rglob("*.snapshot")
    file.write_bytes(b"abcdeX")
    _, lines, _ = run(capsys, "metadata", wishes, machine=Wishes)
    assert state_machine_of(lines)[0].startswith("cannot be shown: StorageDamaged:")


def test_without_a_snapshot_or_a_formatter_nothing_is_said(
    tmp_path: Path, wishes: Path, capsys: Capture
) -> None:
    bare = make_log(tmp_path / "bare")
    assert state_machine_of(run(capsys, "metadata", bare, machine=Wishes)[1]) == []
    assert state_machine_of(run(capsys, "metadata", wishes)[1]) == []


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("no_colon", "write package.module:Name"),
        (":Wish", "write package.module:Name"),
        ("tests.cli.no_such:Wish", "cannot import tests.cli.no_such: ModuleNotFoundError"),
        (f"{OWN}:NoSuch", f"module {OWN} has no NoSuch"),
        (f"{OWN}:NOT_CALLABLE", "is int, no class and no function"),
    ],
)
def test_a_formatter_that_is_not_there(
    wishes: Path, capsys: Capture, name: str, complaint: str
) -> None:
    for arguments in (("logs", wishes, "--decoder", name), ("metadata", wishes, "--machine", name)):
        code, lines, err = run(capsys, *arguments)
        assert (code, lines) == (EXIT_USAGE, [])
        assert complaint in err
        assert err.count("\n") == 1


def run_program(*command: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", *map(str, command)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def test_formatters_are_looked_for_where_the_program_is_called(
    tmp_path: Path, wishes: Path
) -> None:
    (tmp_path / "mine.py").write_text("def backwards(data): return data[::-1].decode()\n")
    code = "import sys; sys.path.remove(''); from raftify.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "describe", "logs", wishes, "--decoder", "mine:backwards"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert "niar:hsiw" in done.stdout


def test_memstore_has_a_cli_of_its_own(tmp_path: Path) -> None:
    store = HashStore({"colour": b"red", "size": b"9"})
    command = SetCommand("colour", b"blue")
    log = make_log(tmp_path / "log", command.encode(), snapshot=store.snapshot())
    assert str(command) in run_program("examples.memstore.cli", "describe", "logs", log)
    metadata = run_program("examples.memstore.cli", "describe", "metadata", log)
    assert "HashStore(2 keys)" in metadata
    assert "usage: memstore-cli" in run_program("examples.memstore.cli", "--help")
