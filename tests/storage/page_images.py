"""Power cuts below LMDB: images of its file as a disk may hold them, opened again one by one.

LMDB writes the pages of a transaction, syncs them, and then writes one meta page by itself, synced
(`test_lmdb_crash.py::test_pages_are_synced_before_the_meta_page_counts`). So an image is made of
the file before a transaction and after it: the pages that changed each there or not, or in part.

    python -m tests.storage.page_images DIRECTORY FIRST_SEED END_SEED

A program, so that what LMDB trusts and should not shows as the end of a process, not of the tests.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from raftify.config import Config
from raftify.errors import NotALogDirectory, StorageDamaged
from raftify.storage import LmdbStorage
from raftify.testing.storage_suite.steps import describe, take_step
from tests.soak.arguments import lives
from tests.storage.damage import PLACE
from tests.storage.making import IDENTITY, MEMBERS

PAGE = 4096
SECTOR = 512
STEPS = 40
#: How many images of each kind are made of each transaction.
EACH = 2


@dataclass(frozen=True)
class Image:
    """A log directory between two transactions."""

    log: bytes
    files: dict[str, bytes]
    held: object

    def page(self, number: int) -> bytes:
        """Return a page; zeros if the file ends before it."""
        return self.log[number * PAGE : (number + 1) * PAGE].ljust(PAGE, b"\0")


def live(directory: Path, seed: int) -> list[Image]:
    """Return the images of a log in the order of its life."""
    storage = LmdbStorage.create(directory)
    storage.initialize(IDENTITY, MEMBERS)
    images = [_image(directory, storage)]
    for step in range(seed * 1000, seed * 1000 + STEPS):
        txn_id = storage._env.last_txn_id()
        take_step(storage, step)
        if storage._env.last_txn_id() == txn_id + 1:
            images.append(_image(directory, storage))
        elif storage._env.last_txn_id() > txn_id + 1:
            raise AssertionError(f"step {step} made several transactions")
    storage.close()
    return images


def _image(directory: Path, storage: LmdbStorage) -> Image:
    files = {path.name: path.read_bytes() for path in (directory / "snapshots").iterdir()}
    return Image((directory / "log.mdb").read_bytes(), files, describe(storage))


class Cuts:
    """The ways in which a disk may be left in the transaction between two images."""

    def __init__(self, images: Sequence[Image], at: int, rng: Random) -> None:
        self._earlier = images[:at]
        self._before, self._after = images[at - 1], images[at]
        self._rng = rng
        count = max(len(self._before.log), len(self._after.log)) // PAGE
        self._changed = [n for n in range(count) if self._before.page(n) != self._after.page(n)]
        self._data = [n for n in self._changed if n > 1]

    def unsynced(self) -> bytes:
        """Power lost before the sync: of the pages, any may be there; the meta page is not."""
        return self._with_pages(self._before.log, self._some_data())

    def torn(self) -> bytes:
        """The same, and one page is there in part."""
        chosen = self._some_data()
        log = bytearray(self._with_pages(self._before.log, chosen))
        number = self._rng.choice(self._data)
        for start in range(number * PAGE, (number + 1) * PAGE, SECTOR):
            if self._rng.random() < 0.5 and len(log) >= start + SECTOR:
                log[start : start + SECTOR] = self._after.log[start : start + SECTOR]
        return bytes(log)

    def synced(self) -> bytes:
        """Power lost behind the meta page."""
        return self._with_pages(self._before.log, self._changed)

    def lied(self) -> bytes:
        """A disk that lies: the meta page is there, some of the pages are not."""
        lost = self._rng.choice(self._data)
        there = [n for n in self._changed if n != lost and (n < 2 or self._rng.random() < 0.6)]
        return self._with_pages(self._before.log, there)

    def old(self) -> bytes:
        """A disk that returns for one page what was there some transactions ago."""
        log = bytearray(self._after.log)
        number = self._rng.randrange(2, len(log) // PAGE)
        log[number * PAGE : (number + 1) * PAGE] = self._rng.choice(self._earlier).page(number)
        return bytes(log)

    def _some_data(self) -> list[int]:
        return [number for number in self._data if self._rng.random() < 0.5]

    def _with_pages(self, log: bytes, numbers: Sequence[int]) -> bytes:
        """Return `log` with so many pages as they are in the image after."""
        if not numbers:
            return log
        changed = bytearray(log.ljust((max(numbers) + 1) * PAGE, b"\0"))
        for number in numbers:
            changed[number * PAGE : (number + 1) * PAGE] = self._after.page(number)
        return bytes(changed)


def look(directory: Path, log: bytes, files: dict[str, bytes]) -> object:
    """Return what a node finds there; None if it finds it damaged."""
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "snapshots").mkdir(parents=True)
    (directory / "log.mdb").write_bytes(log)
    for name, data in files.items():
        (directory / "snapshots" / name).write_bytes(data)
    try:
        storage = LmdbStorage.create(directory, Config(entry_cache_bytes=0))
        try:
            return describe(storage)
        finally:
            storage.close()
    except (StorageDamaged, NotALogDirectory) as error:
        if str(directory / "log.mdb") not in str(error) or not PLACE.search(str(error)):
            raise AssertionError(f"no file, or nothing in it, is named: {error}") from error
        return None


def try_seed(directory: Path, seed: int) -> Counter[str]:
    """Look at many images of one life; return how many were found to be what.

    Raises:
        AssertionError: one was taken for something that it is not.
    """
    shutil.rmtree(directory, ignore_errors=True)
    images = live(directory / "lived", seed)
    rng = Random(seed)
    found: Counter[str] = Counter()
    for at in range(1, len(images)):
        before, after = images[at - 1], images[at]
        # What a new snapshot replaces is removed behind the commit, and it is there before it.
        files = {**before.files, **after.files}
        cuts = Cuts(images, at, rng)
        for cut, right in (
            (cuts.unsynced, before),
            (cuts.torn, before),
            (cuts.synced, after),
            (cuts.lied, after),
            (cuts.old, after),
        ):
            may_be_damaged = cut in (cuts.lied, cuts.old)
            for _ in range(EACH):
                held = look(directory / "cut", cut(), files)
                if held is None and may_be_damaged:
                    found[f"{cut.__name__}: damaged"] += 1
                    continue
                if held != right.held:
                    raise AssertionError(
                        f"seed {seed}, transaction {at}, {cut.__name__}: "
                        + ("a sound log was called damaged" if held is None else "a wrong answer")
                    )
                found[f"{cut.__name__}: right"] += 1
    return found


def main() -> None:
    """Try seeds; print what was found, or end with the first wrong answer."""
    directory, first, end = lives("tests.storage.page_images", __doc__)
    found: Counter[str] = Counter()
    for seed in range(first, end):
        found += try_seed(directory, seed)
    for what, count in sorted(found.items()):
        print(f"{what}: {count}")  # noqa: T201 - read by the tests


if __name__ == "__main__":
    main()
