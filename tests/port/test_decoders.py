"""Whatever the bytes, decoding ends with a value or with MalformedMessage, and in good time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from google.protobuf.message import Message as ProtobufMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.errors import ConfigError, MalformedMessage, PeerRefused
from raftify.peers import Address
from raftify.records import (
    SnapshotDescriptor,
    decode_command,
    decode_membership,
    decode_peers,
    membership_from_wire,
)
from raftify.transport.handshake import check_caller, check_names_cluster, read_handshake
from raftify.transport.interface import Handshake
from raftify.wire import codec, errors_codec
from raftify.wire import eraftpb_pb2 as epb
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.framing import pack_batch, snapshot_message, unpack_batch
from tests.port.noise import anything
from tests.port.sealing import sealed

steered = st.randoms(use_true_random=False)


def _first_chunk(data: bytes) -> object:
    return snapshot_message(codec.parse(pb.SnapshotChunk, data))


def _conf_change(data: bytes) -> object:
    return codec.conf_change_from_wire(codec.parse(epb.ConfChangeV2, data))


DECODERS: list[tuple[str, Callable[[bytes], object], type[ProtobufMessage]]] = [
    ("batch", lambda data: unpack_batch(sealed(data)), pb.MessageBatch),
    ("unsealed", unpack_batch, pb.MessageBatch),
    ("chunk", _first_chunk, pb.SnapshotChunk),
    ("entry", codec.decode_entry, epb.Entry),
    ("hard-state", codec.decode_hard_state, epb.HardState),
    ("snapshot", codec.decode_snapshot, epb.Snapshot),
    ("change", _conf_change, epb.ConfChangeV2),
    ("descriptor", SnapshotDescriptor.decode, pb.SnapshotDescriptor),
    ("membership", decode_membership, pb.Membership),
    ("command", decode_command, pb.InternalCommand),
    ("peers", decode_peers, pb.PeerList),
    ("error", errors_codec.decode_error, pb.Error),
]


@pytest.mark.parametrize(
    ("decode", "kind"), [d[1:] for d in DECODERS], ids=[d[0] for d in DECODERS]
)
@given(random=steered)
@settings(max_examples=60)
def test_bytes_are_a_value_or_malformed(
    random: Random, decode: Callable[[bytes], object], kind: type[ProtobufMessage]
) -> None:
    try:
        decode(anything(random, kind))
    except MalformedMessage:
        return


@given(random=steered)
@settings(max_examples=60)
def test_what_was_decoded_is_encoded_alike(random: Random) -> None:
    try:
        messages = unpack_batch(sealed(anything(random, pb.MessageBatch)))
    except MalformedMessage:
        return
    assert unpack_batch(pack_batch(messages)) == messages


KEYS = ("cluster", "from", "incarnation", "to", "address", "origin", "protocol")
METADATA = st.lists(
    st.tuples(
        st.sampled_from([f"raftify-{key}" for key in KEYS] + ["raftify-from-bin", "other"]),
        st.one_of(
            st.sampled_from(["", "0", "1", "2", "-1", "\u0661", "%ff%00", "18446744073709551616"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
            st.binary(max_size=20),
        ),
    ),
    max_size=12,
)


@given(METADATA)
def test_metadata_is_a_handshake_or_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    try:
        handshake = read_handshake(metadata)
    except PeerRefused:
        return
    assert 0 < handshake.from_id < 1 << 64
    assert 0 <= handshake.to_id < 1 << 64


@given(METADATA)
def test_metadata_of_a_caller_is_taken_or_refused(metadata: list[tuple[str, str | bytes]]) -> None:
    own = Handshake("default", 1, "store", 0)
    for check in (
        check_names_cluster,
        lambda said: check_caller(said, own, origin="origin"),
    ):
        try:
            check(metadata)
        except PeerRefused:
            continue


@given(st.text(max_size=80))
def test_text_is_an_address_or_a_setting_that_is_wrong(text: str) -> None:
    try:
        address = Address.parse(text)
    except ConfigError:
        return
    assert 1 <= address.port <= 65535


def test_memberships_take_any_ids() -> None:
    """Whether they make sense, the core says (`docs/bad-input.md`)."""
    wire = pb.Membership(max_id=2**64 - 1, peers=[pb.Peer(node_id=2**64 - 1, address="nowhere")])
    assert membership_from_wire(wire).max_id == 2**64 - 1
