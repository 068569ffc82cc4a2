from raftify.wire import eraftpb_pb2 as _eraftpb_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RawMessage(_message.Message):
    __slots__ = ("msg_type", "to", "term", "log_term", "index", "entries", "commit", "snapshot", "reject", "reject_hint", "context", "request_snapshot", "commit_term", "priority")
    MSG_TYPE_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LOG_TERM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    REJECT_FIELD_NUMBER: _ClassVar[int]
    REJECT_HINT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TERM_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    msg_type: _eraftpb_pb2.MessageType
    to: int
    term: int
    log_term: int
    index: int
    entries: _containers.RepeatedScalarFieldContainer[bytes]
    commit: int
    snapshot: _eraftpb_pb2.Snapshot
    reject: bool
    reject_hint: int
    context: bytes
    request_snapshot: int
    commit_term: int
    priority: int
    def __init__(self, msg_type: _Optional[_Union[_eraftpb_pb2.MessageType, str]] = ..., to: _Optional[int] = ..., term: _Optional[int] = ..., log_term: _Optional[int] = ..., index: _Optional[int] = ..., entries: _Optional[_Iterable[bytes]] = ..., commit: _Optional[int] = ..., snapshot: _Optional[_Union[_eraftpb_pb2.Snapshot, _Mapping]] = ..., reject: bool = ..., reject_hint: _Optional[int] = ..., context: _Optional[bytes] = ..., request_snapshot: _Optional[int] = ..., commit_term: _Optional[int] = ..., priority: _Optional[int] = ..., **kwargs) -> None: ...

class MessageBatch(_message.Message):
    __slots__ = ("messages", "crc32", "piece", "is_last_piece")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CRC32_FIELD_NUMBER: _ClassVar[int]
    PIECE_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_PIECE_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[RawMessage]
    crc32: int
    piece: bytes
    is_last_piece: bool
    def __init__(self, messages: _Optional[_Iterable[_Union[RawMessage, _Mapping]]] = ..., crc32: _Optional[int] = ..., piece: _Optional[bytes] = ..., is_last_piece: bool = ...) -> None: ...

class MessagesClosed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SendMessageRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _eraftpb_pb2.Message
    def __init__(self, message: _Optional[_Union[_eraftpb_pb2.Message, _Mapping]] = ...) -> None: ...

class SnapshotChunk(_message.Message):
    __slots__ = ("header", "offset", "data", "crc32")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CRC32_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    offset: int
    data: bytes
    crc32: int
    def __init__(self, header: _Optional[bytes] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., crc32: _Optional[int] = ...) -> None: ...

class SnapshotReceipt(_message.Message):
    __slots__ = ("size_bytes",)
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    def __init__(self, size_bytes: _Optional[int] = ...) -> None: ...

