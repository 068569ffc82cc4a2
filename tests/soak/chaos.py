"""Many simulated clusters under faults: `python -m tests.soak.chaos 0 200` runs these seeds.

Prints one line a seed; ends with 1 if one of them failed. A seed always gives the same run.
"""

from __future__ import annotations

import asyncio
import sys
import time
import traceback

from tests.client.virtual_time import VirtualTimeLoop
from tests.failures.chaos import Chaos


def main() -> int:
    first, end = int(sys.argv[1]), int(sys.argv[2])
    failed = []
    for seed in range(first, end):
        chaos = Chaos(seed, size=3 if seed % 3 else 5)
        began = time.monotonic()
        try:
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                runner.run(chaos.run())
        except Exception:  # noqa: BLE001 - whatever it is, the seed is what to report
            traceback.print_exc()
            failed.append(seed)
        seconds = time.monotonic() - began
        word = "FAILED" if seed in failed else "ok"
        print(  # noqa: T201 - it is a program
            f"seed {seed}: {word} in {seconds:.1f} s, {len(chaos.acknowledged)} acknowledged, "
            f"{len(chaos.unknown)} unknown, {len(chaos.refused)} refused; {dict(chaos.errors)}",
            flush=True,
        )
    print(f"failed: {failed or 'none'}")  # noqa: T201 - it is a program
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
