"""A node votes for one candidate in a term, across restarts too."""

from __future__ import annotations

from raftify.core.types import INVALID_ID, Message, MessageType
from raftify.testing.invariants.base import Invariant
from raftify.testing.simulation.observer import NodeView


class OneVoteATerm(Invariant):
    """Raft paper §5.2: at most one candidate in a given term, first come first served.

    In memory a vote changes only with the term; what a node said, by granting a vote or by asking
    for votes, holds for ever.
    """

    cites = "Raft paper §5.2"
    judges_changes_alone = True

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], int] = {}
        self._held: dict[int, tuple[int, int, int]] = {}

    def on_step(self, node: NodeView) -> None:
        """Compare with the vote that the same process held."""
        core = node.raft
        if core is None:
            return
        held = (node.incarnation, core.term, core.vote)
        before = self._held.get(node.id)
        if before == held:
            return
        self._held[node.id] = held
        if before is not None and before[:2] == held[:2] and before[2] != INVALID_ID:
            self.fail(
                f"node {node.id} changed its vote in term {core.term} from {before[2]} to "
                f"{core.vote}"
            )

    def on_send(self, node: NodeView, message: Message) -> None:
        """Compare with what the node said before."""
        if message.msg_type is MessageType.REQUEST_VOTE:
            candidate = node.id
        elif message.msg_type is MessageType.REQUEST_VOTE_RESPONSE and not message.reject:
            candidate = message.to
        else:
            return
        first = self._said.setdefault((node.id, message.term), candidate)
        if first != candidate:
            self.fail(
                f"node {node.id} voted for {first} and then for {candidate} in term {message.term}"
            )
