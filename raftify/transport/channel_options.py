"""How our channels and servers are set up; both ends must agree, so both are here."""

from __future__ import annotations

import sys
from typing import Final

import grpc

from raftify.config import Config
from raftify.transport.credentials import channel_credentials

#: A peer whose machine vanished (no FIN, no RST) is noticed after the sum of these two, instead of
#: after the minutes that TCP takes.
_KEEPALIVE_TIME_MS: Final = 2_000
_KEEPALIVE_TIMEOUT_MS: Final = 3_000
#: gRPC core takes nothing below 100 ms here.
_RECONNECT_MIN_MS: Final = 100
_RECONNECT_MAX_MS: Final = 200
#: Room for protobuf and gRPC framing between our own limits and gRPC's.
MESSAGE_HEADROOM_BYTES: Final = 64 * 1024

#: Seconds, in milliseconds: a connection has to say that it speaks HTTP/2, and one without any call
#: is closed, which its owner notices at the next call and mends.
_HANDSHAKE_MS: Final = 10_000
_IDLE_MS: Final = 120_000
#: Calls at the same time over one connection; a caller queues what is more.
_STREAMS_PER_CONNECTION: Final = 256
_METADATA_BYTES: Final = 16 * 1024
#: Files that a node needs beside the connections it takes: log, snapshots, connections it makes.
_OWN_FILES: Final = 200
_LEAST_CONNECTIONS: Final = 64
_NO_LIMIT: Final = (1 << 31) - 1

_Options = tuple[tuple[str, int], ...]


def _common(config: Config) -> _Options:
    return (
        # Both directions, on both ends: the default for receiving is 4 MB.
        ("grpc.max_send_message_length", config.max_grpc_message_bytes),
        ("grpc.max_receive_message_length", config.max_grpc_message_bytes),
        ("grpc.keepalive_time_ms", _KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        # Any ping under way, the transport's own included, holds keepalive's back; by default it
        # may take a minute.
        ("grpc.http2.ping_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    )


def server_options(config: Config) -> _Options:
    return (
        *_common(config),
        # Without this a second process binds the same port, and the kernel deals connections out
        # to both.
        ("grpc.so_reuseport", 0),
        # A server counts pings that come more often than it likes, and hangs up after two.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", _KEEPALIVE_TIME_MS // 2),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_allowed_incoming_connections", most_connections(config)),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
        ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
        # What is beyond the first is refused more and more, what is beyond the second always.
        ("grpc.max_metadata_size", _METADATA_BYTES // 2),
        ("grpc.absolute_max_metadata_size", _METADATA_BYTES),
    )


def most_connections(config: Config) -> int:
    """Return how many connections a server takes; see `Config.max_connections`."""
    if config.max_connections:
        return config.max_connections
    if sys.platform == "win32":
        return _NO_LIMIT
    import resource  # noqa: PLC0415 - there is none on Windows

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _NO_LIMIT
    return min(max(files - _OWN_FILES, _LEAST_CONNECTIONS), _NO_LIMIT)


def channel_options(config: Config) -> _Options:
    # The name notwithstanding, "min" is how long one attempt to connect may take.
    attempt_ms = max(_RECONNECT_MAX_MS, int(1000 * min(config.request_timeout, 2.0)))
    return (
        *_common(config),
        ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MIN_MS),
        ("grpc.max_reconnect_backoff_ms", _RECONNECT_MAX_MS),
        ("grpc.min_reconnect_backoff_ms", attempt_ms),
        # Names are looked up anew when a node moved, not at most every 30 s.
        ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        # Channels to one address would share one connection, and a snapshot hold up heartbeats.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
    )


def open_channel(address: str, config: Config, *, to_id: int = 0) -> grpc.aio.Channel:
    """Return a new channel to `address`, which connects when it is used first.

    With TLS it connects to none but the node `to_id`, where certificates name nodes.
    """
    tls, options = config.tls, channel_options(config)
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    name = tls.name_of(to_id)
    expected = (("grpc.ssl_target_name_override", name),) if name else ()
    return grpc.aio.secure_channel(address, channel_credentials(tls), options=(*options, *expected))


def payload_limit(config: Config) -> int:
    """Return how many bytes of ours fit into one gRPC message."""
    return payload_within(config.max_grpc_message_bytes)


def most_in_pieces(config: Config) -> int:
    """Return how many bytes a batch of messages may have that comes in several gRPC messages."""
    return max(config.outbox_bytes, config.max_grpc_message_bytes)


def payload_within(message_bytes: int) -> int:
    """Return how many bytes of ours fit into a gRPC message of `message_bytes`."""
    return max(message_bytes - MESSAGE_HEADROOM_BYTES, 1)