class SnapshotDescriptor(_message.Message):
    __slots__ = ("file_id", "size_bytes", "crc32", "membership")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CRC32_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    file_id: str
    size_bytes: int
    crc32: int
    membership: Membership
    def __init__(self, file_id: _Optional[str] = ..., size_bytes: _Optional[int] = ..., crc32: _Optional[int] = ..., membership: _Optional[_Union[Membership, _Mapping]] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("node_id", "address", "incarnation", "metadata")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    address: str
    incarnation: str
    metadata: bytes
    def __init__(self, node_id: _Optional[int] = ..., address: _Optional[str] = ..., incarnation: _Optional[str] = ..., metadata: _Optional[bytes] = ...) -> None: ...

class Reservation(_message.Message):
    __slots__ = ("identity", "node_id")
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    identity: str
    node_id: int
    def __init__(self, identity: _Optional[str] = ..., node_id: _Optional[int] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("index", "conf_state", "peers", "reservations", "max_id", "origin")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONF_STATE_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    index: int
    conf_state: _eraftpb_pb2.ConfState
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    reservations: _containers.RepeatedCompositeFieldContainer[Reservation]
    max_id: int
    origin: str
    def __init__(self, index: _Optional[int] = ..., conf_state: _Optional[_Union[_eraftpb_pb2.ConfState, _Mapping]] = ..., peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., reservations: _Optional[_Iterable[_Union[Reservation, _Mapping]]] = ..., max_id: _Optional[int] = ..., origin: _Optional[str] = ...) -> None: ...

class InternalCommand(_message.Message):
    __slots__ = ("reserve_id_for", "set_addresses")
    RESERVE_ID_FOR_FIELD_NUMBER: _ClassVar[int]
    SET_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    reserve_id_for: str
    set_addresses: PeerList
    def __init__(self, reserve_id_for: _Optional[str] = ..., set_addresses: _Optional[_Union[PeerList, _Mapping]] = ...) -> None: ...

class PeerList(_message.Message):
    __slots__ = ("peers",)
    PEERS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    def __init__(self, peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ...) -> None: ...

class StoreIdentity(_message.Message):
    __slots__ = ("cluster_id", "node_id", "incarnation")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    node_id: int
    incarnation: str
    def __init__(self, cluster_id: _Optional[str] = ..., node_id: _Optional[int] = ..., incarnation: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("kind", "message", "leader_id", "leader_address", "known_to_most")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TO_MOST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    message: str
    leader_id: int
    leader_address: str
    known_to_most: bool
    def __init__(self, kind: _Optional[str] = ..., message: _Optional[str] = ..., leader_id: _Optional[int] = ..., leader_address: _Optional[str] = ..., known_to_most: bool = ...) -> None: ...

class ProposeRequest(_message.Message):
    __slots__ = ("data", "timeout_ms")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    timeout_ms: int
    def __init__(self, data: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class ProposeResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    def __init__(self, result: _Optional[bytes] = ...) -> None: ...

class ProposeItem(_message.Message):
    __slots__ = ("request_id", "data", "timeout_ms")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    data: bytes
    timeout_ms: int
    def __init__(self, request_id: _Optional[int] = ..., data: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class ProposeBatch(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ProposeItem]
    def __init__(self, items: _Optional[_Iterable[_Union[ProposeItem, _Mapping]]] = ...) -> None: ...

class ProposeResult(_message.Message):
    __slots__ = ("request_id", "result", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    result: bytes
    error: Error
    def __init__(self, request_id: _Optional[int] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class ProposeResults(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ProposeResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ProposeResult, _Mapping]]] = ...) -> None: ...

class ReadIndexRequest(_message.Message):
    __slots__ = ("timeout_ms",)
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    timeout_ms: int
    def __init__(self, timeout_ms: _Optional[int] = ...) -> None: ...

class ReadIndexResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("data", "timeout_ms", "stale")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    timeout_ms: int
    stale: bool
    def __init__(self, data: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ..., stale: bool = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: bytes
    def __init__(self, result: _Optional[bytes] = ...) -> None: ...

class InitialMember(_message.Message):
    __slots__ = ("peer", "role")
    PEER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    peer: Peer
    role: str
    def __init__(self, peer: _Optional[_Union[Peer, _Mapping]] = ..., role: _Optional[str] = ...) -> None: ...

class InitializeRequest(_message.Message):
    __slots__ = ("members", "timeout_ms")
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[InitialMember]
    timeout_ms: int
    def __init__(self, members: _Optional[_Iterable[_Union[InitialMember, _Mapping]]] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class RequestIdRequest(_message.Message):
    __slots__ = ("raft_addr", "identity", "timeout_ms")
    RAFT_ADDR_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    raft_addr: str
    identity: str
    timeout_ms: int
    def __init__(self, raft_addr: _Optional[str] = ..., identity: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class RequestIdResponse(_message.Message):
    __slots__ = ("reserved_id", "cluster_id", "leader_id", "leader_address", "membership")
    RESERVED_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    reserved_id: int
    cluster_id: str
    leader_id: int
    leader_address: str
    membership: Membership
    def __init__(self, reserved_id: _Optional[int] = ..., cluster_id: _Optional[str] = ..., leader_id: _Optional[int] = ..., leader_address: _Optional[str] = ..., membership: _Optional[_Union[Membership, _Mapping]] = ...) -> None: ...

class ChangeConfigRequest(_message.Message):
    __slots__ = ("change", "timeout_ms", "force")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    change: _eraftpb_pb2.ConfChangeV2
    timeout_ms: int
    force: bool
    def __init__(self, change: _Optional[_Union[_eraftpb_pb2.ConfChangeV2, _Mapping]] = ..., timeout_ms: _Optional[int] = ..., force: bool = ...) -> None: ...

class AwaitCaughtUpRequest(_message.Message):
    __slots__ = ("node_id", "timeout_ms")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    timeout_ms: int
    def __init__(self, node_id: _Optional[int] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class AwaitCaughtUpResponse(_message.Message):
    __slots__ = ("matched",)
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    matched: int
    def __init__(self, matched: _Optional[int] = ...) -> None: ...

class ChangeConfigResponse(_message.Message):
    __slots__ = ("membership",)
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    membership: Membership
    def __init__(self, membership: _Optional[_Union[Membership, _Mapping]] = ...) -> None: ...

class GetPeersResponse(_message.Message):
    __slots__ = ("node_id", "cluster_id", "leader_id", "leader_address", "membership")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    cluster_id: str
    leader_id: int
    leader_address: str
    membership: Membership
    def __init__(self, node_id: _Optional[int] = ..., cluster_id: _Optional[str] = ..., leader_id: _Optional[int] = ..., leader_address: _Optional[str] = ..., membership: _Optional[_Union[Membership, _Mapping]] = ...) -> None: ...

class SetPeersRequest(_message.Message):
    __slots__ = ("peers", "timeout_ms")
    PEERS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    timeout_ms: int
    def __init__(self, peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class TransferLeaderRequest(_message.Message):
    __slots__ = ("to", "timeout_ms")
    TO_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    to: int
    timeout_ms: int
    def __init__(self, to: _Optional[int] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class TransferLeaderResponse(_message.Message):
    __slots__ = ("leader_id",)
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    leader_id: int
    def __init__(self, leader_id: _Optional[int] = ...) -> None: ...

class DebugNodeResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class ReadStateResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: bytes
    def __init__(self, state: _Optional[bytes] = ...) -> None: ...

class CreateSnapshotResponse(_message.Message):
    __slots__ = ("index",)
    INDEX_FIELD_NUMBER: _ClassVar[int]
    index: int
    def __init__(self, index: _Optional[int] = ...) -> None: ...
