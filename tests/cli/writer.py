"""A process that writes to a log while a test looks into it: so many entries for each line it gets.

Its own half is run by `python -m tests.cli.writer DIRECTORY KIND BURST`; `writing` is the test's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from raftify.core.types import Entry
from raftify.storage import LmdbStorage, WriteBatch
from tests.cli.log_directories import Opens, open_storage


class Writer:
    """The test's end of it."""

    def __init__(self, said: IO[str], told: IO[str]) -> None:
        self._said = said
        self._told = told

    def begin(self) -> None:
        """Let it write; it is at work when this returns."""
        self._told.write("\n")
        self._told.flush()

    def done(self) -> int:
        """Return the last index, once all is written."""
        return int(self._said.readline())


@contextmanager
def writing(directory: Path, kind: str, *, burst: int) -> Iterator[Writer]:
    """Run it on a log in "lmdb" or "rocksdb"; at the end it must close the log in order."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.cli.writer", directory, kind, str(burst)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield Writer(process.stdout, process.stdin)
            process.stdin.close()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def run(directory: Path, kind: str, burst: int) -> None:
    create: Opens = LmdbStorage.create
    if kind == "rocksdb":
        from raftify.storage.rocksdb import RocksDbStorage  # noqa: PLC0415 - an extra

        create = RocksDbStorage.create
    storage = open_storage(directory, create)
    index = storage.last_index()
    print("open", flush=True)  # noqa: T201 - it is how it speaks to the test
    for _ in sys.stdin:
        for _ in range(burst):
            index += 1
            entry = Entry(term=9, index=index, data=b"live %d" % index)
            storage.write(WriteBatch(entries=[entry]))
        print(index, flush=True)  # noqa: T201 - likewise
    storage.close()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
