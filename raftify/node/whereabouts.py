"""Where the other nodes are: what the membership says, and what they said themselves since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from raftify.node.config_changes import was_removed
from raftify.node.local_state import LocalState
from raftify.peers import Peer, Peers
from raftify.transport.interface import Transport

#: Callers that the membership does not have; the first heard is forgotten for another.
_MOST_MET: Final = 16


class Whereabouts:
    """Tells the transport whom to reach where.

    A node that was started at another address calls its peers from there before the cluster has
    agreed on it, and a leader may have joined while this node was away. Their calls have to be
    answered, or this node would never learn of the membership that names them. So what a caller
    says of itself counts until the membership knows better.
    """

    def __init__(self, state: LocalState, transport: Transport, configured: Peers | None) -> None:
        self._state = state
        self._transport = transport
        #: Callers and others that this node's membership does not have.
        self._met: dict[int, Peer] = {}
        # By id: the address heard, and the one that the membership had then.
        self._heard: dict[int, tuple[str, str]] = {}
        # All nodes of a static cluster may be started elsewhere at the same time.
        for node_id, peer in (configured or {}).items():
            if node_id in state.membership.peers:
                self._note(node_id, peer.address)

    def publish(self) -> None:
        """Give the transport the peers as they are known now."""
        membership = self._state.membership
        members = membership.peers
        self._met = {
            node_id: peer
            for node_id, peer in self._met.items()
            if node_id not in members and not was_removed(node_id, membership)
        }
        self._heard = {
            node_id: (address, before)
            for node_id, (address, before) in self._heard.items()
            if node_id in members and members[node_id].address == before
        }
        moved = {i: replace(members[i], address=a) for i, (a, _) in self._heard.items()}
        self._transport.update_peers({**self._met, **members, **moved})

    def heard(self, node_id: int, address: str) -> None:
        """Note that node `node_id` says it is at `address`; it was not removed."""
        if self._note(node_id, address):
            self.publish()

    def meet(self, peers: Mapping[int, Peer]) -> None:
        """Make members known to a node that has no membership yet, so that it can answer."""
        for peer in peers.values():
            self.heard(peer.node_id, peer.address)

    def _note(self, node_id: int, address: str) -> bool:
        if node_id == self._state.node_id:
            return False
        member = self._state.membership.peers.get(node_id)
        if member is None:
            before = self._met.get(node_id)
            self._met.pop(node_id, None)
            while len(self._met) >= _MOST_MET:
                # Anyone can call under a new id, and each is called back at an address of its own.
                del self._met[next(iter(self._met))]
            self._met[node_id] = Peer(node_id, address)
            return before is None or before.address != address
        known, _ = self._heard.get(node_id, (member.address, ""))
        if address == known:
            return False
        if address == member.address:
            self._heard.pop(node_id, None)
        else:
            self._heard[node_id] = (address, member.address)
        return True
