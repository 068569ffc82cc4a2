"""What clients saw, and whether a correct system could have shown it to them.

`Recorder` records a `History`; `check` tells whether it is linearizable by a `Model`; `draw` shows
the part that is not; `checks` has simpler questions. See docs/checking-histories.md.
"""

from raftify.testing.history.history import History
from raftify.testing.history.linearizability import (
    Answer,
    NotLinearizable,
    Part,
    Undecided,
    Verdict,
    check,
)
from raftify.testing.history.model import Effect, Model
from raftify.testing.history.models import FifoQueue, KeyValue
from raftify.testing.history.operation import Operation, Outcome
from raftify.testing.history.picture import draw, save_picture
from raftify.testing.history.recorder import Call, Recorder

__all__ = [
    "Answer",
    "Call",
    "Effect",
    "FifoQueue",
    "History",
    "KeyValue",
    "Model",
    "NotLinearizable",
    "Operation",
    "Outcome",
    "Part",
    "Recorder",
    "Undecided",
    "Verdict",
    "check",
    "draw",
    "save_picture",
]
