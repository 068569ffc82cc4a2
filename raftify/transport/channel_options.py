"""How our channels and servers are set up; both ends must agree, so both are here."""

from __future__ import annotations

from typing import Final

import grpc

from raftify.config import Config

#: A peer whose machine vanished (no FIN, no RST) is noticed after the sum of these two, instead of
#: after the minutes that TCP takes.
_KEEPALIVE_TIME_MS: Final = 2_000
_KEEPALIVE_TIMEOUT_MS: Final = 3_000
#: gRPC core takes nothing below 100 ms here.
_RECONNECT_MIN_MS: Final = 100
_RECONNECT_MAX_MS: Final = 200
#: Room for protobuf and gRPC framing between our own limits and gRPC's.
MESSAGE_HEADROOM_BYTES: Final = 64 * 1024

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
    )


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


def open_channel(address: str, config: Config) -> grpc.aio.Channel:
    """Return a new channel to `address`, which connects when it is used first."""
    return grpc.aio.insecure_channel(address, options=channel_options(config))


def payload_limit(config: Config) -> int:
    """Return how many bytes of ours fit into one gRPC message."""
    return max(config.max_grpc_message_bytes - MESSAGE_HEADROOM_BYTES, 1)
