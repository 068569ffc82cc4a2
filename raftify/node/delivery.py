"""Puts committed entries that concern the cluster itself into force: membership and ids.

Runs inside the core's task, in log order, before the state machine gets the same entries: a slow
state machine does not hold up a change of the configuration.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from raftify.core.confchange_codec import decode_conf_change, decode_conf_change_v2, into_v2
from raftify.core.raw_node import RawNode
from raftify.core.types import ConfChangeV2, ConfState, Entry, EntryType
from raftify.errors import ConfChangeRejected, MalformedMessage, RaftifyError
from raftify.node.applier import EMPTY_PROPOSAL
from raftify.node.config_changes import added_peers
from raftify.node.waiters import EntryWaiters
from raftify.peers import Membership
from raftify.records import ReserveId, SetAddresses, decode_command


class Delivery:
    """Turns entries into memberships.

    `waiters` are told the membership that their entry led to. Who asked for a change that leaves
    its joint configuration by itself is told when that has been left.
    """

    def __init__(self, raw: RawNode, membership: Membership, logger: logging.Logger) -> None:
        self._raw = raw
        self._logger = logger
        self.membership = membership
        self.waiters: EntryWaiters[Membership] = EntryWaiters("configuration change")
        self._until_left: list[asyncio.Future[Membership]] = []

    def deliver(self, entries: Sequence[Entry]) -> Membership | None:
        """Put `entries` into force; return the membership if it changed."""
        before = self.membership
        for entry in entries:
            # Nearly all entries are the user's own; for them this line is all there is.
            if (entry.entry_type or entry.context) and entry.context != EMPTY_PROPOSAL:
                self._deliver_one(entry)
        return self.membership if self.membership is not before else None

    def replace(self, membership: Membership) -> None:
        """Take the membership of a snapshot."""
        self.membership = membership

    def fail_waiters(self, make_error: Callable[[], RaftifyError]) -> None:
        self.waiters.fail_all(make_error)
        waiting, self._until_left = self._until_left, []
        for future in waiting:
            if not future.done():
                future.set_exception(make_error())

    def _deliver_one(self, entry: Entry) -> None:
        waiter = self.waiters.take(term=entry.term, index=entry.index)
        if entry.index <= self.membership.index:
            # In force since before a restart: the membership on disk is of a later index.
            return
        if entry.entry_type is EntryType.NORMAL:
            self._run_command(entry, waiter)
        else:
            self._change_configuration(entry, waiter)

    def _run_command(self, entry: Entry, waiter: asyncio.Future[Membership] | None) -> None:
        try:
            command = decode_command(entry.context)
        except MalformedMessage as error:
            self._ignore(entry, waiter, error)
            return
        match command:
            case ReserveId(identity):
                self.membership = self.membership.reserve(identity, index=entry.index)
            case SetAddresses(peers):
                self.membership = self.membership.with_addresses(peers, index=entry.index)
        if waiter is not None:
            waiter.set_result(self.membership)

    def _change_configuration(
        self, entry: Entry, waiter: asyncio.Future[Membership] | None
    ) -> None:
        try:
            change = decode_change(entry)
            peers = added_peers(change)
            conf_state = self._raw.apply_conf_change(change)
        except (ConfChangeRejected, MalformedMessage) as error:
            self._ignore(entry, waiter, error)
            return
        self.membership = self.membership.with_configuration(conf_state, peers, index=entry.index)
        self._logger.info("the configuration is now %s", describe(conf_state))
        self._tell(waiter, conf_state)

    def _ignore(
        self, entry: Entry, waiter: asyncio.Future[Membership] | None, error: RaftifyError
    ) -> None:
        """Go on without an entry that cannot be put into force. Every node finds the same."""
        self._logger.warning("the entry at index %d has no effect: %s", entry.index, error)
        if waiter is not None:
            waiter.set_exception(error)

    def _tell(self, waiter: asyncio.Future[Membership] | None, conf_state: ConfState) -> None:
        if conf_state.voters_outgoing and conf_state.auto_leave:
            if waiter is not None:
                self._until_left.append(waiter)
            return
        told, self._until_left = self._until_left, []
        if waiter is not None:
            told.append(waiter)
        for future in told:
            if not future.done():
                future.set_result(self.membership)


def decode_change(entry: Entry) -> ConfChangeV2:
    """Return the configuration change in `entry`, the older form as the newer."""
    if entry.entry_type is EntryType.CONF_CHANGE:
        return into_v2(decode_conf_change(entry.data))
    return decode_conf_change_v2(entry.data)


def describe(conf_state: ConfState) -> str:
    """Return the configuration in words, for the log."""
    text = f"voters {list(conf_state.voters)}"
    if conf_state.voters_outgoing:
        text += f" (joint with {list(conf_state.voters_outgoing)})"
    if conf_state.learners or conf_state.learners_next:
        text += f" learners {[*conf_state.learners, *conf_state.learners_next]}"
    return text
