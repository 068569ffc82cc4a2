"""What a follower says that it knows to be committed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raftify.core.types import Message, MessageType

#: The answers in which a follower says so.
_ANSWERS: Final = frozenset({MessageType.APPEND_RESPONSE, MessageType.HEARTBEAT_RESPONSE})


def admit_no_more(delivered: int, messages: Iterable[Message]) -> None:
    """Have answers speak of no commit beyond entry `delivered`.

    They leave once all that was delivered before them is durable. Beyond it a membership may be
    committed that is not on this disk yet, and that a crash would take from this node's memory;
    but who hears that it is known may end the nodes that it takes away, see `Departures`.
    """
    for message in messages:
        if message.msg_type in _ANSWERS and message.commit > delivered:
            message.commit = delivered
