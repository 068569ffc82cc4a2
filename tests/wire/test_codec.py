"""Core types and records as bytes and back, and what is no bytes of ours."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftify import errors
from raftify.core.types import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from raftify.errors import MalformedMessage, NotLeader, ProposalDropped, RaftifyError
from raftify.wire import codec, errors_codec, framing
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb

u64 = st.integers(0, 2**64 - 1)
ids = st.lists(u64, max_size=4).map(tuple)
blob = st.binary(max_size=40)
entries = st.builds(
    Entry,
    entry_type=st.sampled_from(EntryType),
    term=u64,
    index=u64,
    data=blob,
    context=blob,
)
conf_states = st.builds(
    ConfState,
    voters=ids,
    learners=ids,
    voters_outgoing=ids,
    learners_next=ids,
    auto_leave=st.booleans(),
)
snapshots = st.builds(
    Snapshot,
    data=blob,
    metadata=st.builds(SnapshotMetadata, conf_state=conf_states, index=u64, term=u64),
)
messages = st.builds(
    Message,
    msg_type=st.sampled_from(MessageType),
    to=u64,
    from_=u64,
    term=u64,
    log_term=u64,
    index=u64,
    entries=st.lists(entries, max_size=5),
    commit=u64,
    commit_term=u64,
    snapshot=st.none() | snapshots,
    request_snapshot=u64,
    reject=st.booleans(),
    reject_hint=u64,
    context=blob,
    priority=st.integers(-(2**63), 2**63 - 1),
)


class TestRoundTrips:
    @given(entries)
    def test_entries(self, entry: Entry) -> None:
        decoded = codec.decode_entry(codec.encode_entry(entry))
        assert decoded == entry
        assert decoded.encoded == entry.encoded, "the bytes are kept for disk and peers"

    @given(messages)
    def test_messages(self, message: Message) -> None:
        assert codec.message_from_wire(codec.message_to_wire(message)) == message

    @given(snapshots)
    def test_snapshots(self, snapshot: Snapshot) -> None:
        assert codec.decode_snapshot(codec.encode_snapshot(snapshot)) == snapshot

    @given(conf_states)
    def test_conf_states(self, conf_state: ConfState) -> None:
        assert codec.conf_state_from_wire(codec.conf_state_to_wire(conf_state)) == conf_state

    @given(st.builds(HardState, term=u64, vote=u64, commit=u64))
    def test_hard_states(self, hard_state: HardState) -> None:
        assert codec.decode_hard_state(codec.encode_hard_state(hard_state)) == hard_state

    @given(
        st.builds(
            ConfChangeV2,
            transition=st.sampled_from(ConfChangeTransition),
            changes=st.lists(
                st.builds(
                    ConfChangeSingle, change_type=st.sampled_from(ConfChangeType), node_id=u64
                ),
                max_size=4,
            ).map(tuple),
            context=blob,
        )
    )
    def test_conf_changes(self, change: ConfChangeV2) -> None:
        assert codec.conf_change_from_wire(codec.conf_change_to_wire(change)) == change

    @given(st.lists(messages, max_size=5))
    def test_batches(self, batch: list[Message]) -> None:
        packed = framing.pack_batch(batch)
        assert framing.unpack_batch(packed) == batch
        one_by_one = pb.MessageBatch(messages=[codec.message_to_wire(m) for m in batch])
        assert pb.MessageBatch.FromString(packed).messages == one_by_one.messages

    @given(messages)
    def test_the_size_said_is_never_too_small(self, message: Message) -> None:
        """Batches are cut by it, and one beyond gRPC's limit would end the stream."""
        assert framing.message_size(message) >= len(framing.pack_batch([message]))

    @pytest.mark.parametrize("size", [0, 1, 100, 118, 119, 16_000, 16_370, 1 << 20])
    def test_the_size_said_is_close(self, size: int) -> None:
        """What the core thinks fits into a message must not be taken for too large to send."""
        entries = [Entry(term=3, index=1000 + i, data=bytes(size)) for i in range(20)]
        append = Message(msg_type=MessageType.APPEND, to=2, from_=1, term=3, entries=entries)
        real = len(framing.pack_batch([append]))
        assert 0 <= framing.message_size(append) - real <= 128 + 20 * 3 * (size >= 16_384 - 10)

    @pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3 << 20])
    def test_batches_of_every_length_of_length(self, size: int) -> None:
        batch = [Message(context=bytes(size)), Message(msg_type=MessageType.APPEND, index=1)]
        assert framing.unpack_batch(framing.pack_batch(batch)) == batch


