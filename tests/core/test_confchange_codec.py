"""Configuration changes as entry data: protobuf's wire form, without protobuf."""

from __future__ import annotations

import pytest

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
from raftify.errors import ConfigError, MalformedMessage

MAX_ID = (1 << 64) - 1
REMOVE = ConfChangeType.REMOVE_NODE
LEARNER = ConfChangeType.ADD_LEARNER_NODE

V1 = ConfChange(id=7, change_type=LEARNER, node_id=300, context=b"ctx")
V1_BYTES = bytes.fromhex("0807 1002 18ac02 2203 637478")
V2 = ConfChangeV2(
    transition=ConfChangeTransition.EXPLICIT,
    changes=(ConfChangeSingle(REMOVE, 300), ConfChangeSingle()),
    context=b"c",
)
V2_BYTES = bytes.fromhex("0802 1205 0801 10ac02 1200 1a01 63")


def test_the_first_form_has_protobufs_bytes() -> None:
    assert encode_conf_change(V1) == V1_BYTES
    assert decode_conf_change(V1_BYTES) == V1


def test_the_second_form_has_protobufs_bytes() -> None:
    assert encode_conf_change_v2(V2) == V2_BYTES
    assert decode_conf_change_v2(V2_BYTES) == V2


def test_nothing_is_the_change_that_leaves_a_joint_configuration() -> None:
    assert encode_conf_change_v2(ConfChangeV2()) == b""
    assert decode_conf_change_v2(b"") == ConfChangeV2()
    assert leave_joint(decode_conf_change_v2(b""))


def test_defaults_take_no_bytes() -> None:
    assert encode_conf_change(ConfChange()) == b""
    assert decode_conf_change(b"") == ConfChange()


def test_the_largest_id_survives() -> None:
    change = ConfChange(id=MAX_ID, node_id=MAX_ID)
    assert decode_conf_change(encode_conf_change(change)) == change


@pytest.mark.parametrize("node_id", [-1, MAX_ID + 1])
def test_an_id_that_is_no_uint64_is_refused(node_id: int) -> None:
    with pytest.raises(ConfigError, match=f"{node_id} cannot be an id"):
        encode_conf_change(ConfChange(node_id=node_id))
    with pytest.raises(ConfigError, match=f"{node_id} cannot be an id"):
        encode_conf_change_v2(ConfChangeV2(changes=(ConfChangeSingle(node_id=node_id),)))


UNKNOWN_FIELDS = [
    pytest.param("7805", id="number"),
    pytest.param("7a03616263", id="bytes"),
    pytest.param("79 0102030405060708", id="eight bytes"),
    pytest.param("7d 01020304", id="four bytes"),
    pytest.param("7b 1801 7c", id="group, with a field of ours inside"),
    pytest.param("7b 2b 1801 2c 7c", id="group within a group"),
    pytest.param("0a0101", id="a field of ours with another type"),
    pytest.param("f8ffffff0f 01", id="the highest field number"),
]


@pytest.mark.parametrize("extra", UNKNOWN_FIELDS)
def test_unknown_fields_are_skipped(extra: str) -> None:
    """A newer version may add some, and its entries must still be read here."""
    unknown = bytes.fromhex(extra)
    assert decode_conf_change(V1_BYTES + unknown) == V1
    assert decode_conf_change(unknown + V1_BYTES) == V1
    assert decode_conf_change_v2(V2_BYTES + unknown) == V2
    single = bytes.fromhex("0801 10ac02") + unknown
    assert decode_conf_change_v2(bytes([0x12, len(single)]) + single) == ConfChangeV2(
        changes=(ConfChangeSingle(REMOVE, 300),)
    )


def test_a_field_given_twice_has_its_last_value() -> None:
    assert decode_conf_change(V1_BYTES + b"\x18\x05").node_id == 5


def test_an_unknown_type_that_is_overwritten_does_no_harm() -> None:
    assert decode_conf_change(bytes.fromhex("1009 1001")).change_type is REMOVE


def test_a_type_is_a_number_of_32_bits_as_in_protobuf() -> None:
    assert decode_conf_change(bytes.fromhex("10 8180808010")).change_type is REMOVE


def test_numbers_may_be_longer_than_need_be() -> None:
    assert decode_conf_change(bytes.fromhex("1885808000")).node_id == 5


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param("18", "within a number", id="no value"),
        pytest.param("18ac", "within a number", id="half a value"),
        pytest.param("2203 61", "2 bytes short", id="bytes cut off"),
        pytest.param("79 01", "7 bytes short", id="eight bytes cut off"),
        pytest.param("7d 01", "3 bytes short", id="four bytes cut off"),
        pytest.param("18 ffffffffffffffffffffff01", "more than ten bytes", id="endless number"),
        pytest.param("00 01", "impossible field tag 0", id="field 0"),
        pytest.param("f8ffffff1f 01", "impossible field tag", id="tag of more than 32 bits"),
        pytest.param("0e", "wire type 6", id="no such wire type"),
        pytest.param("7b 1801", "within group 15", id="group left open"),
        pytest.param("7c", "wire type 4", id="group closed but not opened"),
        pytest.param("7b 84 01", "wire type 4", id="another group closed"),
        pytest.param("7b" * 101, "wire type 3", id="groups nested without end"),
        pytest.param("1003", "3 is no ConfChangeType", id="unknown change"),
        pytest.param("10 ffffffffffffffffff01", "is no ConfChangeType", id="negative change"),
    ],
)
def test_damaged_bytes_are_no_change(data: str, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        decode_conf_change(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        pytest.param("0803", "3 is no ConfChangeTransition", id="unknown transition"),
        pytest.param("1205 0801", "3 bytes short", id="change cut off"),
        pytest.param("1201 08", "within a number", id="change damaged"),
        pytest.param("1202 0809", "9 is no ConfChangeType", id="unknown change"),
    ],
)
def test_damaged_bytes_are_no_change_of_the_second_form(data: str, complaint: str) -> None:
    with pytest.raises(MalformedMessage, match=complaint):
        decode_conf_change_v2(bytes.fromhex(data))


def test_into_v2_says_the_same() -> None:
    assert into_v2(V1) == ConfChangeV2(changes=(ConfChangeSingle(LEARNER, 300),), context=b"ctx")
    assert into_v2(V2) is V2


ONE = (ConfChangeSingle(),)
TWO = (ConfChangeSingle(), ConfChangeSingle(REMOVE, 1))
AUTO = ConfChangeTransition.AUTO
IMPLICIT = ConfChangeTransition.IMPLICIT
EXPLICIT = ConfChangeTransition.EXPLICIT


@pytest.mark.parametrize(
    ("transition", "changes", "enters", "leaves"),
    [
        (AUTO, (), None, True),
        (AUTO, ONE, None, False),
        (AUTO, TWO, True, False),
        (IMPLICIT, (), True, False),
        (IMPLICIT, ONE, True, False),
        (IMPLICIT, TWO, True, False),
        (EXPLICIT, (), False, False),
        (EXPLICIT, ONE, False, False),
        (EXPLICIT, TWO, False, False),
    ],
)
def test_what_a_change_does_to_the_joint_configuration(
    transition: ConfChangeTransition,
    changes: tuple[ConfChangeSingle, ...],
    *,
    enters: bool | None,
    leaves: bool,
) -> None:
    change = ConfChangeV2(transition, changes, b"context does not matter")
    assert enter_joint(change) is enters
    assert leave_joint(change) is leaves
