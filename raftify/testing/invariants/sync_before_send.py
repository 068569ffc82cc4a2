"""No vote leaves and nothing is acknowledged before it is durable here."""

from __future__ import annotations

from raftify.core.types import Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView

_FROM_LEADERS = frozenset({MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT})


class SyncBeforeSend(Invariant):
    """Raft paper, Figure 2 ("updated on stable storage before responding to RPCs"), thesis 3.8.

    Compares the message that leaves with what a crash at this moment would leave. A disk that is
    already in a later term may show another vote or log: this term's promises bind nobody then.
    """

    cites = "Raft paper, Figure 2"

    def on_send(self, node: NodeView, message: Message) -> None:
        """Compare the message with the disk."""
        kind = message.msg_type
        if kind is MessageType.REQUEST_VOTE:
            self._vote(node, message.term, node.id, "asks for votes")
        elif kind is MessageType.REQUEST_VOTE_RESPONSE and not message.reject:
            self._vote(node, message.term, message.to, f"votes for {message.to}")
        elif kind is MessageType.APPEND_RESPONSE and not message.reject:
            self._append(node, message)
        elif kind in _FROM_LEADERS and node.disk.hard_state.term < message.term:
            self.fail(
                f"node {node.id} leads in term {message.term}, but its disk knows only term "
                f"{node.disk.hard_state.term}: after a crash it could lead this term twice"
            )

    def _vote(self, node: NodeView, term: int, candidate: int, what: str) -> None:
        state = node.disk.hard_state
        if state.term < term or (state.term == term and state.vote != candidate):
            self.fail(
                f"node {node.id} {what} in term {term}, but its disk has term {state.term} with "
                f"a vote for {state.vote}"
            )

    def _append(self, node: NodeView, message: Message) -> None:
        index, core, disk = message.index, node.raft, node.disk
        term = disk.hard_state.term
        if term < message.term:
            self.fail(
                f"node {node.id} acknowledges {index} in term {message.term}, but its disk knows "
                f"only term {term}"
            )
        if term > message.term or index <= disk.snapshot_index:
            return
        durable = disk.term(index) if index else 0
        here = durable
        if core is not None and core.term == message.term:
            # 0: a snapshot that is still on its way to the disk took its place.
            here = core.raft_log.term(index) or durable
        if durable is None or durable != here:
            self.fail(
                f"node {node.id} acknowledges {index} (term {here}) in term {message.term}, but "
                f"its disk has term {durable} there and ends at {disk.last_index}"
            )
