"""Our wire form of configuration changes against protobuf's own, on good bytes and on any bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from raftify.core.confchange_codec import (
    decode_conf_change,
    decode_conf_change_v2,
    encode_conf_change,
    encode_conf_change_v2,
    enter_joint,
    into_v2,
    leave_joint,
)
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
)
from raftify.errors import MalformedMessage
from raftify.wire import eraftpb_pb2 as epb

# Around every length that a varint can have.
UINT64 = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.builds(lambda bits, below: (1 << bits) - below, st.integers(1, 64), st.integers(1, 2)),
)
TYPES = st.sampled_from(ConfChangeType)
CHANGES = st.builds(ConfChange, UINT64, TYPES, UINT64, st.binary(max_size=200))
SINGLES = st.builds(ConfChangeSingle, TYPES, UINT64)
CHANGES_V2 = st.builds(
    ConfChangeV2,
    st.sampled_from(ConfChangeTransition),
    st.lists(SINGLES, max_size=5).map(tuple),
    st.binary(max_size=200),
)


def to_wire(change: ConfChange) -> epb.ConfChange:
    return epb.ConfChange(
        id=change.id,
        change_type=epb.ConfChangeType.Name(change.change_type),
        node_id=change.node_id,
        context=change.context,
    )


def to_wire_v2(change: ConfChangeV2) -> epb.ConfChangeV2:
    return epb.ConfChangeV2(
        transition=epb.ConfChangeTransition.Name(change.transition),
        changes=[
            epb.ConfChangeSingle(
                change_type=epb.ConfChangeType.Name(single.change_type), node_id=single.node_id
            )
            for single in change.changes
        ],
        context=change.context,
    )


@settings(deadline=None)
@given(CHANGES)
def test_the_first_form_is_protobufs(change: ConfChange) -> None:
    encoded = encode_conf_change(change)
    assert encoded == to_wire(change).SerializeToString()
    assert decode_conf_change(encoded) == change


@settings(deadline=None)
@given(CHANGES_V2)
def test_the_second_form_is_protobufs(change: ConfChangeV2) -> None:
    encoded = encode_conf_change_v2(change)
    assert encoded == to_wire_v2(change).SerializeToString()
    assert decode_conf_change_v2(encoded) == change


@settings(deadline=None)
@given(CHANGES)
def test_the_second_form_of_the_first_enters_and_leaves_nothing(change: ConfChange) -> None:
    second = into_v2(change)
    assert enter_joint(second) is None
    assert not leave_joint(second)
    assert decode_conf_change_v2(encode_conf_change_v2(second)) == second


@st.composite
def nearly_changes(draw: st.DrawFn) -> bytes:
    """Bytes of a change with some cut out, put in or altered: few of them are all wrong."""
    data = bytearray(encode_conf_change_v2(draw(CHANGES_V2)))
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(data)))
        removed = draw(st.integers(0, 2))
        data[position : position + removed] = draw(st.binary(max_size=3))
    return bytes(data)


BYTES = st.one_of(st.binary(max_size=40), nearly_changes())

_Wire = TypeVar("_Wire", bound=Message)


def agree(
    data: bytes,
    ours: Callable[[bytes], _Wire],
    theirs: Callable[[bytes], _Wire],
    unknown: Callable[[_Wire], bool],
) -> None:
    """Fail unless both refuse `data` or read the same; a type we do not know we refuse alone."""
    expected: _Wire | None
    try:
        expected = theirs(data)
    except DecodeError:
        expected = None
    try:
        actual = ours(data)
    except MalformedMessage:
        assert expected is None or unknown(expected), f"{data.hex()} is {expected}"
        return
    assert expected is not None, f"{data.hex()} is nothing, but we read {actual}"
    expected.DiscardUnknownFields()
    assert actual == expected


@settings(deadline=None)
@given(BYTES)
def test_any_bytes_are_the_first_form_here_if_they_are_there(data: bytes) -> None:
    agree(
        data,
        lambda encoded: to_wire(decode_conf_change(encoded)),
        epb.ConfChange.FromString,
        lambda change: int(change.change_type) not in set(ConfChangeType),
    )


@settings(deadline=None)
@given(BYTES)
def test_any_bytes_are_the_second_form_here_if_they_are_there(data: bytes) -> None:
    agree(
        data,
        lambda encoded: to_wire_v2(decode_conf_change_v2(encoded)),
        epb.ConfChangeV2.FromString,
        lambda change: (
            int(change.transition) not in set(ConfChangeTransition)
            or any(int(single.change_type) not in set(ConfChangeType) for single in change.changes)
        ),
    )
