"""The matching engine passes the suite that every state machine can be tried with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from examples.matchengine.flow import order_flow
from examples.matchengine.machine import MatchMachine
from examples.matchengine.questions import encode_question
from raftify.testing import StateMachineSuite


class TestMatchMachine(StateMachineSuite):
    def make(self) -> MatchMachine:
        return MatchMachine()

    def entries(self) -> Sequence[bytes]:
        return [command.encode() for command in itertools.islice(order_flow(11), 60)]

    def queries(self) -> Sequence[bytes]:
        return [
            encode_question("book", "BTC-USD", {"depth": "3"}),
            encode_question("order", "o-1", {}),
            encode_question("trades", "", {}),
            encode_question("symbols", "", {}),
        ]
