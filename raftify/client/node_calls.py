"""What a client asks of one node, whoever leads."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

from raftify.client.arguments import message as checked_message
from raftify.client.changes import first_members
from raftify.client.leader_call import Operation
from raftify.core.types import Message
from raftify.errors import MalformedMessage
from raftify.peers import Membership, Peers

T = TypeVar("T")


class NodeCalls(ABC):
    """Calls of the node at the client's (first) address. None of them is repeated."""

    @abstractmethod
    async def _on_node(self, operation: Operation[T], timeout: float | None) -> T:
        """Return what the operation returns for that node."""

    async def initialize(
        self, members: Mapping[int, str] | Peers, *, timeout: float | None = None
    ) -> Membership:
        """Have the node at the client's (first) address, which waits, found a cluster of `members`.

        It is one of those that are to be voters. Returns its first membership once that is durable
        there. Safe to repeat with the same members, see `Raft.initialize`.

        Raises:
            ConfigError: members makes no cluster, or has that node not, at another address or as a
                learner.
            ConfChangeRejected: it has a cluster or a log already.
            JoinRejected: it has asked a cluster to take it.
            PeerUnreachable: it is not there; nothing was done.
        """
        wanted = first_members(members)
        return await self._on_node(
            lambda node, left: node.initialize(wanted, timeout=left), timeout
        )

    async def debug_node(self, *, timeout: float | None = None) -> dict[str, object]:
        """Return the inner state of the node at the client's (first) address itself.

        Raises:
            MalformedMessage: what it answers is no description of a node.
        """
        text = await self._on_node(lambda node, left: node.debug_node(timeout=left), timeout)
        try:
            state = json.loads(text)
        except ValueError as error:
            raise MalformedMessage(f"the node's state is no JSON: {error}") from error
        if not isinstance(state, dict):
            raise MalformedMessage(f"the node's state is no JSON object but {text[:60]!r}")
        return state

    async def metrics(self, *, timeout: float | None = None) -> dict[str, object]:
        """Return the metrics of the node at the client's (first) address, as plain values.

        They have the names of `Metrics`; ids of peers are texts, as JSON has no others.

        Raises:
            MalformedMessage: it tells none: an older version runs there.
        """
        metrics = (await self.debug_node(timeout=timeout)).get("metrics")
        if not isinstance(metrics, dict):
            raise MalformedMessage("that node tells no metrics: another version runs there")
        return metrics

    async def read_state(self, *, timeout: float | None = None) -> bytes:
        """Return the state machine of the node at the client's (first) address, as `encode` does.

        For tools that show it: `MyStateMachine.decode` makes it one again. It is as of what that
        node has applied; questions that must not be answered by the past are for `query`.

        Raises:
            QueryFailed: `encode` raised, or the state does not fit into a message
                (`Config.max_grpc_message_bytes`).
        """
        return await self._on_node(lambda node, left: node.read_state(timeout=left), timeout)

    async def create_snapshot(self, *, timeout: float | None = None) -> int:
        """Have the node at the client's (first) address take a snapshot; return its index."""
        return await self._on_node(lambda node, left: node.create_snapshot(timeout=left), timeout)

    async def send_message(self, message: Message, *, timeout: float | None = None) -> None:
        """Hand one Raft message to the node at the client's (first) address."""
        wanted = checked_message(message)
        await self._on_node(lambda node, left: node.send_message(wanted, timeout=left), timeout)
