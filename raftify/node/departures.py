"""What a leader does around a change that takes voters away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from raftify.config import Config
from raftify.core.raw_node import RawNode
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import DeadlineExceeded, LeadershipLost, NodeStopped, RaftifyError
from raftify.node.config_changes import prepare, voters_after, was_removed
from raftify.node.inbox import Inbox
from raftify.node.leader_calls import LeaderCalls
from raftify.node.local_state import LocalState
from raftify.node.succession import Succession
from raftify.peers import Membership

_GOES_ON: Final = (
    "it may still need the vote of whoever it takes away: let that run, it stops by itself once it "
    "is not needed any more; and repeat the call"
)


class Departures:
    """Lets a voter that stays lead before the change, and waits after it until those that stay
    know: whoever asked may then end for good who was taken away (etcd#10563).

    `is_silent(node_id)` says, at a leader, whether a member was not heard of for a while.
    """

    def __init__(
        self,
        *,
        state: LocalState,
        raw: RawNode,
        inbox: Inbox,
        succession: Succession,
        is_silent: Callable[[int], bool],
        config: Config,
    ) -> None:
        self._state = state
        self._raw = raw
        self._inbox = inbox
        self._succession = succession
        self._is_silent = is_silent
        self._ask_every = config.tick_interval
        self._leader: LeaderCalls

    def attach(self, leader: LeaderCalls) -> None:
        """Name who finds the leader; it in turn calls this node where that leads."""
        self._leader = leader

    def takes_office_away(self, change: ConfChangeV2, membership: Membership) -> bool:
        """Say whether this node leads, and `change` is to take its vote away: not if the core will
        refuse it, as any change but the empty one while the configuration is joint."""
        return (
            self._state.is_leader
            and not (change.changes and membership.conf_state.voters_outgoing)
            and self._state.node_id not in voters_after(change, membership)
            and prepare(change, membership) is not None
        )

    async def hand_over(
        self, change: ConfChangeV2, membership: Membership, *, timeout: float
    ) -> None:
        """Let a voter that stays lead, before `change` takes this leader out of office.

        It would be gone before the others are sure to know that the change is committed; of two
        voters the one that is left could then not be elected.
        """
        among = voters_after(change, membership)
        await self._succession.hand_over_once(timeout=timeout, among=among)

    async def until_known(
        self,
        change: ConfChangeV2,
        before: Membership,
        led_to: Membership,
        *,
        timeout: float,
        force: bool,
    ) -> None:
        """Return once what `change` led to, from `before`, is on this node's disk and, if it takes
        anybody away, on those of more than half of the voters.

        One of them is left then whoever else is lost, and tells the rest in an election. Who waits
        for voters that are new could wait for ever: they need not be there yet. With `force` nobody
        is waited for while too few are heard of.

        Raises:
            DeadlineExceeded: they did not say so within `timeout` seconds.
            LeadershipLost: another leads meanwhile, and did not say so.
        """
        state, loop = self._state, asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await state.wait_until(
            lambda: state.durable_membership.index >= led_to.index,
            timeout=timeout,
            what="the write of the new configuration to this node's disk",
        )
        if not _takes_away(change) or led_to.conf_state.voters_outgoing:
            return

        def is_settled() -> bool:
            return self._is_known(led_to.index, force=force) or self._can_not_say(led_to)

        while not is_settled():
            left = deadline - loop.time()
            if left <= 0:
                raise DeadlineExceeded(
                    "the change is in force, but too few of the voters that stay have confirmed "
                    f"it, and {_GOES_ON}"
                )
            with suppress(DeadlineExceeded):
                await state.wait_until(is_settled, timeout=min(left, self._ask_every), what="")
            with suppress(NodeStopped):
                self._inbox.put_call(self._raw.ping)
        if self._can_not_say(led_to):
            gone = gone_for_good(change, before, led_to)
            left = max(deadline - loop.time(), 0)
            await self._ask_successor(gone, timeout=left, force=force)

    async def _ask_successor(self, gone: set[int], *, timeout: float, force: bool) -> None:
        """Have whoever leads now wait in the place of this node.

        It is asked for what changes nothing, and waits all the same: to remove who is no member any
        more, nor ever again; or, if nobody was removed, to leave a joint configuration, of which
        there is none unless somebody has entered another one in this moment.
        The change itself may have been taken back meanwhile, and must not be made a second time.
        """
        singles = (ConfChangeSingle(ConfChangeType.REMOVE_NODE, i) for i in sorted(gone))
        again = ConfChangeV2(changes=tuple(singles))
        try:
            await self._leader.call(
                lambda leader, left: leader.change_config(again, timeout=left, force=force),
                timeout=timeout,
                what="the word that enough of the voters that stay know the change",
            )
        except RaftifyError as error:
            # Whatever it says of this request: the first is in force.
            raise LeadershipLost(
                f"node {self._state.node_id} lost leadership when the change was in force, but not "
                f"known to enough of the voters that stay: {_GOES_ON} ({error})"
            ) from error

    def known_to_most(self) -> bool:
        """Say, at a leader, whether more than half of the voters have on disk what this node has of
        the membership."""
        return self._state.is_leader and self._most_know(self._state.durable_membership.index)

    def _is_known(self, index: int, *, force: bool) -> bool:
        state = self._state
        if not state.is_leader:
            return state.told_of_removal
        voters = state.membership.conf_state.voters
        return self._most_know(index) or (
            force and 2 * sum(not self._is_silent(v) for v in voters) <= len(voters)
        )

    def _most_know(self, index: int) -> bool:
        progress, own = self._raw.raft.tracker.progress, self._state.node_id
        # As a crash would leave them: a later change must not count before it is durable.
        voters = self._state.durable_membership.conf_state.voters
        know = [v for v in voters if v in progress and progress[v].committed_index >= index]
        return 2 * len({own, *know} & {*voters}) > len(voters)

    def _can_not_say(self, led_to: Membership) -> bool:
        """Say whether this node neither leads nor hears from the others that it was removed."""
        state = self._state
        return not (state.is_leader or state.told_of_removal or not led_to.is_member(state.node_id))


def gone_for_good(change: ConfChangeV2, before: Membership, led_to: Membership) -> set[int]:
    """Return whom `change`, or what came before it, has removed: used up, none of them comes back.

    A change may also "remove" an id that nobody has had yet; who gets that may be a member soon.
    """
    named = {s.node_id for s in change.changes if s.change_type is ConfChangeType.REMOVE_NODE}
    missing = named | (before.member_ids() - led_to.member_ids())
    return {node_id for node_id in missing if was_removed(node_id, led_to)}


def _takes_away(change: ConfChangeV2) -> bool:
    """Say whether somebody's vote may have gone with `change`: by being removed, by becoming a
    learner, or with the joint configuration that the empty change leaves."""
    singles = change.changes
    return not singles or any(s.change_type is not ConfChangeType.ADD_NODE for s in singles)
