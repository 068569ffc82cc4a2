"""`raftify-cli describe logs` and `describe metadata` show a log in RocksDB as one in LMDB."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("rocksdict", reason="needs raftify[rocksdb]")

from raftify.cli.main import EXIT_FINE, EXIT_USAGE, main
from raftify.storage.rocksdb import RocksDbStorage
from tests.cli.log_directories import make_sample
from tests.cli.writer import writing

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    make_sample(tmp_path / "rocksdb", RocksDbStorage.create)
    return tmp_path / "rocksdb"


def shown(capsys: Capture, *arguments: str | Path) -> str:
    assert main(["describe", *map(str, arguments)]) == EXIT_FINE
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_it_shows_what_it_shows_of_lmdb(sample: Path, tmp_path: Path, capsys: Capture) -> None:
    make_sample(tmp_path / "lmdb")
    for raw in ([], ["--raw"]):
        assert shown(capsys, "logs", sample, *raw) == shown(capsys, "logs", tmp_path / "lmdb", *raw)
    one, other = (
        json.loads(shown(capsys, "metadata", path, "--raw")) for path in (sample, tmp_path / "lmdb")
    )
    assert any(name.startswith("log.rocksdb/") for name in one["files"])
    for apart in ("path", "files"):
        del one[apart], other[apart]
    assert one == other
    assert "greeting" in shown(capsys, "logs", sample, "--tail", "3")


def test_a_damaged_one(sample: Path, capsys: Capture) -> None:
    for table in sample.glob("log.rocksdb/*.sst"):
        table.write_bytes(b"x" * table.stat().st_size)
    for what in ("logs", "metadata"):
        assert main(["describe", what, str(sample)]) == EXIT_USAGE
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert str(sample) in err


@pytest.mark.slow
def test_of_a_running_node_the_newest_is_shown(sample: Path, capsys: Capture) -> None:
    with writing(sample, "rocksdb", burst=1) as writer:
        for index in range(8, 14):
            writer.begin()
            assert writer.done() == index
            assert f"live {index}" in shown(capsys, "logs", sample, "--tail", "1")
