"""Nobody refuses its vote to a candidate that it must elect: else nobody may ever be elected."""

from __future__ import annotations

from raftify.core.terms import CAMPAIGN_TRANSFER
from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class RefusesWithReason(Invariant):
    """Raft paper §5.2 and §5.4.1: who has given no vote in a term gives it to a candidate whose log
    is at least as up-to-date as its own.

    Priority is the one exception: where both logs end alike, who can be elected itself may go
    first, but not before whom the leader has chosen (thesis 3.10). Only refusals of voters that
    have known no leader in the term are judged, and no pre-votes. A refusal leaves only when it is
    durable, and who refused may know by then that it was removed.
    """

    cites = "Raft paper §5.2, §5.4.1"

    def __init__(self) -> None:
        self._asked: dict[tuple[int, int], Message] = {}
        self._led: dict[int, int] = {}
        #: Since which term a node knows that it cannot be elected.
        self._barred: dict[int, int] = {}

    def on_step(self, node: NodeView) -> None:
        """Remember in which terms a leader was known, and who cannot be elected."""
        core = node.raft
        if core is None:
            return
        if core.leader_id:
            self._led[node.id] = core.term
        if core.promotable:
            self._barred.pop(node.id, None)
        else:
            self._barred.setdefault(node.id, core.term)

    def on_send(self, node: NodeView, message: Message) -> None:
        """Remember what candidates have, and compare when one is refused."""
        if message.msg_type is MessageType.REQUEST_VOTE:
            self._asked[node.id, message.term] = message
        elif message.msg_type is MessageType.REQUEST_VOTE_RESPONSE and message.reject:
            asked = self._asked.get((message.to, message.term))
            if asked is not None:
                self._refuse(node, asked)

    def _refuse(self, node: NodeView, asked: Message) -> None:
        core = node.raft
        if core is None or core.term != asked.term or core.vote or core.leader_id:
            return
        if self._led.get(node.id) == core.term:
            return
        own = (core.raft_log.last_term(), core.raft_log.last_index())
        theirs = (asked.log_term, asked.index)
        chosen = asked.context == CAMPAIGN_TRANSFER
        barred = self._barred.get(node.id, core.term) < core.term
        if theirs > own or (theirs == own and (chosen or barred)):
            self.fail(
                f"node {node.id}, whose log ends at {own[1]} (term {own[0]}), refused its vote in "
                f"term {core.term} to node {asked.from_}, whose log ends at {theirs[1]} (term "
                f"{theirs[0]}), and has given it to nobody"
            )
