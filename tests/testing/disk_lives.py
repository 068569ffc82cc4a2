"""Lives of a store on a simulated disk under faults: `python -m tests.testing.disk_lives 0 100`.

A store in memory takes the same steps. After each the two hold the same; after a crash or an error,
what they held before the step or after it. At the end the disk does something that a sound one
never does, and the store says so, or holds what it held. Ends with the first seed that differs.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from raftify.config import Config
from raftify.errors import StorageDamaged, StorageError, StorageFull
from raftify.storage import MemStorage, StableStorage
from raftify.testing.simulation.disk import SimulatedDisk
from raftify.testing.simulation.disk_hold import ProcessIsDead
from raftify.testing.storage_suite.steps import describe, take_step
from tests.soak.arguments import seeds
from tests.storage.making import IDENTITY, MEMBERS

STEPS = 120


class Life:
    """One disk, its store, and the store in memory beside it."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = Random(f"life {seed}")
        self._disk = SimulatedDisk(Random(seed))
        self._config = Config(entry_cache_bytes=self._random.choice([0, 1500, 1 << 20]))
        self._storage: StableStorage = self._disk.open(self._config)
        self._storage.initialize(IDENTITY, MEMBERS)
        self._model = MemStorage.create()
        self._model.initialize(IDENTITY, MEMBERS)
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Live; raise AssertionError if the store is not what it should be."""
        for step in range(self._seed * 1000, self._seed * 1000 + STEPS):
            self._set_fault()
            self._take(step)
            self._disk.full = self._disk.fail_writes = self._disk.fail_reads = False
        self._spoil()

    def _set_fault(self) -> None:
        disk, random = self._disk, self._random
        fault = random.random()
        if fault < 0.15:
            disk.crash_after(random.randrange(6))
        elif fault < 0.2:
            disk.crash(power_lost=random.random() < 0.5)
            self._storage = disk.open(self._config)
        elif fault < 0.25:
            disk.room_bytes = random.randrange(5000)
        elif fault < 0.3:
            disk.fail_writes = True
        elif fault < 0.33:
            disk.fail_reads = True

    def _take(self, step: int) -> None:
        disk = self._disk
        try:
            take_step(self._storage, step)
        except StorageDamaged as error:
            raise AssertionError(f"step {step}: a sound store called itself damaged") from error
        except StorageError as error:
            self.seen[type(error).__name__] += 1
            disk.full = disk.fail_writes = disk.fail_reads = False
            if isinstance(error, ProcessIsDead):
                self._storage = disk.open(self._config)
                if describe(self._storage) != describe(self._model):
                    take_step(self._model, step)
            elif not isinstance(error, StorageFull) and "Input/output error" not in str(error):
                raise
        else:
            disk.full = disk.fail_writes = disk.fail_reads = False
            take_step(self._model, step)
        assert describe(self._storage) == describe(self._model), f"step {step}"

    def _spoil(self) -> None:
        disk = self._disk
        harm = self._random.choice([disk.tear, disk.flip_bit, disk.return_old])
        what = harm()
        disk.crash()
        try:
            found = describe(disk.open(self._config))
        except StorageDamaged:
            self.seen[f"{harm.__name__} noticed"] += 1
            return
        self.seen[f"{harm.__name__} harmless"] += 1
        assert found == describe(self._model), f"{what} was read as something else"


def main() -> None:
    """Live the seeds; print what was seen."""
    seen: Counter[str] = Counter()
    first, end = seeds("tests.testing.disk_lives", __doc__)
    for seed in range(first, end):
        life = Life(seed)
        try:
            life.run()
        except BaseException:
            print(f"seed {seed}:")  # noqa: T201 - it is a program
            raise
        seen += life.seen
    print(dict(seen))  # noqa: T201 - it is a program


if __name__ == "__main__":
    main()
