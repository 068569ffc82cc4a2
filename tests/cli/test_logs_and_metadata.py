"""`raftify-cli describe logs|metadata` on real log directories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from raftify.cli.main import EXIT_FINE, EXIT_NO_ANSWER, EXIT_USAGE, main
from tests.cli.log_directories import found, make_long, make_sample
from tests.cli.writer import writing

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    make_sample(tmp_path / "log")
    return tmp_path / "log"


@pytest.fixture
def long(tmp_path: Path) -> Path:
    make_long(tmp_path / "log", 10_000)
    return tmp_path / "log"


def run(capture: Capture, *arguments: str | Path) -> tuple[int, list[str], str]:
    code = main([str(a) for a in arguments])
    out, err = capture.readouterr()
    return code, out.splitlines(), err


def snapshot_of(path: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file with its time and content, to see that nothing was touched.

    Left out is LMDB's table of readers: whoever reads has to be noted there, or the writer would
    reuse what is being read.
    """
    return {
        str(file.relative_to(path)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.name.endswith("-lock")
    }


def data_file(path: Path) -> Path:
    (data,) = path.glob("*.mdb")
    return data


def test_every_kind_of_entry_in_words(sample: Path, capsys: Capture) -> None:
    code, lines, err = run(capsys, "describe", "logs", sample)
    assert (code, err) == (EXIT_FINE, "")
    assert lines[:6] == [
        "index  term  type                size  data",
        "    2     2  no-op                  0  first entry of a new leader",
        "    3     2  command                0  reserve an id for 127.0.0.1:60062",
        "    4     2  conf-change-v2        27  add voter 2 at 127.0.0.1:60062",
        "    5     2  normal                18  SET greeting hello",
        "    6     3  normal                 4  0x0001feff",
    ]
    assert lines[6].startswith("    7     3  normal               340  grüße, 世界! grüße")
    assert lines[6].endswith("…")
    assert lines[7:] == ["6 shown; the log holds entries 2 to 7"]


def test_raw_is_one_json_object_a_line(sample: Path, capsys: Capture) -> None:
    code, lines, _ = run(capsys, "describe", "logs", sample, "--raw")
    assert code == EXIT_FINE
    entries = [json.loads(line) for line in lines]
    assert entries[0] == {"index": 2, "term": 2, "type": "no-op", "size": 0}
    assert entries[2] == {
        "index": 4,
        "term": 2,
        "type": "conf-change-v2",
        "size": entries[2]["size"],
        "transition": "auto",
        "changes": [{"action": "add_voter", "node_id": 2, "address": "127.0.0.1:60062"}],
    }
    assert entries[3]["data"] == "SET greeting hello"
    assert entries[4]["data_hex"] == "0001feff"
    assert entries[5]["data"] == "grüße, 世界! " * 20


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        ([], 2, 7),
        (["--from", "4"], 4, 7),
        (["--to", "4"], 2, 4),
        (["--from", "3", "--to", "5"], 3, 5),
        (["--from", "5", "--to", "5"], 5, 5),
        (["--limit", "2"], 2, 3),
        (["--tail", "2"], 6, 7),
        (["--from", "3", "--limit", "2"], 3, 4),
        (["--to", "5", "--tail", "2"], 4, 5),
        (["--from", "0", "--to", "1000"], 2, 7),
        (["--tail", "1000"], 2, 7),
        (["--from", "8"], 8, 7),
        (["--to", "1"], 2, 1),
        (["--limit", "0"], 2, 1),
    ],
)
def test_which_entries_are_shown(
    sample: Path, capsys: Capture, options: list[str], first: int, last: int
) -> None:
    code, lines, _ = run(capsys, "describe", "logs", sample, "--raw", *options)
    assert code == EXIT_FINE
    assert [json.loads(line)["index"] for line in lines] == list(range(first, last + 1))


def test_an_empty_log_is_shown_as_empty(tmp_path: Path, capsys: Capture) -> None:
    found(tmp_path / "log").close()
    code, lines, err = run(capsys, "describe", "logs", tmp_path / "log")
    assert (code, err) == (EXIT_FINE, "")
    assert lines[-1] == "0 shown; the log holds no entries"


def test_a_listing_fits_into_80_columns_and_carries_no_colours(
    sample: Path, capsys: Capture
) -> None:
    for what in ("logs", "metadata"):
        _, lines, _ = run(capsys, "describe", what, sample)
        assert max(cell_len(line) for line in lines) <= 80
        assert not any("\x1b" in line for line in lines)


