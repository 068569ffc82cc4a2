"""What no leader can have sent: found before a message changes term, role or log.

A checksum proves only that a message came as it was sent. These checks keep what a broken or
foreign sender makes up from stopping a node, or from becoming part of its log.
"""

from __future__ import annotations

from typing import Final

from raftify.core.confchange import restore
from raftify.core.tracker import ProgressTracker
from raftify.core.types import Message, MessageType
from raftify.errors import ConfChangeRejected, MalformedMessage

_READS: Final = frozenset({MessageType.READ_INDEX, MessageType.READ_INDEX_RESP})


def refuse_malformed(message: Message) -> None:
    """Check that a message has what its type asks, and does not contradict itself.

    Raises:
        MalformedMessage: see `_check_append` and `_check_snapshot`; or it is a proposal without
            an entry, or a read that has not just one, with the reader's context.
    """
    msg_type = message.msg_type
    if msg_type is MessageType.APPEND:
        _check_append(message)
    elif msg_type is MessageType.SNAPSHOT:
        _check_snapshot(message)
    elif msg_type is MessageType.PROPOSE and not message.entries:
        raise MalformedMessage(f"node {message.from_} sent a proposal without an entry")
    elif msg_type in _READS and len(message.entries) != 1:
        raise MalformedMessage(
            f"{msg_type.name} from node {message.from_} must have one entry with the reader's "
            f"context, not {len(message.entries)}"
        )


def _check_append(message: Message) -> None:
    """Check the order of the entries.

    Raises:
        MalformedMessage: indices do not follow on the message's index or on each other, or terms do
            not rise from `log_term` to the message's term. A log's terms never fall (paper §5.3),
            and no leader has entries of a later term than its own.
    """
    entries = message.entries
    start = message.index + 1
    if [entry.index for entry in entries] != list(range(start, start + len(entries))):
        raise MalformedMessage(
            f"node {message.from_} sent entries that do not follow each other behind entry "
            f"{message.index}; acknowledging them would lose data"
        )
    # An entry's term is never 0; the place before the first entry is of term 0.
    before = max(message.log_term, 1) if entries else message.log_term
    terms = [before, *[entry.term for entry in entries], message.term]
    if terms != sorted(terms):
        raise MalformedMessage(
            f"node {message.from_} sent in term {message.term} entries behind ({message.index}, "
            f"term {message.log_term}) whose terms do not rise up to it; no leader has such a log"
        )


def _check_snapshot(message: Message) -> None:
    """Check that there is a snapshot, of a log and a configuration that can be.

    Raises:
        MalformedMessage: there is none, its term is above the message's, or no sequence of changes
            leads to its configuration.
    """
    if message.snapshot is None:
        raise MalformedMessage(f"node {message.from_} sent a snapshot message without one")
    metadata = message.snapshot.metadata
    if metadata.term > message.term:
        raise MalformedMessage(
            f"node {message.from_} sent in term {message.term} a snapshot of term {metadata.term}; "
            "no leader has such a log"
        )
    try:
        restore(ProgressTracker(1), metadata.index, metadata.conf_state)
    except ConfChangeRejected as error:
        raise MalformedMessage(
            f"node {message.from_} sent a snapshot at {metadata.index} that cannot be: {error}"
        ) from error
