"""How many parts a message has is known before it is parsed."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftify.core.types import Entry, Message, MessageType
from raftify.errors import MalformedMessage
from raftify.wire import raft_service_pb2 as pb
from raftify.wire.bounds import check_fields, check_parts
from raftify.wire.framing import pack_batch, unpack_batch
from tests.port.noise import anything, field
from tests.port.sealing import sealed

EMPTY = b"\x0a\x00"


@pytest.mark.parametrize("count", [0, 1, 10])
def test_as_many_as_allowed_pass(count: int) -> None:
    check_fields(EMPTY * count, 10, "a test")
    check_fields(field(1, b"x" * 500) * count, 10, "a test")


def test_one_more_does_not() -> None:
    with pytest.raises(MalformedMessage, match="a test of more parts"):
        check_fields(EMPTY * 11, 10, "a test")


def test_every_wire_type_is_one_part() -> None:
    mixed = b"\x08\x96\x01" + b"\x0d1234" + b"\x0912345678" + field(1, b"abc") + b"\x0b\x0c"
    check_fields(mixed, 6, "a test")
    with pytest.raises(MalformedMessage):
        check_fields(mixed, 5, "a test")


def test_parts_of_parts_count_where_they_are_named() -> None:
    data = field(1, EMPTY * 50) + field(2, EMPTY * 50)
    check_fields(data, 2, "a test")
    check_fields(data, 52, "a test", within=1)
    with pytest.raises(MalformedMessage):
        check_fields(data, 51, "a test", within=1)


@given(st.randoms(use_true_random=False))
def test_it_reads_anything_to_its_end(random: Random) -> None:
    data = anything(random, pb.MessageBatch)
    try:
        check_fields(data, 3, "a test", within=1)
    except MalformedMessage:
        return


def test_a_swarm_of_empty_messages_is_refused() -> None:
    """A megabyte of them took 9 seconds, and a gigabyte of memory for 16 megabytes."""
    with pytest.raises(MalformedMessage, match="more parts"):
        unpack_batch(sealed(EMPTY * 500_000))


def test_a_swarm_of_empty_entries_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="500000 entries"):
        unpack_batch(sealed(field(1, b"\x3a\x00" * 500_000)))


def test_more_entries_than_settings_allow_are_refused() -> None:
    entries = [Entry(term=1, index=i + 1) for i in range(11)]
    packed = pack_batch([Message(MessageType.APPEND, to=1, from_=2, term=1, entries=entries)])
    assert len(unpack_batch(packed, most_entries=11)[0].entries) == 11
    with pytest.raises(MalformedMessage, match="at most 10"):
        unpack_batch(packed, most_entries=10)


def test_the_smallest_entries_of_all_fit() -> None:
    entries = [Entry(term=1, index=1)] * 5_000
    packed = pack_batch([Message(MessageType.APPEND, to=1, from_=2, term=1, entries=entries)])
    assert len(unpack_batch(packed)[0].entries) == 5_000


def test_a_large_swarm_is_refused_at_its_first_part() -> None:
    """Counting on took the interpreter from the event loop for 0.7 s, in each of many threads."""
    swarms = {
        "empty entries": field(1, b"\x3a\x00" * (2 << 20)),
        "nothing at all": field(1, bytes(4 << 20)),
        "unknown fields": field(1, b"\x78\x01" * (2 << 20)),
    }
    for name, swarm in swarms.items():
        began = time.thread_time()
        with pytest.raises(MalformedMessage):
            unpack_batch(sealed(swarm))
        assert time.thread_time() - began < 0.1, name


def test_a_large_batch_of_small_entries_passes_up_to_the_limit() -> None:
    entries = [Entry(term=1, index=1)] * 400_000
    packed = pack_batch([Message(MessageType.APPEND, to=1, from_=2, term=1, entries=entries)])
    assert len(packed) > 2 << 20
    assert len(unpack_batch(packed, most_entries=400_000)[0].entries) == 400_000
    with pytest.raises(MalformedMessage, match="more parts"):
        unpack_batch(packed, most_entries=399_999)


@given(st.randoms(use_true_random=False))
def test_parts_of_anything_are_read_to_their_end(random: Random) -> None:
    data = anything(random, pb.MessageBatch)
    try:
        check_parts(data, "a test", whole=1, part=7, least=4, most=3, others=5)
    except MalformedMessage:
        return
