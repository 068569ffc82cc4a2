"""RaftServiceClient: a cluster as a program outside it sees it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar, cast

from raftify.client.arguments import flag, payload, payloads, several, text
from raftify.client.arguments import seconds as checked_seconds
from raftify.client.backoff import Backoff
from raftify.client.directory import PROBE_TIMEOUT, ClusterDirectory, Connect
from raftify.client.leader_call import LeaderCall, Operation
from raftify.client.membership import MembershipChanges
from raftify.client.node_calls import NodeCalls
from raftify.config import Config
from raftify.core.types import INVALID_ID
from raftify.errors import (
    ConfigError,
    DeadlineExceeded,
    PeerUnreachable,
    RaftifyError,
)
from raftify.peers import (
    Address,
    ClusterJoinTicket,
    ClusterView,
    Membership,
    Peer,
    Peers,
    check_node_id,
    check_peer,
)
from raftify.state_machine import AbstractLogEntry
from raftify.transport import connect as connect_over_grpc
from raftify.transport.interface import NodeApi, RemoteNode

T = TypeVar("T")


def create_client(
    addr: str | Sequence[str],
    *,
    timeout: float = 10.0,
    cluster_id: str = "",
    config: Config | None = None,
    connect: Connect = connect_over_grpc,
    source: random.Random | None = None,
) -> RaftServiceClient:
    """Return a client of the cluster that the node at `addr` is a member of.

    Any member serves as the way in, and several addresses are several ways in: the client finds
    the leader and the other members by itself and remembers them. It connects on first use, so an
    address that nobody listens at shows in the first call. Use it as an async context manager, or
    `await client.close()` at the end.

    Args:
        addr: `host:port` of a member, or of several.
        timeout: seconds that each call may take in all, unless it is given its own.
        cluster_id: refuse nodes of any other cluster; empty: take the first that answers.
        config: for its transport settings; the client is no node and reads none of the others.
        connect: how to reach a node; for tests.
        source: randomness of the waits between attempts; for tests.

    Raises:
        ConfigError: an address cannot be read, or the timeout is no time.
    """
    if not isinstance(addr, Iterable):
        raise ConfigError(
            f"a client is given 'host:port' or several of them, not {type(addr).__name__}"
        )
    given = [addr] if isinstance(addr, str) else list(addr)
    if not given:
        raise ConfigError("a client needs the address of at least one member of the cluster")
    seeds = [Address.parse(one) for one in given]
    settings = config if config is not None else Config()
    if not isinstance(settings, Config):
        raise ConfigError(f"config is {type(settings).__name__}, no Config")
    if not callable(connect):
        raise ConfigError(f"connect is a function of an address, not {connect!r:.60}")
    if source is not None and not isinstance(source, random.Random):
        raise ConfigError(f"source is a random.Random, not {source!r:.60}")
    text("cluster_id", cluster_id)
    directory = ClusterDirectory(seeds, settings, connect, cluster_id)
    return RaftServiceClient(
        directory,
        timeout=checked_seconds(timeout, 10.0),
        attempt_timeout=settings.request_timeout,
        source=source if source is not None else random.Random(),
    )


class RaftServiceClient(MembershipChanges, NodeCalls):
    """A client of one cluster, made by `create_client`. Belongs to one event loop.

    The membership is changed by the same calls as on a node, see `MembershipChanges`.

    Every call raises ConfigError for an argument that is wrong, before anything is sent.

    Calls that the leader must answer follow it as it moves. They repeat what is certain to have
    had no effect, until their deadline, and raise:

        NoLeader: nothing was submitted before the deadline; the message says who was asked.
        OutcomeUnknown: it was submitted and may or may not take effect; never repeated for you.
        Rejected: the leader refused it.
        TransportError: the client is closed, or every address belongs to another cluster.

    `timeout` is in seconds and covers the whole call. Cancelling a call stops the waiting, not what
    was begun. Any number of calls may be under way at once; they share one connection per node.
    """

    def __init__(
        self,
        directory: ClusterDirectory,
        *,
        timeout: float,
        attempt_timeout: float,
        source: random.Random,
    ) -> None:
        self._directory = directory
        self._timeout = timeout
        self._attempt_timeout = attempt_timeout
        self._random = source

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; calls under way fail. Harmless the second time."""
        await self._directory.close()

    # -- log --------------------------------------------------------------------------------

    async def propose(
        self, data: bytes | AbstractLogEntry, *, timeout: float | None = None
    ) -> bytes:
        """Replicate `data`; return what the leader's state machine answered when it applied it.

        After OutcomeUnknown the entry may have been applied, or be applied later: to be sure, ask
        the state machine before proposing it again.

        Raises:
            ConfigError: `data` is neither bytes nor an entry.
            ProposalTooLarge: it exceeds Config.max_proposal_bytes of the leader.
        """
        wanted = data if type(data) is bytes else payload(data)
        seconds = checked_seconds(timeout, self._timeout)
        started = asyncio.get_running_loop().time()
        directory = self._directory
        leader, address = directory.leader, directory.leader_address
        if leader is None:
            return await self._call(started, seconds).run(
                lambda node, left: node.propose(wanted, timeout=left)
            )
        try:
            return await leader.propose(wanted, timeout=seconds)
        except RaftifyError as error:
            call = self._call(started, seconds)
            await call.recover(error, address)
        return await call.run(lambda node, left: node.propose(wanted, timeout=left))

    async def propose_many(
        self, data: Sequence[bytes | AbstractLogEntry], *, timeout: float | None = None
    ) -> list[bytes | RaftifyError]:
        """Replicate many entries, over one stream; return for each its result or its own error.

        Raises:
            ConfigError: one of them is no bytes; none was proposed.
        """
        wanted = payloads(data)
        limit = checked_seconds(timeout, self._timeout)
        answers = await asyncio.gather(
            *(self.propose(one, timeout=limit) for one in wanted),
            return_exceptions=True,
        )
        return [_answer(answer) for answer in answers]

    async def query(
        self, data: bytes, *, stale: bool = False, timeout: float | None = None
    ) -> bytes:
        """Ask the leader's state machine; return what its `query` answers, as of now.

        The answer holds everything that was acknowledged before the call. With `stale` the node at
        the client's (first) address answers from what it holds, however old that is.

        Raises:
            QueryFailed: the state machine has no `query`, or it raised.
        """
        question = payload(data, "a query")
        if flag("stale", stale):
            return await self._on_node(
                lambda node, left: node.query(question, timeout=left, stale=True), timeout
            )
        return await self._on_leader(
            lambda node, left: node.query(question, timeout=left), timeout, repeatable=True
        )

    async def read_index(self, *, timeout: float | None = None) -> int:
        """Return an index that the leader confirmed with a quorum just now.

        A node that has applied it serves a linearizable read from its state machine.
        """
        return await self._on_leader(
            lambda node, left: node.read_index(timeout=left), timeout, repeatable=True
        )

    # -- membership -------------------------------------------------------------------------

    async def _ask_leader(
        self,
        do: Callable[[NodeApi, float], Awaitable[T]],
        *,
        timeout: float,
        what: str,
        repeatable: bool = False,
    ) -> T:
        try:
            answer = await self._on_leader(do, timeout, repeatable=repeatable)
        except DeadlineExceeded as error:
            if not repeatable or what in str(error):  # it is the leader's own
                raise
            raise DeadlineExceeded(f"{what}: {error}") from error
        if isinstance(answer, Membership):
            self._directory.learn_membership(answer)
        return answer

    def _change_timeout(self, timeout: float | None) -> float:
        return checked_seconds(timeout, self._timeout)

    async def request_id(
        self, raft_addr: str, identity: str = "", *, timeout: float | None = None
    ) -> ClusterJoinTicket:
        """Reserve an id for a node that is to listen at `raft_addr`, known by `identity`.

        The same identity (by default the address) always gets the same id, so asking again is safe.

        Raises:
            JoinRejected: a member has that address already.
        """
        address = Address.parse(raft_addr)
        text("identity", identity)
        return await self._on_leader(
            lambda node, left: node.request_id(address, identity, timeout=left),
            timeout,
            repeatable=True,
        )

    async def get_peers(self, *, timeout: float | None = None) -> ClusterView:
        """Return the cluster as one of its nodes sees it: the leader if it answers, else any.

        Raises:
            PeerUnreachable: no node answered.
        """
        seconds = checked_seconds(timeout, self._timeout)
        directory, loop, backoff = (
            self._directory,
            asyncio.get_running_loop(),
            Backoff(self._random),
        )
        started = loop.time()
        deadline = started + seconds
        while loop.time() < deadline:
            if directory.leader is None:
                await directory.find_leader(deadline - loop.time())
            for address in directory.addresses():
                left = max(deadline - loop.time(), 0.0)
                view = await directory.ask(address, min(left, PROBE_TIMEOUT))
                if view is not None:
                    return view
            refusal = directory.unanimous_refusal(started)
            if refusal is not None:
                raise refusal
            await asyncio.sleep(max(0.0, min(backoff.next_delay(), deadline - loop.time())))
        raise PeerUnreachable(
            f"no node answered within {seconds:g} s; asked {directory.describe_answers(started)}"
        )

    async def set_peers(
        self, peers: Iterable[Peer] | Mapping[int, str] | Peers, *, timeout: float | None = None
    ) -> None:
        """Tell the cluster that members are reached at other addresses now.

        Raises:
            ConfigError: one of them is no member.
        """
        if isinstance(peers, Mapping):
            moved = [
                known if isinstance(known, Peer) else Peer(node_id, known)
                for node_id, known in peers.items()
            ]
        else:
            moved = cast("list[Peer]", several("peers", peers))
        for peer in moved:
            check_peer(peer)
        await self._on_leader(lambda node, left: node.set_peers(moved, timeout=left), timeout)

    async def transfer_leader(self, to: int | None = None, *, timeout: float | None = None) -> int:
        """Hand leadership to the voter `to`; return its id once it leads.

        Args:
            to: who shall lead; None: of the other voters that are there, the one that has most of
                the log.
            timeout: seconds; None: the client's.

        Raises:
            TransferRejected: that node cannot take over, or no other is there.
        """
        if to is not None:
            check_node_id(to)

        async def transfer(node: RemoteNode, left: float) -> int:
            return await node.transfer_leader(to or INVALID_ID, timeout=left)

        leader_id = await self._on_leader(transfer, timeout)
        self._directory.set_leader(self._directory.address_of(leader_id))
        return leader_id

    # -- ways to a node ---------------------------------------------------------------------

    async def _on_node(self, operation: Operation[T], timeout: float | None) -> T:
        seconds = checked_seconds(timeout, self._timeout)
        return await operation(self._directory.node(self._directory.seeds[0]), seconds)

    async def _on_leader(
        self, operation: Operation[T], timeout: float | None, *, repeatable: bool = False
    ) -> T:
        seconds = checked_seconds(timeout, self._timeout)
        started = asyncio.get_running_loop().time()
        return await self._call(started, seconds, repeatable=repeatable).run(operation)

    def _call(self, started: float, seconds: float, *, repeatable: bool = False) -> LeaderCall:
        return LeaderCall(
            self._directory,
            self._random,
            timeout=seconds,
            started=started,
            attempt_timeout=self._attempt_timeout,
            repeatable=repeatable,
        )


def _answer(answer: bytes | BaseException) -> bytes | RaftifyError:
    """Return it; raise what no proposal ends with, a cancellation for example."""
    if isinstance(answer, BaseException) and not isinstance(answer, RaftifyError):
        raise answer
    return answer
