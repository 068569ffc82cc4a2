"""Storage under crashes and damage, for as long as one likes: `python -m tests.soak.storage 100`.

Each seed is a life of a log that is killed at system calls, one whose power is cut at pages, and
damage of every kind; and a simulated disk under every fault. Each part is a process of its own, so
that one that LMDB ends is counted as failed, too. Prints a line a seed; ends with 1 if one failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from tests.soak.arguments import count, natural
from tests.storage.damage import KINDS

#: How many damages of each kind are tried for one seed.
_DAMAGES = 20
_SECONDS = 600


def commands(directory: str, seed: int) -> Iterator[list[str]]:
    """Yield what is run for one seed."""
    for program in ("kill_points", "page_images"):
        yield [f"tests.storage.{program}", f"{directory}/{program}", str(seed), str(seed + 1)]
    for kind in KINDS:
        first = seed * _DAMAGES
        where = f"{directory}/{kind.replace(' ', '_')}"
        yield ["tests.storage.damage", where, kind, str(first), str(first + _DAMAGES)]
    yield ["tests.testing.disk_lives", str(seed * 20), str(seed * 20 + 20)]


def main() -> int:
    """Run the seeds; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.storage", description=__doc__)
    parser.add_argument("seeds", type=count, nargs="?", default=20, help="how many")
    parser.add_argument("first", type=natural, nargs="?", default=0, help="the first seed")
    arguments = parser.parse_args()
    failed = []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            for command in commands(directory, seed):
                done = subprocess.run(
                    [sys.executable, "-m", *command],
                    capture_output=True,
                    text=True,
                    timeout=_SECONDS,
                    check=False,
                )
                if done.returncode:
                    failed.append(seed)
                    print(f"python -m {' '.join(command)} ended with {done.returncode}:")  # noqa: T201 - it is a program
                    print(done.stdout + done.stderr, flush=True)  # noqa: T201 - it is a program
        word = "FAILED" if seed in failed else "ok"
        print(f"seed {seed}: {word} in {time.monotonic() - began:.1f} s", flush=True)  # noqa: T201 - it is a program
    print(f"failed: {sorted(set(failed)) or 'none'}")  # noqa: T201 - it is a program
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
