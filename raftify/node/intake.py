"""Takes proposals and reads into the core, many at a time, and knows who waits for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import Entry, Role
from raftify.errors import NodeStopped, NotLeader, Overloaded, RaftifyError, Rejected
from raftify.node.inbox import Inbox, Proposal
from raftify.node.waiters import EntryWaiters, ReadWaiters

#: Proposals taken in one turn, so that heartbeats get theirs in between.
PROPOSALS_PER_TURN = 4096


class Intake:
    """One step of each turn of the core's task.

    `on_sent` is called when entries went to all followers; `not_leader` makes the answer to those
    who must ask elsewhere.
    """

    def __init__(
        self,
        *,
        raw: RawNode,
        config: Config,
        inbox: Inbox,
        on_sent: Callable[[], None],
        not_leader: Callable[[], NotLeader],
    ) -> None:
        self._raw = raw
        self._inbox = inbox
        self._on_sent = on_sent
        self._not_leader = not_leader
        self._reads_limit = config.inbox_limit
        self._max_uncommitted_bytes = config.raft_config.max_uncommitted_size
        self._new_reads: list[tuple[asyncio.Future[int], float]] = []
        self.proposals: EntryWaiters[bytes] = EntryWaiters("proposal")
        self.reads = ReadWaiters()

    def take(self) -> None:
        """Bring what waits before the core."""
        self._take_proposals()
        self._take_reads()

    def read(self, future: asyncio.Future[int], deadline: float) -> None:
        """Ask for a read index; all reads of a turn share one round.

        Raises:
            Overloaded: too many wait already.
            NodeStopped: the node runs no more.
        """
        self._inbox.check_open()
        if len(self._new_reads) + len(self.reads) >= self._reads_limit:
            raise Overloaded(f"{self._reads_limit} reads wait already; slow down and repeat")
        self._new_reads.append((future, deadline))
        self._inbox.wake()

    def expire(self, now: float) -> None:
        """Fail those whose deadline has passed."""
        self.proposals.expire(now)
        self.reads.expire(now)

    def fail_everything(self, make_error: Callable[[], RaftifyError]) -> None:
        """Resolve whoever waits; called when the node ends."""
        for proposal in self._inbox.proposals:
            fail(proposal.future, make_error())
        self._inbox.proposals.clear()
        for future, _ in self._new_reads:
            fail(future, make_error())
        self._new_reads.clear()
        self.proposals.fail_all(make_error)
        self.reads.fail_all(make_error)

    def _take_proposals(self) -> None:
        waiting = self._inbox.proposals
        if not waiting:
            return
        if self._raw.raft.role is not Role.LEADER:
            while waiting:
                fail(waiting.popleft().future, self._not_leader())
            return
        taken = [waiting.popleft() for _ in range(min(len(waiting), PROPOSALS_PER_TURN))]
        if waiting:
            self._inbox.wake()
        live = [p for p in taken if not p.future.done()]
        self._propose([p for p in live if not p.term or self._is_of_this_term(p)])

    def _is_of_this_term(self, proposal: Proposal) -> bool:
        term = self._raw.raft.term
        if proposal.term == term:
            return True
        fail(
            proposal.future,
            NotLeader(
                f"the proposal is for the leader of term {proposal.term}, and the term is {term} "
                "by now; nothing was appended"
            ),
        )
        return False

    def _propose(self, proposals: list[Proposal]) -> None:
        if not proposals:
            return
        size = sum([len(p.data) for p in proposals])
        if size > self._max_uncommitted_bytes and len(proposals) > 1:
            # The core lets one batch in whatever its size, if nothing else is uncommitted.
            self._propose_halves(proposals)
            return
        try:
            term, index = self._propose_entries(proposals)
        except Overloaded as error:
            if len(proposals) == 1:
                fail(proposals[0].future, error)
                return
            # All or nothing was too much; part of it may fit.
            self._propose_halves(proposals)
            return
        except Rejected as error:
            for proposal in proposals:
                fail(proposal.future, copy_of(error))
            return
        self._on_sent()
        add = self.proposals.add
        for proposal in proposals:
            add(term=term, index=index, future=proposal.future, deadline=proposal.deadline)
            index += 1

    def _propose_entries(self, proposals: list[Proposal]) -> tuple[int, int]:
        try:
            return self._raw.propose_batch(
                [Entry(data=p.data, context=p.context) for p in proposals]
            )
        except Rejected:
            raise
        except Exception as error:
            # The node ends with it, and nobody but this frame knows of these callers.
            for proposal in proposals:
                fail(proposal.future, NodeStopped(f"the node stopped because of: {error}"))
            raise

    def _propose_halves(self, proposals: list[Proposal]) -> None:
        half = len(proposals) // 2
        self._propose(proposals[:half])
        self._propose(proposals[half:])

    def _take_reads(self) -> None:
        if not self._new_reads:
            return
        waiting, self._new_reads = self._new_reads, []
        if self._raw.raft.role is not Role.LEADER:
            for future, _ in waiting:
                fail(future, self._not_leader())
            return
        self._raw.read_index(self.reads.open_round(waiting))


def fail(future: asyncio.Future[bytes] | asyncio.Future[int], error: RaftifyError) -> None:
    """Set `error` unless the caller has gone."""
    with suppress(asyncio.InvalidStateError):
        future.set_exception(error)


def copy_of(error: Rejected) -> Rejected:
    """Return an equal exception: one raised in many tasks would gather all their tracebacks."""
    if isinstance(error, NotLeader):
        return NotLeader(str(error), leader_id=error.leader_id, leader_address=error.leader_address)
    return type(error)(*error.args)