class TestTheTwoFormsOfAMessage:
    @given(messages)
    def test_raw_and_typed_are_the_same_bytes(self, message: Message) -> None:
        raw = codec.message_to_wire(message).SerializeToString(deterministic=True)
        typed = epb.Message.FromString(raw)
        assert typed.SerializeToString(deterministic=True) == raw
        assert [e.SerializeToString(deterministic=True) for e in typed.entries] == [
            codec.encode_entry(e) for e in message.entries
        ]

    def test_every_field_is_where_raft_rs_looks_for_it(self) -> None:
        message = Message(
            msg_type=MessageType.READ_INDEX_RESP,
            to=1,
            from_=2,
            term=3,
            log_term=4,
            index=5,
            entries=[Entry(EntryType.CONF_CHANGE_V2, 6, 7, b"data", b"context")],
            commit=8,
            commit_term=9,
            snapshot=Snapshot(b"s", SnapshotMetadata(ConfState(voters=(1,)), 10, 11)),
            request_snapshot=12,
            reject=True,
            reject_hint=13,
            context=b"ctx",
            priority=-14,
        )
        expected = epb.Message(
            msg_type=epb.MsgReadIndexResp,
            to=1,
            term=3,
            log_term=4,
            index=5,
            entries=[
                epb.Entry(
                    entry_type=epb.EntryConfChangeV2,
                    term=6,
                    index=7,
                    data=b"data",
                    context=b"context",
                )
            ],
            commit=8,
            commit_term=9,
            snapshot=epb.Snapshot(
                data=b"s",
                metadata=epb.SnapshotMetadata(
                    conf_state=epb.ConfState(voters=[1]), index=10, term=11
                ),
            ),
            request_snapshot=12,
            reject=True,
            reject_hint=13,
            context=b"ctx",
            priority=-14,
        )
        setattr(expected, "from", 2)
        raw = codec.message_to_wire(message).SerializeToString()
        assert epb.Message.FromString(raw) == expected

    def test_what_raft_rs_has_and_we_do_not_is_passed_over(self) -> None:
        old = epb.Message(msg_type=epb.MsgHeartbeat, term=5, deprecated_priority=3)
        raw = pb.RawMessage.FromString(old.SerializeToString())
        assert codec.message_from_wire(raw) == Message(MessageType.HEARTBEAT, term=5)


class TestMalformed:
    @pytest.mark.parametrize(
        "decode", [codec.decode_entry, codec.decode_snapshot, codec.decode_hard_state]
    )
    def test_no_protobuf(self, decode: object) -> None:
        with pytest.raises(MalformedMessage):
            decode(b"\xff\xff\xff")  # type: ignore[operator]  # each is a function of bytes

    @pytest.mark.parametrize("number", [3, 99, -1])
    def test_an_entry_type_of_the_future(self, number: int) -> None:
        encoded = _with_enum(epb.Entry(index=1), number)
        with pytest.raises(MalformedMessage):
            codec.decode_entry(encoded)

    @pytest.mark.parametrize("number", [19, 99, -1])
    def test_a_message_type_of_the_future(self, number: int) -> None:
        raw = pb.RawMessage.FromString(_with_enum(epb.Message(term=1), number))
        with pytest.raises(MalformedMessage):
            codec.message_from_wire(raw)

    def test_a_transition_of_the_future(self) -> None:
        wire = epb.ConfChangeV2.FromString(b"\x08\x09")
        with pytest.raises(MalformedMessage):
            codec.conf_change_from_wire(wire)

    def test_a_change_of_the_future(self) -> None:
        wire = epb.ConfChangeV2(changes=[epb.ConfChangeSingle.FromString(b"\x08\x09")])
        with pytest.raises(MalformedMessage):
            codec.conf_change_from_wire(wire)


def _with_enum(wire: epb.Entry | epb.Message, number: int) -> bytes:
    """Return `wire` with its field 1, an enum, set to a number that no enum has."""
    number &= 2**64 - 1
    varint = bytearray()
    while number > 0x7F:
        varint.append(number & 0x7F | 0x80)
        number >>= 7
    return b"\x08" + bytes(varint) + bytes([number]) + wire.SerializeToString()


KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, RaftifyError)
]


class TestErrors:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_comes_back_as_itself(self, kind: type[RaftifyError]) -> None:
        decoded = errors_codec.decode_error(errors_codec.encode_error(kind("why")))
        assert (type(decoded), str(decoded)) == (kind, "why")

    def test_a_leaders_hints_travel(self) -> None:
        error = NotLeader(leader_id=2**63, leader_address="[::1]:1")
        decoded = errors_codec.decode_error(errors_codec.encode_error(error))
        assert isinstance(decoded, NotLeader)
        assert (decoded.leader_id, decoded.leader_address) == (2**63, "[::1]:1")
        assert str(decoded) == str(error)

    def test_a_foreign_exception_says_nothing_of_itself(self) -> None:
        wire = errors_codec.error_to_wire(KeyError("swordfish"))
        assert wire.kind == "RaftifyError"
        assert "swordfish" not in wire.message

    def test_a_users_own_kind_goes_as_the_one_it_is_derived_from(self) -> None:
        class QuotaExceeded(ProposalDropped):
            pass

        decoded = errors_codec.decode_error(errors_codec.encode_error(QuotaExceeded("why")))
        assert type(decoded) is ProposalDropped

    def test_a_users_kind_that_borrows_a_name_is_not_taken_for_it(self) -> None:
        impostor = type("NodeRemoved", (ProposalDropped,), {})
        decoded = errors_codec.decode_error(errors_codec.encode_error(impostor("why")))
        assert type(decoded) is ProposalDropped

    @pytest.mark.parametrize("kind", ["OfTheFuture", "KeyboardInterrupt", "annotations", ""])
    def test_a_kind_that_is_not_known_is_a_plain_error(self, kind: str) -> None:
        decoded = errors_codec.error_from_wire(pb.Error(kind=kind, message="why"))
        assert type(decoded) is RaftifyError
        assert "why" in str(decoded)

    def test_bytes_that_are_none(self) -> None:
        assert type(errors_codec.decode_error(b"\xff\xff")) is MalformedMessage

    def test_a_text_without_a_utf8_form(self) -> None:
        decoded = errors_codec.decode_error(errors_codec.encode_error(RaftifyError("a\udc80b")))
        assert str(decoded) == "a?b"

    @given(st.text(max_size=3000))
    def test_any_text_fits_into_metadata(self, text: str) -> None:
        assert len(errors_codec.encode_error(RaftifyError(text))) < 4200
