"""Entries, messages and Readies as text."""

from __future__ import annotations

from raftify.core.describe_messages import describe_message, describe_ready
from raftify.core.read_only import ReadState
from raftify.core.ready import Ready
from raftify.core.types import (
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Role,
    Snapshot,
    SnapshotMetadata,
    SoftState,
)


def test_messages() -> None:
    append = Message(
        MessageType.APPEND,
        from_=1,
        to=2,
        term=2,
        log_term=2,
        index=4,
        commit=3,
        entries=[Entry(term=2, index=5, data=b"x"), Entry(EntryType.CONF_CHANGE_V2, 2, 6)],
    )
    assert describe_message(append) == (
        "1->2 APPEND term=2 log=2/4 commit=3 entries=[2/5 Normal b'x', 2/6 ConfChangeV2]"
    )
    rejection = Message(
        MessageType.APPEND_RESPONSE,
        from_=2,
        to=1,
        term=2,
        index=4,
        reject=True,
        reject_hint=3,
        request_snapshot=3,
        context=b"\x01",
    )
    assert describe_message(rejection) == (
        "2->1 APPEND_RESPONSE term=2 log=0/4 rejected(hint=3) request_snapshot=3 context=01"
    )
    snapshot = Snapshot(metadata=SnapshotMetadata(ConfState((1, 2)), 5, 2))
    assert describe_message(Message(MessageType.SNAPSHOT, to=2, snapshot=snapshot)) == (
        "0->2 SNAPSHOT term=0 snapshot=(index=5 term=2 voters=(1 2))"
    )


def test_readies() -> None:
    assert describe_ready(Ready(number=3)) == "Ready 3"
    ready = Ready(
        number=4,
        ss=SoftState(1, Role.LEADER),
        hs=HardState(2, 1, 3),
        read_states=[ReadState(3, b"r")],
        dropped_reads=[b"d"],
        entries=[Entry(term=2, index=5)],
        snapshot=Snapshot(metadata=SnapshotMetadata(ConfState((1,)), 4, 2)),
        committed_entries=[Entry(EntryType.CONF_CHANGE, 2, 3)],
        messages=[Message(MessageType.HEARTBEAT, to=2, from_=1, term=2)],
        persisted_messages=[Message(MessageType.REQUEST_VOTE, to=2, from_=1, term=2)],
        must_sync=True,
    )
    assert describe_ready(ready).splitlines() == [
        "Ready 4 must sync",
        "state leader=1 LEADER",
        "hard state term=2 vote=1 commit=3",
        "snapshot index=4 term=2 voters=(1)",
        "append 2/5 Normal",
        "apply 2/3 ConfChange",
        "read at 3 b'r'",
        "read dropped b'd'",
        "send 1->2 HEARTBEAT term=2",
        "send when synced 1->2 REQUEST_VOTE term=2",
    ]