def test_metadata_shows_identity_state_membership_and_sizes(sample: Path, capsys: Capture) -> None:
    code, lines, err = run(capsys, "describe", "metadata", sample)
    assert (code, err) == (EXIT_FINE, "")
    words = [line.split() for line in lines]
    assert ["node", "1"] in words
    assert ["cluster", "default"] in words
    assert ["incarnation", "cafe0123"] in words
    assert ["term", "3"] in words
    assert ["vote", "node", "1"] in words
    assert ["commit", "7"] in words
    assert ["entries", "2", "to", "7", "(6)"] in words
    assert ["1", "voter", "127.0.0.1:60061", "-"] in words
    assert ["2", "127.0.0.1:60062"] in words
    assert ["2", "beef4567"] in words


def test_metadata_as_json(sample: Path, capsys: Capture) -> None:
    code, lines, _ = run(capsys, "describe", "metadata", sample, "--raw")
    assert (code, len(lines)) == (EXIT_FINE, 1)
    state = json.loads(lines[0])
    assert (state["node_id"], state["cluster_id"], state["incarnation"]) == (
        1,
        "default",
        "cafe0123",
    )
    assert (state["term"], state["vote"], state["commit"]) == (3, 1, 7)
    assert (state["first_index"], state["last_index"]) == (2, 7)
    assert state["snapshot"] == {"index": 1, "term": 1, "file_id": "", "size_bytes": 0}
    assert state["membership"]["voters"] == [1]
    assert state["membership"]["peers"]["1"]["address"] == "127.0.0.1:60061"
    assert state["membership"]["reservations"] == {"127.0.0.1:60062": 2}
    assert state["known_incarnations"] == {"2": "beef4567"}
    assert sum(state["files"].values()) > 0


@pytest.mark.parametrize("what", ["logs", "metadata"])
@pytest.mark.parametrize("raw", [[], ["--raw"]], ids=["table", "raw"])
def test_looking_changes_nothing(sample: Path, capsys: Capture, what: str, raw: list[str]) -> None:
    before = snapshot_of(sample)
    assert run(capsys, "describe", what, sample, *raw)[0] == EXIT_FINE
    assert snapshot_of(sample) == before


@pytest.mark.parametrize("what", ["logs", "metadata"])
@pytest.mark.parametrize("kind", ["missing", "empty", "file", "other"])
def test_a_path_that_is_no_log_directory(
    tmp_path: Path, capsys: Capture, what: str, kind: str
) -> None:
    path = tmp_path / "path"
    if kind == "file":
        path.write_text("not a log")
    elif kind != "missing":
        path.mkdir()
    if kind == "other":
        (path / "notes.txt").write_text("not a log")
    before = snapshot_of(tmp_path)
    code, lines, err = run(capsys, "describe", what, path)
    assert (code, lines) == (EXIT_USAGE, [])
    assert err.startswith("raftify-cli: ")
    assert str(path) in err
    assert err.count("\n") == 1
    assert snapshot_of(tmp_path) == before
    assert path.exists() == (kind != "missing")


@pytest.mark.parametrize("what", ["logs", "metadata"])
def test_a_damaged_log(sample: Path, capsys: Capture, what: str) -> None:
    data = data_file(sample)
    content = data.read_bytes()
    data.write_bytes(content[:5000])
    code, _, err = run(capsys, "describe", what, sample)
    assert code == EXIT_USAGE
    assert err.startswith("raftify-cli: ")
    assert err.count("\n") == 1
    data.write_bytes(b"\xa5" * len(content))
    code, _, err = run(capsys, "describe", what, sample)
    assert code == EXIT_USAGE
    assert err.count("\n") == 1


@pytest.mark.parametrize("raw", [[], ["--raw"]], ids=["table", "raw"])
def test_a_changed_byte_is_reported_after_what_was_read_before(
    long: Path, capsys: Capture, raw: list[str]
) -> None:
    data = data_file(long)
    content = data.read_bytes()
    assert content.count(b"proposal 5500") == 1
    data.write_bytes(content.replace(b"proposal 5500", b"proposal 5600"))
    code, _, err = run(capsys, "describe", "logs", long, *raw)
    assert code == EXIT_USAGE
    assert "log.mdb" in err
    assert err.count("\n") == 1
    code, lines, _ = run(capsys, "describe", "logs", long, "--raw", "--to", "2000")
    assert code == EXIT_FINE
    assert [json.loads(line)["index"] for line in lines] == list(range(2, 2001))


