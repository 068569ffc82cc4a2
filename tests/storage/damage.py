"""Damages the files of a log in many ways, one at a time, and reads what is left.

    python -m tests.storage.damage DIRECTORY KIND FIRST_SEED END_SEED

Prints how often the damage was noticed; ends with the first wrong answer, or as a process if LMDB
trusted what it should not have.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftify.core.types import HardState
from raftify.errors import StorageError
from raftify.storage import LmdbStorage, LogReader, WriteBatch
from raftify.wire.codec import encode_entry
from tests.storage.making import IDENTITY, MEMBERS, make_entries, make_snapshot
from tests.storage.raw import records_of

PAGE: Final = 4096
SECTOR: Final = 512
EVERY_PAGE: Final = "every page"
KINDS: Final = ("flip", "zero", "cut", "swap", "record", "snapshot", "lock files")
#: What in a file an error must name: a page, an entry, a record, or two that contradict each other.
PLACE: Final = re.compile(
    r"page \d+|index \d+|record '|records beside|database of \d+ records|runs of entries"
    r"|the entries from \d+|a key of|committed up to \d+|LMDB file of something else"
)


def make_log(directory: Path) -> list[bytes]:
    """Make a log of runs of all sizes with a snapshot, some pages of it free; return its contents.

    The entries before index 100 are discarded.
    """
    with_pauses = LmdbStorage.create(directory)
    with_pauses.initialize(IDENTITY, MEMBERS)
    index = 2
    for count in [1] * 60 + [50, 200, 1, 700, 3] + [1] * 40 + [2, 2, 900]:
        entries = make_entries(index, index + count, size=random.Random(index).randrange(10, 300))
        index += count
        state = HardState(1, 1, index - 1)
        with_pauses.write(WriteBatch(entries=entries, hard_state=state))
    with_pauses.write(WriteBatch(entries=make_entries(index, index + 1, size=300_000)))
    with_pauses.save_snapshot(make_snapshot(with_pauses, 150, data=os.urandom(50_000)))
    with_pauses.compact(100)
    with_pauses.remember_incarnation(2, "two")
    with_pauses.close()
    return read_log(directory)


def read_log(directory: Path) -> list[bytes]:
    """Return everything in the log, through both doors; raise what they raise."""
    with LogReader.open(directory) as reader:
        damage = next(reader.verify(), None)
        if damage is not None:
            raise damage
        through_reader = [encode_entry(entry) for entry in reader.entries()]
    storage = LmdbStorage.create(directory)
    try:
        entries = storage.entries(storage.first_index(), storage.last_index() + 1)
        with storage.open_snapshot(storage.latest_snapshot()) as file:
            snapshot = file.read()
        contents = [encode_entry(entry) for entry in entries]
        assert contents == through_reader
        rest = (storage.initial_state(), storage.membership(), storage.known_incarnations())
        return [*contents, snapshot, repr(rest).encode()]
    finally:
        storage.close()


@dataclass(frozen=True)
class Harm:
    """What was done to which file; `indices` are those of the record that was hit, if one was."""

    what: str
    file: Path
    indices: range = range(0)

    def is_named_by(self, error: StorageError) -> bool:
        """Say whether an error names the file, and what in it."""
        text = str(error)
        if str(self.file) not in text or (self.file.name == "log.mdb" and not PLACE.search(text)):
            return False
        return not self.indices or any(
            int(number) in self.indices for number in re.findall(r"index (\d+)", text)
        )


def harm_record(directory: Path, rng: random.Random) -> Harm:
    """Flip a bit of one record of the log, wherever there is a copy of it."""
    file = directory / "log.mdb"
    runs = records_of(directory)
    first = rng.choice(sorted(runs))
    record = bytes(runs[first])
    changed = bytearray(record)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    data = file.read_bytes()
    if record not in data:
        raise AssertionError(f"the record at index {first} is not in one piece")
    file.write_bytes(data.replace(record, changed))
    end = min((index for index in runs if index > first), default=1 << 63)
    return Harm(f"record at index {first}", file, range(first, end))


def harm(kind: str, directory: Path, rng: random.Random) -> Harm:
    """Damage a file of the log; return which, and where."""
    if kind == "record":
        return harm_record(directory, rng)
    if kind == "lock files":
        file = directory / rng.choice(["LOCK", "log.mdb-lock"])
        file.write_bytes(rng.choice([b"", bytes(8192), rng.randbytes(100), rng.randbytes(9000)]))
        return Harm(kind, file)
    if kind == "snapshot":
        [file] = (directory / "snapshots").iterdir()
        kind = rng.choice(["flip", "zero", "cut"])
    else:
        file = directory / "log.mdb"
    data = bytearray(file.read_bytes())
    at = rng.randrange(max(len(data) // PAGE, 1)) * PAGE
    if kind == "flip":
        # Half of the flips hit the parts that LMDB itself goes by: heads of pages.
        at += rng.choice([rng.randrange(64), rng.randrange(PAGE)])
        at = min(at, len(data) - 1)
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "zero":
        at += rng.randrange(PAGE // SECTOR) * SECTOR
        end = at + SECTOR * rng.choice([1, 1, 8, 16])
        data[at:end] = bytes(len(data[at:end]))
    elif kind == "cut":
        at = max(at + rng.choice([-1, 0, 1, 16, SECTOR, rng.randrange(PAGE)]), 0)
        del data[at:]
    else:
        # What was meant for one page came to another.
        other = rng.randrange(len(data) // PAGE) * PAGE
        data[at : at + PAGE] = data[other : other + PAGE]
    file.write_bytes(data)
    return Harm(f"{kind} at {at}", file)


def _look(directory: Path, contents: list[bytes], done: Harm) -> bool:
    """Return whether damage is noticed; raise AssertionError for a wrong answer."""
    try:
        found = read_log(directory)
    except StorageError as error:
        if not done.is_named_by(error):
            raise AssertionError(f"{done}: not named in: {error}") from error
        return True
    if found != contents or done.indices:
        raise AssertionError(f"{done} went unnoticed")
    return False


def main() -> None:
    """Try seeds of one kind, or every page."""
    parser = argparse.ArgumentParser(prog="python -m tests.storage.damage", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("kind", choices=[*KINDS, EVERY_PAGE])
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("end", type=int, nargs="?", default=0)
    arguments = parser.parse_args()
    directory, kind, first, end = vars(arguments).values()
    if kind != EVERY_PAGE and end <= first:
        parser.error(f"seeds {first} up to {end} are none")
    sound, damaged = directory / "sound", directory / "damaged"
    contents = make_log(sound)
    data = (sound / "log.mdb").read_bytes()
    tries = range(len(data) // PAGE) if kind == EVERY_PAGE else range(first, end)
    noticed = 0
    for number in tries:
        shutil.rmtree(damaged, ignore_errors=True)
        shutil.copytree(sound, damaged)
        if kind == EVERY_PAGE:
            zeroed = data[: number * PAGE] + bytes(PAGE) + data[(number + 1) * PAGE :]
            (damaged / "log.mdb").write_bytes(zeroed)
            done = Harm(f"page {number}", damaged / "log.mdb")
        else:
            done = harm(kind, damaged, random.Random(number))
        noticed += _look(damaged, contents, done)
    print(noticed)  # noqa: T201 - read by the tests


if __name__ == "__main__":
    main()
