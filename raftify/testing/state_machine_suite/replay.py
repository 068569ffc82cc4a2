"""Another process applies the same entries: its hashes, and so the order of its sets, are others.

    python -m raftify.testing.state_machine_suite.replay '{"suite": ..., "entries": [...]}'

Prints, as JSON, the answers and then the state.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode

from raftify.testing.state_machine_suite.suite import StateMachineSuite, apply_all
from raftify.testing.suites.elsewhere import find


def main(told: str) -> None:
    """Do what `told` says."""
    order = json.loads(told)
    cls: type[StateMachineSuite] = find(order["suite"])
    suite = cls()
    machine = suite.make()
    answers = apply_all(machine, [b64decode(entry) for entry in order["entries"]])
    found = [*answers, suite.state_of(machine)]
    sys.stdout.write("\n" + json.dumps([b64encode(data).decode() for data in found]))


if __name__ == "__main__":
    main(sys.argv[1])
