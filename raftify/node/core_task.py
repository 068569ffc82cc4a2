"""The task that owns the core: takes the inbox, steps RawNode, and does what its Readies ask.

Nobody else touches RawNode. A turn never waits: writing, sending, applying happen elsewhere, and
word of them comes back through the inbox.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.ready import Ready
from raftify.core.types import Message, MessageType, Role, Snapshot
from raftify.errors import (
    LeadershipLost,
    MalformedMessage,
    NodeStopped,
    NotLeader,
    RaftifyError,
    Rejected,
)
from raftify.node.acknowledging import admit_no_more
from raftify.node.applier import Applier
from raftify.node.commit_notice import CommitNotice
from raftify.node.contacts import Contacts
from raftify.node.core_storage import CoreStorage
from raftify.node.delivery import Delivery
from raftify.node.inbox import Inbox
from raftify.node.intake import Intake
from raftify.node.local_state import LocalState
from raftify.node.persister import Persister
from raftify.node.switches import Switches
from raftify.node.whereabouts import Whereabouts
from raftify.peers import Membership
from raftify.records import SnapshotDescriptor
from raftify.storage.base import StableStorage, WriteBatch
from raftify.transport.interface import Transport

#: How long a turn goes on with messages, and then with Readies, in seconds.
TURN_SECONDS = 0.02
#: Ticks, more than there will be.
NEVER = 1 << 62
#: What raft-rs's followers pass on to their leader. Nodes of ours ask the leader by calls of their
#: own, which bring an answer and are checked there; in a message nobody would check them.
FORWARDED = frozenset(
    {
        MessageType.PROPOSE,
        MessageType.READ_INDEX,
        MessageType.READ_INDEX_RESP,
        MessageType.TRANSFER_LEADER,
    }
)


class _Held(NamedTuple):
    """What waits for Ready `number` to be durable: messages, a restore, word of the membership."""

    number: int
    messages: list[Message]
    snapshot: Snapshot | None
    membership: Membership | None


class CoreTask:
    """One turn after the other; see `run`."""

    def __init__(
        self,
        *,
        raw: RawNode,
        config: Config,
        state: LocalState,
        storage: StableStorage,
        core_storage: CoreStorage,
        inbox: Inbox,
        transport: Transport,
        whereabouts: Whereabouts,
        logger: logging.Logger,
    ) -> None:
        self._raw = raw
        self._config = config
        self._state = state
        self._storage = storage
        self._core_storage = core_storage
        self._inbox = inbox
        self._transport = transport
        self._whereabouts = whereabouts
        self._logger = logger
        self._held: deque[_Held] = deque()
        self._persisted_number = 0
        self._campaign_wanted = False
        self._notice = CommitNotice(config.commit_notice_delay, self._tell_commit)
        self.contacts = Contacts()
        self.switches = Switches()
        self.delivery = Delivery(raw, state.membership, logger)
        self.intake = Intake(
            raw=raw,
            config=config,
            inbox=inbox,
            on_sent=lambda: self._notice.on_sent(raw.raft.raft_log.committed),
            not_leader=self.not_leader,
        )
        self.persister: Persister
        self.applier: Applier

    def attach(self, persister: Persister, applier: Applier) -> None:
        """Name those who do the work; they in turn report to this task."""
        self.persister = persister
        self.applier = applier

    # -- reports, from other tasks ----------------------------------------------------------

    def on_persisted(self, number: int) -> None:
        self._persisted_number = number
        self._inbox.wake()

    # -- the loop ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Take turns for ever. Raises what breaks the core."""
        self._turn()
        while True:
            await self._inbox.wait()
            self._turn()

    def _turn(self) -> None:
        self._take_messages()
        self._take_calls()
        self.intake.take()
        self._take_tick()
        self._do_readies()
        self._publish()

    def _do_readies(self) -> None:
        """Do what the core wants done, or, after a restart with a long log, the first of it.

        Each Ready brings a page of committed entries. The rest waits for the next turn, so that
        peers are answered in between.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + TURN_SECONDS
        while True:
            self._take_persisted()
            if not self._raw.has_ready():
                break
            if loop.time() >= until:
                self._inbox.wake()
                return
            self._handle_ready(self._raw.ready())
        if self._campaign_wanted and not self._held:
            self._campaign_wanted = False
            self._campaign()

    def campaign_soon(self) -> None:
        """Campaign once everything committed has been delivered: a change among it would forbid it.

        For the start of a node that has nobody to wait for.
        """
        self._campaign_wanted = True
        self._inbox.wake()

    def _campaign(self) -> None:
        blocker = self._raw.campaign_blocker()
        if blocker is not None:
            self._logger.info("node %d does not campaign: %s", self._state.node_id, blocker)
            return
        self._raw.campaign()
        self._inbox.wake()

    def _take_messages(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        until = now + TURN_SECONDS
        waiting = self._inbox.messages
        while waiting:
            if (now := loop.time()) >= until:
                self._inbox.wake()
                break
            message = waiting.popleft()
            self.contacts.note(message.from_, now)
            if message.msg_type in FORWARDED:
                self._logger.debug("ignored a forwarded %s", message.msg_type.name)
                continue
            try:
                self._raw.step(message)
                if message.msg_type is MessageType.SNAPSHOT and not self._state.origin:
                    self._bind()
            except (Rejected, MalformedMessage) as error:
                # Late words of a node that left, or of a forwarded request: Raft goes on without.
                self._logger.debug("ignored %s: %s", message.msg_type.name, error)
        self._inbox.note_space()

    def found(self, first: Snapshot) -> None:
        """Begin with the membership in `first`, and campaign once it is durable.

        Raises:
            ConfChangeRejected: this node has a log.
        """
        self._raw.found(first)
        self._bind()
        self.campaign_soon()

    def _bind(self) -> None:
        """If the core has just taken its first snapshot, belong to that cluster and no other.

        Whoever called before was let in, for this node could be anybody's. What such callers sent
        and was not looked at yet may be of another cluster, and must not mix with this one.
        """
        snapshot = self._raw.snap()
        if snapshot is not None:
            self._state.ticket_origin = SnapshotDescriptor.decode(snapshot.data).membership.origin
            self._inbox.forget_messages()

    def _take_calls(self) -> None:
        calls = self._inbox.calls
        while calls:
            try:
                calls.popleft()()
            except Rejected as error:
                self._logger.debug("ignored a report: %s", error)

    def _take_tick(self) -> None:
        # After the messages: a heartbeat that waited in the queue of a starved process must count
        # before the timer that it was to reset.
        if not self._inbox.tick_due:
            return
        self._inbox.tick_due = False
        now = asyncio.get_running_loop().time()
        self.intake.expire(now)
        self.delivery.waiters.expire(now)
        self._watch_disk(now)
        self._tick()

    def _tick(self) -> None:
        raft, switches = self._raw.raft, self.switches
        leads = raft.role is Role.LEADER
        if not switches.tick:
            return
        if leads and not switches.heartbeat:
            # Never due; the leader's other duties go on.
            raft.heartbeat_elapsed = -1
        if not switches.elect:
            # Time goes on, so that the lease of a leader that is gone ends.
            raft.randomized_election_timeout = NEVER
        elif raft.randomized_election_timeout == NEVER:
            raft.reset_randomized_election_timeout()
        self._raw.tick()

    def _watch_disk(self, now: float) -> None:
        # Heartbeats do not need the disk, so a leader whose disk hangs would stay in office
        # and commit nothing (hashicorp/raft#503).
        stalled = self.persister.stalled_for(now)
        if stalled > self._config.disk_stall_timeout and self._raw.raft.role is Role.LEADER:
            self._logger.error(
                "a disk write has been under way for %.1f s: giving up leadership", stalled
            )
            self._raw.step_down()

    def _tell_commit(self) -> None:
        """Have the next turn send heartbeats, which carry the commit index."""
        with suppress(NodeStopped):
            self._inbox.put_call(self._raw.ping)

    def not_leader(self) -> NotLeader:
        leader_id = self._raw.raft.leader_id
        return NotLeader(
            leader_id=leader_id, leader_address=self.delivery.membership.address_of(leader_id)
        )

    # -- Readies ----------------------------------------------------------------------------

    def _handle_ready(self, ready: Ready) -> None:
        if ready.messages:
            self._transport.send(ready.messages)
        for read_state in ready.read_states:
            self.intake.reads.resolve(read_state.request_ctx, read_state.index)
        for context in ready.dropped_reads:
            self.intake.reads.drop(context, self.not_leader)
        membership = self._begin_snapshot(ready.snapshot)
        if ready.committed_entries:
            membership = self.delivery.deliver(ready.committed_entries) or membership
        if membership is not None:
            self._adopt(membership)
        snapshot = None if ready.snapshot.is_empty() else ready.snapshot
        committed = ready.committed_entries
        delivered = committed[-1].index if committed else self._state.delivered
        if ready.persisted_messages and self._raw.raft.raft_log.committed > delivered:
            admit_no_more(delivered, ready.persisted_messages)
        self._held.append(_Held(ready.number, ready.persisted_messages, snapshot, membership))
        self._core_storage.begin_write(ready.number, snapshot, ready.entries)
        self.persister.submit(
            ready.number,
            WriteBatch(
                snapshot=snapshot,
                entries=ready.entries,
                hard_state=ready.hs,
                membership=membership,
                must_sync=ready.must_sync or membership is not None,
            ),
        )
        self._raw.advance_append_async(ready)
        if committed:
            self.applier.offer(committed)
            self._delivered_to(delivered)

    def _begin_snapshot(self, snapshot: Snapshot) -> Membership | None:
        if snapshot.is_empty():
            return None
        membership = SnapshotDescriptor.decode(snapshot.data).membership
        self.delivery.replace(membership)
        self.applier.announce_snapshot(snapshot.metadata.index)
        return membership

    def _adopt(self, membership: Membership) -> None:
        self._state.membership = membership
        self._whereabouts.publish()

    def _delivered_to(self, index: int) -> None:
        self._state.delivered = max(self._state.delivered, index)
        self._raw.advance_apply_to(index)
        self._let_apply()

    def _let_apply(self) -> None:
        # Entries may be committed before they are durable here, where the option allows it.
        self.applier.advance_to(min(self._state.delivered, self._storage.last_index()))

    def _take_persisted(self) -> None:
        number = self._persisted_number
        if not self._held or self._held[0].number > number:
            return
        self._core_storage.end_write(number)
        self._raw.on_persist_ready(number)
        while self._held and self._held[0].number <= number:
            _, messages, snapshot, membership = self._held.popleft()
            if membership is not None:
                self._state.durable_membership = membership
            if snapshot is not None:
                self.applier.restore(snapshot)
                self._delivered_to(snapshot.metadata.index)
            if messages:
                self._transport.send(messages)
        self._let_apply()

    # -- what others see --------------------------------------------------------------------

    def _publish(self) -> None:
        raft, state = self._raw.raft, self._state
        if raft.role is not state.role or raft.leader_id != state.leader_id:
            self._on_soft_state(raft.role, raft.leader_id)
        state.term = raft.term
        if raft.raft_log.committed > state.committed:
            state.committed = raft.raft_log.committed
            if raft.role is Role.LEADER:
                self._notice.on_commit(state.committed)
        state.notify()

    def _on_soft_state(self, role: Role, leader_id: int) -> None:
        state, term = self._state, self._raw.raft.term
        was_leader = state.role is Role.LEADER
        if leader_id != state.leader_id or role is Role.LEADER or was_leader:
            self._logger.info(
                "node %d is %s in term %d; %s",
                state.node_id,
                role.name.lower().replace("_", "-"),
                term,
                f"node {leader_id} leads" if leader_id else "nobody leads",
            )
        state.role, state.leader_id = role, leader_id
        if role is Role.LEADER and not was_leader:
            self.contacts.take_office(asyncio.get_running_loop().time())
        if was_leader and role is not Role.LEADER:
            self._lose_leadership(term)

    def _lose_leadership(self, term: int) -> None:
        def lost() -> RaftifyError:
            return LeadershipLost(
                f"node {self._state.node_id} lost leadership (term is now {term}) before the "
                "entry was applied; it may still take effect"
            )

        self.intake.proposals.fail_all(lost)
        self.delivery.fail_waiters(lost)
        self.intake.reads.fail_all(self.not_leader)

    def fail_everything(self, make_error: Callable[[], RaftifyError]) -> None:
        """Resolve whatever waits; called when the node ends."""
        self._notice.close()
        self.intake.fail_everything(make_error)
        self.delivery.fail_waiters(make_error)
