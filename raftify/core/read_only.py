"""Reads that a leader must confirm, and the rounds of heartbeats that confirm them (thesis 6.4).

raft-rs names a round by the context its reader chose. A reader that retries with the same context
would then be answered by acknowledgements that were given before it asked, perhaps to a leader
deposed since (etcd-io/raft#397). Here every read starts a round of its own, named by a token that
the leader makes up from its term and a counter.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from raftify.core.config import ReadOnlyOption
from raftify.core.types import Message

_TOKEN: Final = struct.Struct(">QQ")


@dataclass(slots=True)
class ReadState:
    """The answer to a read: once everything up to `index` is applied, the read may be done."""

    index: int
    request_ctx: bytes


@dataclass(slots=True)
class ReadIndexStatus:
    """One read that waits for acknowledgements. `index` was committed when it came."""

    req: Message
    index: int
    token: bytes
    acks: set[int] = field(default_factory=set)


class ReadOnly:
    """The reads pending at a leader, oldest first.

    Invariant: tokens increase along the queue, so who acknowledges one acknowledges all before it.
    """

    __slots__ = ("_by_token", "_configured", "_sequence", "option", "pending", "waiting")

    def __init__(self, option: ReadOnlyOption) -> None:
        #: How reads are confirmed now.
        self.option = option
        self._configured = option
        self.pending: deque[ReadIndexStatus] = deque()
        #: Requests that came before the leader committed an entry of its term.
        self.waiting: deque[Message] = deque()
        self._by_token: dict[bytes, ReadIndexStatus] = {}
        self._sequence = 0

    def end_lease(self) -> None:
        """Confirm every read by a quorum until this node's reign is over.

        Another node was told to campaign, and the others listen to it although they hear this one:
        from now on the lease proves nothing (thesis 6.4.1).
        """
        self.option = ReadOnlyOption.SAFE

    def add_request(self, index: int, req: Message, self_id: int, term: int) -> bytes:
        """Queue a read and return the token of its round."""
        self._sequence += 1
        token = _TOKEN.pack(term, self._sequence)
        status = ReadIndexStatus(req, index, token, {self_id})
        self.pending.append(status)
        self._by_token[token] = status
        return token

    def recv_ack(self, node_id: int, token: bytes) -> set[int] | None:
        """Count an acknowledgement; return all of that round, None if no read waits for it."""
        status = self._by_token.get(token)
        if status is None:
            return None
        status.acks.add(node_id)
        return status.acks

    def advance(self, token: bytes) -> list[ReadIndexStatus]:
        """Take out and return the reads up to that of `token`, which a quorum acknowledged."""
        confirmed = []
        while self.pending:
            status = self.pending.popleft()
            del self._by_token[status.token]
            confirmed.append(status)
            if status.token == token:
                break
        return confirmed

    def last_pending_request_ctx(self) -> bytes | None:
        """Return the token of the newest round, for heartbeats that are due anyway."""
        return self.pending[-1].token if self.pending else None

    def pending_read_count(self) -> int:
        """Return how many reads wait for acknowledgements."""
        return len(self.pending)

    def drop_all(self) -> list[Message]:
        """Forget every read and return their requests: this node leads no more."""
        dropped = [status.req for status in self.pending]
        dropped.extend(self.waiting)
        self.pending.clear()
        self._by_token.clear()
        self.waiting.clear()
        self.option = self._configured
        return dropped
