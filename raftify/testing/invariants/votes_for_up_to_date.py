"""Nobody votes for a candidate whose log is behind its own."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class VotesForUpToDate(Invariant):
    """Raft paper §5.4.1: of two logs that whose last entry is of the later term is more up-to-date,
    of those that end in the same term the longer one.

    A vote for one that is behind is wrong at once, though only the loss of what was committed
    shows it. Compares what the candidate said of its log with the log of who votes for it. A vote
    leaves only when it is durable; who has heard the new leader by then, and has its entries, is
    not judged.
    """

    cites = "Raft paper §5.4.1"

    def __init__(self) -> None:
        self._asked: dict[tuple[int, int], Message] = {}
        #: The last term in which a node knew a leader.
        self._led: dict[int, int] = {}

    def on_step(self, node: NodeView) -> None:
        """Remember in which terms a leader was known."""
        core = node.raft
        if core is not None and core.leader_id:
            self._led[node.id] = core.term

    def on_send(self, node: NodeView, message: Message) -> None:
        """Remember what candidates have, and compare when one is voted for."""
        if message.msg_type is MessageType.REQUEST_VOTE:
            self._asked[node.id, message.term] = message
        elif message.msg_type is MessageType.REQUEST_VOTE_RESPONSE and not message.reject:
            asked = self._asked.get((message.to, message.term))
            if asked is not None:
                self._judge(node, asked)

    def _judge(self, node: NodeView, asked: Message) -> None:
        core = node.raft
        if core is None or core.term != asked.term or self._led.get(node.id) == core.term:
            return
        own = (core.raft_log.last_term(), core.raft_log.last_index())
        if own > (asked.log_term, asked.index):
            self.fail(
                f"node {node.id}, whose log ends at {own[1]} (term {own[0]}), votes in term "
                f"{core.term} for node {asked.from_}, whose log ends at {asked.index} (term "
                f"{asked.log_term})"
            )
