"""A channel that is known to be connected before anything is sent over it."""

from __future__ import annotations

import asyncio
from typing import Final

import grpc

from raftify.config import Config
from raftify.errors import PeerUnreachable, TransportError
from raftify.transport.channel_options import open_channel
from raftify.transport.credentials import version_of
from raftify.transport.status import describe
from raftify.transport.stubs import RaftStub, stub_of
from raftify.transport.trust import connection_failure

#: A call that no node has. It tells why there is no connection, and does nothing if there is one.
_WHY: Final = "/raftify.RaftService/Why"
_WHY_TIMEOUT: Final = 1.0

_READY = grpc.ChannelConnectivity.READY
_FAILED = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


class Dialer:
    """Connects to one address and hands out its stub. Whoever waits shares one attempt.

    A failed attempt's channel is thrown away: it would back off, and a caller who asks now wants to
    know now. What fails before `stub` returned has certainly sent nothing.
    """

    def __init__(self, address: str, config: Config, *, to_id: int = 0) -> None:
        self._address = address
        self._to_id = to_id
        self._config = config
        self._channel: grpc.aio.Channel | None = None
        self._stub: RaftStub | None = None
        self._certificates = 0
        self._attempt: asyncio.Task[RaftStub] | None = None
        self._closed = False

    async def stub(self, *, timeout: float) -> RaftStub:
        """Return the stub of a channel that is connected.

        Raises:
            PeerUnreachable: nobody answers there, or not within `timeout` seconds.
            CertificateRefused: who answers there is not to be trusted.
        """
        self._check_open()
        channel, stub = self._channel, self._stub
        if channel is not None and stub is not None and _is_ready(channel):
            return stub
        if self._attempt is None:
            self._attempt = asyncio.get_running_loop().create_task(
                self._connect(), name=f"raftify-connect-{self._address}"
            )
            self._attempt.add_done_callback(self._on_attempted)
        attempt = self._attempt
        done, _ = await asyncio.wait((attempt,), timeout=timeout)
        self._check_open()
        if not done:
            raise PeerUnreachable(
                f"no connection to {self._address} within {timeout:.3g} s: nothing came back, "
                "neither an answer nor a refusal; the machine or the program there is down or "
                "frozen, or a firewall swallows what is sent"
            )
        return attempt.result()

    async def close(self) -> None:
        self._closed = True
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.wait((self._attempt,))
        await self._discard()

    def _check_open(self) -> None:
        if self._closed:
            raise PeerUnreachable(f"the connection to {self._address} was closed on this side")

    async def _connect(self) -> RaftStub:
        certificates = version_of(self._config.tls)
        if certificates != self._certificates:
            await self._discard()
        if self._channel is None or self._stub is None:
            self._channel = open_channel(self._address, self._config, to_id=self._to_id)
            self._certificates = certificates
            self._stub = stub_of(self._channel)
        channel, stub = self._channel, self._stub
        state = channel.get_state(try_to_connect=True)
        while state is not _READY:
            if state in _FAILED:
                failure = await self._why(channel)
                await self._discard()
                raise failure
            await channel.wait_for_state_change(state)
            state = channel.get_state(try_to_connect=True)
        return stub

    async def _why(self, channel: grpc.aio.Channel) -> TransportError:
        """Return why `channel`, which has just failed to connect, did."""
        why: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_WHY)
        try:
            await why(b"", timeout=_WHY_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return connection_failure(
                    error.details() or "", self._address, self._config.tls, node_id=self._to_id
                )
            reason = describe(error)
        else:
            reason = "it was late"
        return PeerUnreachable(f"nobody answers at {self._address} ({reason})")

    async def _discard(self) -> None:
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close()

    def _on_attempted(self, attempt: asyncio.Task[RaftStub]) -> None:
        self._attempt = None
        if not attempt.cancelled():
            # Asked for here, because everybody may have stopped waiting.
            attempt.exception()


def _is_ready(channel: grpc.aio.Channel) -> bool:
    return channel.get_state(try_to_connect=True) is _READY
