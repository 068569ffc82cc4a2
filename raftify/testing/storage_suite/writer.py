"""The process that is killed: takes steps on a store, and says after each that it is durable.

    python -m raftify.testing.storage_suite.writer '{"directory": ..., ...}'

It takes the steps from `first_seed` up to `pause_before`, and then waits to be killed; without end
if that is null.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from raftify.testing.storage_suite.base import Cases
from raftify.testing.storage_suite.steps import take_step
from raftify.testing.suites.elsewhere import find


def main(told: str) -> None:
    """Do what `told`, the JSON that `killing` makes, says."""
    order = json.loads(told)
    suite: type[Cases] = find(order["suite"])
    storage = suite().open(Path(order["directory"]))
    seed = order["first_seed"]
    while order["pause_before"] is None or seed < order["pause_before"]:
        take_step(storage, seed)
        os.write(1, b"%d\n" % seed)
        seed += 1
    os.write(1, b"waiting\n")
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
