"""Who becomes leader was given a vote by a majority of each half of its configuration."""

from __future__ import annotations

from raftify.core.types import Message, MessageType, Role
from raftify.testing.invariants.base import Invariant
from raftify.testing.invariants.majorities import decides
from raftify.testing.simulation.observer import NodeView


class ElectedByMajorities(Invariant):
    """Raft paper §5.2; thesis 4.3: of both halves where they are joint.

    Counts the votes that came to the candidate, and its own. A leader of fewer is wrong at once,
    though only another that is elected meanwhile, or an entry that it does not know, shows it.
    """

    cites = "Raft paper §5.2, thesis 4.3"
    judges_changes_alone = True

    def __init__(self) -> None:
        #: Of each node the process and term in which it was given votes last, and by whom.
        self._votes: dict[int, tuple[tuple[int, int], set[int]]] = {}
        self._led: dict[int, tuple[int, int]] = {}

    def on_receive(self, node: NodeView, message: Message) -> None:
        """Count a vote."""
        core, is_answer = node.raft, message.msg_type is MessageType.REQUEST_VOTE_RESPONSE
        # One of an older term may come late, and is none of this election.
        if core is None or not is_answer or message.reject or message.term != core.term:
            return
        election = (node.incarnation, core.term)
        known = self._votes.get(node.id)
        if known is None or known[0] != election:
            known = self._votes[node.id] = (election, {node.id})
        known[1].add(message.from_)

    def on_step(self, node: NodeView) -> None:
        """Look at every new leader."""
        core = node.raft
        if core is None or core.role is not Role.LEADER:
            return
        election = (node.incarnation, core.term)
        if self._led.get(node.id) == election:
            return
        self._led[node.id] = election
        of, votes = self._votes.get(node.id, (election, set[int]()))
        voters = {node.id, *votes} if of == election else {node.id}
        if not decides(core.tracker.conf, voters):
            self.fail(
                f"node {node.id} became leader of term {core.term} by the votes of "
                f"{sorted(voters)}; the configuration is {core.tracker.conf.to_conf_state()}"
            )