def test_a_path_that_the_system_refuses(capsys: Capture) -> None:
    code, _, err = run(capsys, "describe", "logs", "x" * 5000)
    assert code == EXIT_USAGE
    assert err.startswith("raftify-cli: ")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable to the superuser")
def test_a_directory_that_may_not_be_read(sample: Path, capsys: Capture) -> None:
    sample.chmod(0)
    try:
        code, _, err = run(capsys, "describe", "logs", sample)
    finally:
        sample.chmod(0o755)
    assert code == EXIT_USAGE
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["describe"],
        ["describe", "nothing"],
        ["describe", "logs"],
        ["describe", "logs", "path", "--from", "x"],
        ["describe", "logs", "path", "--from", "-1"],
        ["describe", "logs", "path", "--limit", "1", "--tail", "1"],
        ["describe", "node", "127.0.0.1:1", "--timeout", "0"],
        ["describe", "node", "127.0.0.1:1", "--timeout", "soon"],
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str]) -> None:
    code, lines, err = run(capsys, *arguments)
    assert (code, lines) == (EXIT_USAGE, [])
    assert "usage: raftify-cli" in err


def test_a_range_that_is_turned_around(sample: Path, capsys: Capture) -> None:
    code, _, err = run(capsys, "describe", "logs", sample, "--from", "5", "--to", "3")
    assert code == EXIT_USAGE
    assert err == "raftify-cli: --from 5 lies behind --to 3\n"


def test_version_and_help(capsys: Capture) -> None:
    code, lines, _ = run(capsys, "--version")
    assert code == EXIT_FINE
    assert lines[0].startswith("raftify-cli ")
    code, lines, _ = run(capsys, "describe", "node", "--help")
    assert code == EXIT_FINE
    assert "exit codes:" in lines


def test_an_address_that_cannot_be_read(capsys: Capture) -> None:
    code, _, err = run(capsys, "describe", "node", "nowhere")
    assert code == EXIT_USAGE
    assert "nowhere" in err


def test_a_node_that_does_not_answer(capsys: Capture, free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    code, lines, err = run(capsys, "describe", "node", address, "--timeout", "2")
    assert (code, lines) == (EXIT_NO_ANSWER, [])
    assert err.startswith("raftify-cli: ")
    assert address in err
    assert err.count("\n") == 1


# -- as a process of its own ------------------------------------------------------------------

CLI = (sys.executable, "-W", "error", "-m", "raftify.cli.main")


@pytest.mark.slow
def test_ten_thousand_entries_through_a_pipe(long: Path) -> None:
    done = subprocess.run(
        [*CLI, "describe", "logs", long], capture_output=True, text=True, check=True, timeout=50
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 10_002
    assert lines[1].endswith("proposal 2")
    assert lines[-2].endswith("proposal 10001")
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("raw", [[], ["--raw"]], ids=["table", "raw"])
def test_a_reader_that_has_seen_enough_is_no_error(long: Path, raw: list[str]) -> None:
    with subprocess.Popen(
        [*CLI, "describe", "logs", long, *raw],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=50) == EXIT_FINE


@pytest.mark.slow
def test_a_terminal_without_unicode_is_served(sample: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [*CLI, "describe", "logs", sample],
        capture_output=True,
        check=True,
        timeout=50,
        env=environment,
    )
    assert b"gr??e" in done.stdout
    raw = subprocess.run(
        [*CLI, "describe", "logs", sample, "--raw"],
        capture_output=True,
        check=True,
        timeout=50,
        env=environment,
    )
    assert json.loads(raw.stdout.splitlines()[-1])["data"].startswith("grüße")


@pytest.mark.slow
def test_the_log_of_a_running_node_can_be_read_while_it_writes(
    sample: Path, capsys: Capture
) -> None:
    seen = 7
    with writing(sample, "lmdb", burst=100) as writer:
        for _ in range(10):
            writer.begin()
            # The writer is at work right now: a part of its entries is there, without a gap.
            code, lines, err = run(capsys, "describe", "logs", sample, "--raw")
            assert (code, err) == (EXIT_FINE, "")
            indices = [json.loads(line)["index"] for line in lines]
            assert indices == list(range(2, indices[-1] + 1))
            assert indices[-1] >= seen
            seen = writer.done()
            code, lines, _ = run(capsys, "describe", "metadata", sample, "--raw")
            assert json.loads(lines[0])["last_index"] == seen
    assert seen == 7 + 1000
