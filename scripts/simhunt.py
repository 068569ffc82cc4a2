"""Run storms until one fails; started by `simmutants` in a copy of the package with a fault in it.

    python -m scripts.simhunt FIRST COUNT SECONDS

Prints one line of JSON: what was found, or null if all COUNT seeds from FIRST on passed. A seed
that takes more than SECONDS of processor time counts as failed: it would not end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from types import FrameType

from raftify.errors import RaftifyError
from raftify.testing.history import Undecided
from raftify.testing.storm import run_storm


def main(first: int, count: int, seconds: int) -> None:
    """Hunt, and print what was found."""
    for seed in range(first, first + count):

        def give_up(_signal: int, _frame: FrameType | None, seed: int = seed) -> None:
            # No exception: whatever runs just now might catch it.
            what = f"not within {seconds} s of processor time"
            print(json.dumps({"seed": seed, "kind": "no end", "what": what}))
            sys.stdout.flush()
            os._exit(0)

        signal.signal(signal.SIGVTALRM, give_up)
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        try:
            run_storm(seed)
        except Undecided:
            continue  # what could not be judged was not found
        except Exception as error:  # noqa: BLE001 - anything at all shows the fault
            print(json.dumps({"seed": seed, **described(error)}))
            return
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print("null")


def described(error: BaseException) -> dict[str, str]:
    """Return by what the fault was caught: an invariant's name, or the kind of error."""
    text = str(error).strip() or "".join(traceback.format_exception_only(error)).strip()
    kind = getattr(error, "name", "") or type(error).__name__
    if isinstance(error, RaftifyError):
        kind = f"the node itself: {type(error).__name__}"
    trace = "".join(traceback.format_exception(error))
    return {"kind": str(kind), "what": text.splitlines()[0][:300], "trace": trace[-3000:]}


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
