"""The committed stubs say what protos/ says."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from raftify.wire import eraftpb_pb2, raft_service_pb2, raft_service_pb2_grpc

protoc = pytest.importorskip("grpc_tools.protoc")

ROOT = Path(__file__).parents[2]
MODULES = {"eraftpb.proto": eraftpb_pb2, "raft_service.proto": raft_service_pb2}


def compiled(proto: str, directory: Path) -> descriptor_pb2.FileDescriptorProto:
    """Return what the installed compiler makes of `proto`."""
    out = directory / "set.bin"
    well_known = resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'protos'}", f"-I{well_known}", f"--descriptor_set_out={out}"]
    assert protoc.main([*arguments, str(ROOT / "protos" / proto)]) == 0
    (found,) = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
    return found


def committed(descriptor: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    found = descriptor_pb2.FileDescriptorProto()
    descriptor.CopyToProto(found)
    return found


def without_noise(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pb2.FileDescriptorProto:
    """Leave out what versions of the compiler differ in and no program sees."""
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
    return file


@pytest.mark.parametrize("proto", MODULES)
def test_messages_fields_numbers_and_services_are_those_of_the_protos(
    proto: str, tmp_path: Path
) -> None:
    module = MODULES[proto]
    fresh = without_noise(compiled(proto, tmp_path))
    assert without_noise(committed(module.DESCRIPTOR)) == fresh
    assert fresh.message_type, "an empty file would match an empty stub"


def test_the_service_stub_has_every_call_with_its_types() -> None:
    service = raft_service_pb2.DESCRIPTOR.services_by_name["RaftService"]
    source = Path(raft_service_pb2_grpc.__file__).read_text()
    paths = set(re.findall(r"'/raftify\.RaftService/(\w+)'", source))
    assert paths == {method.name for method in service.methods}


@pytest.mark.parametrize("module", MODULES.values())
def test_every_field_is_in_the_type_stub(module: object) -> None:
    """The .pyi files are generated beside the .py files, and could be left behind."""
    source = Path(str(module.__file__)).with_suffix(".pyi").read_text()  # type: ignore[attr-defined]  # modules have it
    descriptor: FileDescriptor = module.DESCRIPTOR  # type: ignore[attr-defined]  # every stub has it
    for message in descriptor.message_types_by_name.values():
        assert f"class {message.name}(" in source
        for field in message.fields:
            assert f"{field.name.upper()}_FIELD_NUMBER" in source


def test_numbers_are_those_of_raft_rs() -> None:
    """A program that reads raft-rs's wire format reads ours: eraftpb.proto of tikv/raft-rs 0.7."""
    numbers = {
        name: {field.name: field.number for field in message.fields}
        for name, message in eraftpb_pb2.DESCRIPTOR.message_types_by_name.items()
    }
    assert numbers["Entry"] == {"entry_type": 1, "term": 2, "index": 3, "data": 4, "context": 6}
    assert numbers["HardState"] == {"term": 1, "vote": 2, "commit": 3}
    assert numbers["Snapshot"] == {"data": 1, "metadata": 2}
    assert numbers["SnapshotMetadata"] == {"conf_state": 1, "index": 2, "term": 3}
    assert numbers["ConfState"] == {
        "voters": 1,
        "learners": 2,
        "voters_outgoing": 3,
        "learners_next": 4,
        "auto_leave": 5,
    }
    assert numbers["Message"] == {
        "msg_type": 1,
        "to": 2,
        "from": 3,
        "term": 4,
        "log_term": 5,
        "index": 6,
        "entries": 7,
        "commit": 8,
        "snapshot": 9,
        "reject": 10,
        "reject_hint": 11,
        "context": 12,
        "request_snapshot": 13,
        "deprecated_priority": 14,
        "commit_term": 15,
        "priority": 16,
    }
    assert numbers["ConfChangeV2"] == {"transition": 1, "changes": 2, "context": 3}
    assert numbers["ConfChangeSingle"] == {"change_type": 1, "node_id": 2}
    assert numbers["ConfChange"] == {"id": 1, "change_type": 2, "node_id": 3, "context": 4}


def test_raw_message_differs_from_message_only_in_its_entries() -> None:
    raw = raft_service_pb2.DESCRIPTOR.message_types_by_name["RawMessage"]
    typed = eraftpb_pb2.DESCRIPTOR.message_types_by_name["Message"]
    assert {f.name: f.number for f in raw.fields} == {
        f.name: f.number for f in typed.fields if f.name != "deprecated_priority"
    }
    for field in raw.fields:
        twin = typed.fields_by_name[field.name]
        assert field.type == twin.type or field.name == "entries"
