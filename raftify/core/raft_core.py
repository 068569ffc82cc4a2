"""The state of one Raft node, and the transitions between its roles.

What a node does with each message is not here: the handlers are free functions in modules of their
own, given to RaftCore in tables (docs/decisions/0001-core-handler-tables.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from raftify.core.confchange import restore as restore_configuration
from raftify.core.config import RaftConfig
from raftify.core.raft_log import RaftLog
from raftify.core.read_only import ReadOnly, ReadState
from raftify.core.storage import Storage
from raftify.core.tracker import ProgressTracker
from raftify.core.types import (
    INVALID_ID,
    INVALID_INDEX,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Role,
    SoftState,
)
from raftify.core.uncommitted import UncommittedState
from raftify.errors import ConfChangeRejected, InvariantViolation

#: Their term is that of the campaign and not always the node's own.
_CAMPAIGN_TYPES: Final = frozenset(
    {
        MessageType.REQUEST_VOTE,
        MessageType.REQUEST_VOTE_RESPONSE,
        MessageType.REQUEST_PRE_VOTE,
        MessageType.REQUEST_PRE_VOTE_RESPONSE,
    }
)
#: Forwarded on behalf of somebody else, whichever term it is.
_TERMLESS_TYPES: Final = frozenset({MessageType.PROPOSE, MessageType.READ_INDEX})


@dataclass(frozen=True, slots=True)
class HandlerTables:
    """What to do with a message: by role and type, after `admit` let a foreign term in.

    `admit` returns False if the message is to be dropped. A type that a role's table lacks is
    ignored by that role.
    """

    by_role: Mapping[Role, Mapping[MessageType, Handler]]
    admit: Callable[[RaftCore, Message], bool]


class RaftCore:
    """raft-rs's Raft: everything a node knows, by raft-rs's names (`role` is its `state`).

    `msgs` collects what is to be sent, `read_states` and `dropped_reads` the fates of reads, until
    RawNode hands them out. Ticks are counted, never timed.
    """

    def __init__(
        self,
        config: RaftConfig,
        storage: Storage,
        random_source: random.Random,
        handlers: HandlerTables,
    ) -> None:
        config.validate()
        self._handlers: Final = handlers
        self._random: Final = random_source
        self.id: Final = config.id
        self.term = 0
        self.vote = INVALID_ID
        self.role = Role.FOLLOWER
        self.leader_id = INVALID_ID
        self.msgs: list[Message] = []
        self.read_states: list[ReadState] = []
        self.dropped_reads: list[bytes] = []
        #: Peers whose entries storage is fetching, and whether to send all of them (see
        #: `RawNode.on_entries_fetched`).
        self.fetching: dict[int, bool] = {}

        self._take_settings(config)
        state = storage.initial_state()
        self.raft_log = RaftLog(storage)
        #: Who is in the cluster and, at a leader, how far each of them is. raft-rs's `prs`.
        self.tracker = ProgressTracker(config.max_inflight_msgs)
        self.read_only = ReadOnly(config.read_only_option)
        self.uncommitted_state = UncommittedState(config.max_uncommitted_size)
        #: A snapshot is wanted that covers this index.
        self.pending_request_snapshot = INVALID_INDEX
        self.lead_transferee: int | None = None
        #: The index of the last configuration change that may not have been applied yet; another
        #: is taken only when it has been. Set conservatively, the entry need not be a change.
        self.pending_conf_index = 0
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_timeout = 0
        self.promotable = False

        self.restore_conf_state(state.conf_state, self.raft_log.last_index())
        if state.hard_state != HardState():
            self.load_state(state.hard_state)
        if config.applied > 0:
            self.raft_log.resume_applied(
                config.applied, may_lead=config.max_apply_unpersisted_log_limit > 0
            )
        self.become_follower(self.term, INVALID_ID)

    def _take_settings(self, config: RaftConfig) -> None:
        self.max_msg_size = config.max_size_per_msg
        self.max_inflight = config.max_inflight_msgs
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.heartbeat_timeout = config.heartbeat_tick
        self.election_timeout = config.election_tick
        self.min_election_timeout, self.max_election_timeout = config.election_tick_range()
        self.skip_bcast_commit = config.skip_bcast_commit
        self.batch_append = config.batch_append
        self.priority = config.priority
        self.max_committed_size_per_ready = config.max_committed_size_per_ready
        self.max_apply_unpersisted_log_limit = config.max_apply_unpersisted_log_limit
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.step_down_on_removal = config.step_down_on_removal
        self.max_waiting_reads = config.max_waiting_reads

    # -- what was stored --------------------------------------------------------------------

    def restore_conf_state(self, conf_state: ConfState, last_index: int) -> None:
        """Make `conf_state` the configuration, as a snapshot or storage has it."""
        try:
            restore_configuration(self.tracker, last_index, conf_state)
        except ConfChangeRejected as error:
            raise InvariantViolation(str(error)) from error
        self.promotable = self.id in self.tracker.conf.voters

    def load_state(self, hard_state: HardState) -> None:
        """Take over a stored hard state."""
        self.raft_log.resume_commit(hard_state.commit)
        self.term = hard_state.term
        self.vote = hard_state.vote

    # -- what it looks like -----------------------------------------------------------------

    @property
    def prs(self) -> ProgressTracker:
        """The tracker, by raft-rs's name."""
        return self.tracker

    def soft_state(self) -> SoftState:
        """Return who leads and what this node is."""
        return SoftState(self.leader_id, self.role)

    def hard_state(self) -> HardState:
        """Return what must be durable."""
        return HardState(self.term, self.vote, self.raft_log.committed)

    def has_pending_conf(self) -> bool:
        """Say whether a configuration change may be under way. False positives are possible."""
        return self.pending_conf_index > self.raft_log.applied

    def should_bcast_commit(self) -> bool:
        """Say whether followers are told of a new commit index by a message of its own."""
        return not self.skip_bcast_commit or self.has_pending_conf()

    def commit_to_current_term(self) -> bool:
        """Say whether an entry of this term has been committed."""
        return self.raft_log.match_term(self.raft_log.committed, self.term)

    def set_randomized_election_timeout(self, ticks: int) -> None:
        """Set after how many ticks without a leader to campaign. For tests."""
        if not self.min_election_timeout <= ticks < self.max_election_timeout:
            raise InvariantViolation(f"election timeout {ticks} is out of the configured range")
        self.randomized_election_timeout = ticks

    # -- messages and time ------------------------------------------------------------------

    def step(self, message: Message) -> None:
        """Take in one message.

        Raises:
            ProposalDropped: it was a proposal and could not be taken.
        """
        term = message.term
        if term not in (0, self.term) and not self._handlers.admit(self, message):
            return
        handler = self._handlers.by_role[self.role].get(message.msg_type)
        if handler is not None:
            handler(self, message)

    def send(self, message: Message) -> None:
        """Queue a message, completing sender, term and priority."""
        if message.from_ == INVALID_ID:
            message.from_ = self.id
        msg_type = message.msg_type
        if msg_type in _CAMPAIGN_TYPES:
            # A refusal has the term of who refuses: 0, if it has just begun.
            if message.term == 0 and not message.reject:
                raise InvariantViolation(f"{msg_type.name} needs the term that it is about")
            if msg_type in (MessageType.REQUEST_VOTE, MessageType.REQUEST_PRE_VOTE):
                message.priority = self.priority
        elif msg_type not in _TERMLESS_TYPES:
            message.term = self.term
        self.msgs.append(message)

    def tick(self) -> bool:
        """Let one tick pass; True if something may have come of it."""
        if self.role is Role.LEADER:
            return self.tick_heartbeat()
        return self.tick_election()

    def tick_election(self) -> bool:
        """Let one tick pass for a node that waits for a leader; it campaigns when it must."""
        self.election_elapsed += 1
        if not self.pass_election_timeout() or not self.promotable:
            return False
        self.election_elapsed = 0
        self.step(Message(MessageType.HUP, from_=self.id))
        return True

    def tick_heartbeat(self) -> bool:
        """Let one tick pass for a leader."""
        self.heartbeat_elapsed += 1
        self.election_elapsed += 1
        acted = False
        if self.election_elapsed >= self.election_timeout:
            self.election_elapsed = 0
            if self.check_quorum:
                acted = True
                self.step(Message(MessageType.CHECK_QUORUM, from_=self.id))
            # A transfer that takes longer is given up, or writes would stay blocked (thesis 3.10).
            self.abort_leader_transfer()
        if self.role is Role.LEADER and self.heartbeat_elapsed >= self.heartbeat_timeout:
            self.heartbeat_elapsed = 0
            acted = True
            self.step(Message(MessageType.BEAT, from_=self.id))
        return acted

    def pass_election_timeout(self) -> bool:
        """Say whether the randomized election timeout has passed."""
        return self.election_elapsed >= self.randomized_election_timeout

    def reset_randomized_election_timeout(self) -> None:
        """Draw a new election timeout, so that elections rarely collide (paper §5.2)."""
        self.randomized_election_timeout = self._random.randrange(
            self.min_election_timeout, self.max_election_timeout
        )

    # -- roles ------------------------------------------------------------------------------

    def reset(self, term: int) -> None:
        """Forget everything that belongs to a term or a role."""
        if self.term != term:
            self.term = term
            self.vote = INVALID_ID
        self.leader_id = INVALID_ID
        self.reset_randomized_election_timeout()
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.abort_leader_transfer()
        self.tracker.reset_votes()
        self.pending_conf_index = 0
        self.fetching.clear()
        for request in self.read_only.drop_all():
            self.drop_read(request)
        self.pending_request_snapshot = INVALID_INDEX
        log = self.raft_log
        next_index = log.last_index() + 1
        for node_id, progress in self.tracker.progress.items():
            progress.reset(next_index)
            if node_id == self.id:
                progress.matched = log.persisted
                progress.committed_index = log.committed

    def become_follower(self, term: int, leader_id: int) -> None:
        """Follow `leader_id`, which is 0 if the leader is not known."""
        pending_request_snapshot = self.pending_request_snapshot
        self.reset(term)
        self.leader_id = leader_id
        self.role = Role.FOLLOWER
        self.pending_request_snapshot = pending_request_snapshot
        # Only a leader knows that what it applies early will not be overwritten here.
        self.raft_log.max_apply_unpersisted_log_limit = 0

    def become_candidate(self) -> None:
        """Raise the term and vote for this node itself (paper §5.2)."""
        self._must_not_lead("candidate")
        self.reset(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE

    def become_pre_candidate(self) -> None:
        """Ask for an election without changing term or vote (thesis 9.6)."""
        self._must_not_lead("pre-candidate")
        self.role = Role.PRE_CANDIDATE
        self.tracker.reset_votes()
        # Else a node in the same plight would be refused for the sake of a leader long gone.
        self.leader_id = INVALID_ID

    def _must_not_lead(self, wanted: str) -> None:
        if self.role is Role.LEADER:
            raise InvariantViolation(f"a leader cannot become {wanted}")

    def become_leader(self) -> None:
        """Lead: append an empty entry of the new term, to commit what came before (paper §8)."""
        if self.role is Role.FOLLOWER:
            raise InvariantViolation("a follower cannot become leader without an election")
        self.reset(self.term)
        self.leader_id = self.id
        self.role = Role.LEADER
        log = self.raft_log
        last_index = log.last_index()
        if last_index != log.persisted:
            # Votes are asked for only once the log is durable, and a candidate's does not grow.
            raise InvariantViolation(
                f"elected with entries up to {last_index} but only {log.persisted} durable: "
                "on_persist_ready must come before the votes it was asked for"
            )
        log.max_apply_unpersisted_log_limit = self.max_apply_unpersisted_log_limit
        self.uncommitted_state.begin_term(last_index)
        own = self.tracker.get(self.id)
        if own is not None:
            own.become_replicate()
        # There may be a change among the entries that are not applied yet; scanning them could be
        # expensive, waiting for them is not.
        self.pending_conf_index = last_index
        self.append_entry([Entry()])

    # -- log --------------------------------------------------------------------------------

    def append_entry(self, entries: list[Entry]) -> bool:
        """Append `entries`, which become this node's own, at the end; False if that is too much.

        They get term and index here. They count for a quorum only once they are durable. Entries
        without data are never too much.
        """
        if not self.uncommitted_state.maybe_increase_uncommitted_size(entries):
            return False
        term = self.term
        index = self.raft_log.last_index()
        for entry in entries:
            index += 1
            entry.term = term
            entry.index = index
        self.raft_log.append(entries)
        return True

    def commit_apply(self, applied: int) -> None:
        """Note that everything up to `applied` was applied; leave a joint configuration if due.

        "Due" is when the entry that entered it (or, for a new leader, everything it began with) is
        applied and the configuration wants to be left by itself (thesis 4.3).
        """
        old_applied = self.raft_log.applied
        self.raft_log.applied_to(applied)
        if (
            self.tracker.conf.auto_leave
            and old_applied <= self.pending_conf_index <= applied
            and self.role is Role.LEADER
        ):
            # Without data it is the change that leaves the joint configuration.
            self.append_entry([Entry(EntryType.CONF_CHANGE_V2)])
            self.pending_conf_index = self.raft_log.last_index()

    def has_conf_change(self, low: int, high: int) -> bool:
        """Say whether one of the entries `[low, high)` changes the configuration."""
        return any(
            entry.entry_type is not EntryType.NORMAL
            for page in self.raft_log.scan(low, high, self.max_committed_size_per_ready)
            for entry in page
        )

    def reduce_uncommitted_size(self, entries: list[Entry]) -> None:
        """Forget committed entries in the account of what waits for its commit."""
        if self.role is Role.LEADER:
            self.uncommitted_state.maybe_reduce_uncommitted_size(entries)

    def uncommitted_size(self) -> int:
        """Return the bytes of proposals that wait for their commit."""
        return self.uncommitted_state.uncommitted_size

    # -- small matters ----------------------------------------------------------------------

    def abort_leader_transfer(self) -> None:
        """Take proposals again."""
        self.lead_transferee = None

    def drop_read(self, request: Message) -> None:
        """Tell whoever asked here that a read will not be answered; others see the new leader."""
        if request.from_ in (INVALID_ID, self.id):
            self.dropped_reads.extend(entry.data for entry in request.entries)


Handler = Callable[[RaftCore, Message], None]
