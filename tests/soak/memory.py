"""A long life of three real nodes: `python -m tests.soak.memory 200000` proposes that many entries.

Prints memory, descriptors, tasks, threads and the log's size after each tenth; ends with 1 if they
grow from the third tenth on, by which time caches and snapshots have their size.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import threading
from pathlib import Path

from tests.cluster.local_cluster import LocalCluster
from tests.cluster.machines import Tally

AT_ONCE = 500


class Counter(Tally):
    """Keeps only a number, so that what grows is not the state itself."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def apply(self, data: bytes) -> bytes:
        self.number += 1
        return b"%d" % self.number

    async def snapshot(self) -> bytes:
        return b"%d" % self.number

    async def restore(self, data: bytes) -> None:
        self.number = int(data)


def measure(directory: Path) -> dict[str, int]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
    return {
        "memory_mib": int(resident.split()[1]) // 1024,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "log_mib": sum(path.stat().st_blocks * 512 for path in directory.rglob("*.mdb")) >> 20,
    }


async def live(directory: Path, count: int) -> list[dict[str, int]]:
    found = []
    settings = {
        "snapshot_entries": 5_000,
        "snapshot_keep_entries": 500,
        "entry_cache_bytes": 4 << 20,
    }
    async with LocalCluster(directory, Counter, **settings) as cluster:
        await cluster.grow_to(3)
        node = (await cluster.leader()).raft
        for _ in range(10):
            for _ in range(max(count // 10 // AT_ONCE, 1)):
                await asyncio.gather(*(node.propose(b"x" * 200) for _ in range(AT_ONCE)))
            await cluster.settle()
            found.append(measure(directory))
            print(found[-1], flush=True)  # noqa: T201 - it is a program
    return found


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(live(Path(name), count))
    slack = {"memory_mib": 12, "descriptors": 6, "tasks": 6, "threads": 3, "log_mib": 12}
    grown = {
        what: (found[2][what], found[-1][what])
        for what, more in slack.items()
        if found[-1][what] > found[2][what] + more
    }
    print(f"grown: {grown or 'nothing'}")  # noqa: T201 - it is a program
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
