"""What a client knows of its cluster: addresses, members, who leads, and a connection to each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from raftify.config import Config
from raftify.errors import ConfigError, PeerRefused, RaftifyError, TransportError
from raftify.peers import Address, ClusterView, Membership
from raftify.transport.interface import RemoteNode

#: How long one address has to say who leads. All are asked at once, so one that is silent holds
#: up the search by no more than this, and only while no other one leads.
PROBE_TIMEOUT: Final = 1.0
#: How long a node that said it is stopping is not believed to lead: it may say so to the very end,
#: and every proposal that it then turns away looks like one that was lost under way.
STOPPING_TIME: Final = 1.0
#: How long a connection to an address that is no member any more stays open for what is under way.
RETIREMENT: Final = 60.0


class Connect(Protocol):
    """How a client reaches a node: `raftify.transport.connect`, or a test's own."""

    def __call__(
        self, address: str, config: Config, *, cluster_id: str = "", to_id: int = 0
    ) -> RemoteNode: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    when: float
    text: str
    refusal: PeerRefused | None


class ClusterDirectory:
    """Addresses and connections, shared by all calls of one client.

    The addresses are those the user gave and those of the newest membership seen. The cluster's id
    is learned from the first node that names it, and from then on said in every new connection, so
    that an address which another cluster took over is noticed.
    """

    def __init__(
        self, seeds: Sequence[str], config: Config, connect: Connect, cluster_id: str
    ) -> None:
        self.seeds = tuple(seeds)
        self.leader_address = ""
        #: Connection to the leader, kept beside its address for the sake of `propose`.
        self.leader: RemoteNode | None = None
        self._config = config
        self._connect = connect
        self._cluster_id = cluster_id
        self._membership = Membership()
        self._nodes: dict[str, RemoteNode] = {}
        self._retired: dict[str, float] = {}
        self._answers: dict[str, _Answer] = {}
        self._stopping: dict[str, float] = {}
        self._search: asyncio.Task[None] | None = None
        self._closed = False

    # -- addresses and connections ----------------------------------------------------------

    def addresses(self) -> list[str]:
        """Return every address that may know something, the likeliest leader first."""
        members = (peer.address for peer in self._membership.peers.values())
        every = (self.leader_address, *self.seeds, *members)
        return list(dict.fromkeys(address for address in every if address))

    def address_of(self, node_id: int) -> str:
        """Return a member's address; empty if it is not known."""
        return self._membership.address_of(node_id)

    def node(self, address: str) -> RemoteNode:
        """Return the connection to `address`.

        Raises:
            TransportError: the client is closed.
        """
        self._check_open()
        self._retired.pop(address, None)
        node = self._nodes.get(address)
        if node is None:
            node = self._connect(address, self._config, cluster_id=self._cluster_id)
            self._nodes[address] = node
        return node

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError("this client is closed: create another one")

    # -- what was learned -------------------------------------------------------------------

    def set_leader(self, address: str) -> bool:
        """Take note that the node at `address` leads; return False if that cannot be."""
        if not _readable(address) or self._is_stopping(address):
            return False
        self.leader = self.node(address)
        self.leader_address = address
        return True

    def forget_leader(self, address: str) -> None:
        """Doubt that `address` leads, unless another call has found the next leader already."""
        if self.leader_address == address:
            self.leader_address = ""
            self.leader = None

    def note_stopping(self, address: str) -> None:
        """Remember that the node at `address` said that it is stopping."""
        self._stopping[address] = asyncio.get_running_loop().time()

    def _is_stopping(self, address: str) -> bool:
        since = self._stopping.get(address)
        if since is None:
            return False
        if asyncio.get_running_loop().time() - since > STOPPING_TIME:
            del self._stopping[address]
            return False
        return True

    def learn_membership(self, membership: Membership) -> None:
        """Keep the newest membership: a node that was cut off may tell of an older one."""
        if membership.peers and membership.index >= self._membership.index:
            self._membership = membership

    def note(self, address: str, answer: RaftifyError | str) -> None:
        """Remember how an address answered, for the message of a call that gives up."""
        text = answer if isinstance(answer, str) else f"{type(answer).__name__}: {answer}"
        refusal = answer if isinstance(answer, PeerRefused) else None
        now = asyncio.get_running_loop().time()
        self._answers[address] = _Answer(now, text, refusal)

    def describe_answers(self, since: float) -> str:
        """Say how each address answered since `since`, a time of the event loop."""
        return "; ".join(
            f"{address} ({self._text_since(address, since)})" for address in self.addresses()
        )

    def _text_since(self, address: str, since: float) -> str:
        answer = self._answers.get(address)
        return answer.text if answer is not None and answer.when >= since else "no answer"

    def unanimous_refusal(self, since: float) -> PeerRefused | None:
        """Return a refusal if every address refused us: asking again cannot help."""
        refusal = None
        for address in self.addresses():
            answer = self._answers.get(address)
            if answer is None or answer.when < since or answer.refusal is None:
                return None
            refusal = answer.refusal
        return refusal

    # -- the search for the leader ----------------------------------------------------------

    async def find_leader(self, timeout: float) -> RemoteNode | None:
        """Ask every address who leads, together with all other calls that wonder.

        Return None if nobody knew within `timeout` seconds.

        Raises:
            TransportError: the client is closed.
        """
        self._check_open()
        search = self._search
        if search is None or search.done():
            search = self._search = asyncio.create_task(self._ask_all())
        # Not cancelled with the caller: others may be waiting for the same search.
        await asyncio.wait({search}, timeout=timeout)
        if search.done() and not search.cancelled():
            search.result()
        return self.leader

    async def _ask_all(self) -> None:
        """Ask every address, and those that the answers name, until one says that it leads itself.

        Hearsay is not enough: followers of a dead leader name it until they elect the next, and a
        call to a machine that is gone may hang for as long as a connection attempt takes.
        """
        asked: set[str] = set()
        waiting: set[asyncio.Task[ClusterView | None]] = set()

        def ask_those(addresses: Iterable[str]) -> None:
            for address in addresses:
                if address not in asked:
                    asked.add(address)
                    waiting.add(asyncio.create_task(self.ask(address), name=address))

        ask_those(self.addresses())
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for view, address in [(task.result(), task.get_name()) for task in done]:
                    if view is None:
                        continue
                    leads = view.leader_id != 0 and view.node_id == view.leader_id
                    # By the address that just worked, which it need not be known by to its peers.
                    if leads and self.set_leader(address):
                        return
                    ask_those((*self.addresses(), *_readable(view.leader_address)))
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            await self._close_retired()

    async def ask(self, address: str, timeout: float = PROBE_TIMEOUT) -> ClusterView | None:
        """Return what the node at `address` knows of the cluster, None if it does not say."""
        try:
            view = await self.node(address).get_peers(timeout=timeout)
        except RaftifyError as error:
            self.note(address, error)
            return None
        if self._cluster_id and view.cluster_id and view.cluster_id != self._cluster_id:
            ours = f"cluster {self._cluster_id!r}"
            self.note(address, PeerRefused(f"a node of cluster {view.cluster_id!r}, not {ours}"))
            return None
        self._cluster_id = self._cluster_id or view.cluster_id
        self.learn_membership(view.membership)
        self.note(
            address,
            f"names node {view.leader_id} as leader" if view.leader_id else "knows of no leader",
        )
        return view

    # -- the end ----------------------------------------------------------------------------

    async def _close_retired(self) -> None:
        now = asyncio.get_running_loop().time()
        known = set(self.addresses())
        for address in self._nodes.keys() - known:
            self._retired.setdefault(address, now)
        overdue = [a for a, since in self._retired.items() if now - since > RETIREMENT]
        for address in overdue:
            del self._retired[address]
        await _close_all(self._nodes.pop(address) for address in overdue if address in self._nodes)

    async def close(self) -> None:
        """Close every connection; what is under way fails. Harmless the second time."""
        self._closed = True
        self.leader, self.leader_address = None, ""
        search, self._search = self._search, None
        if search is not None:
            search.cancel()
            await asyncio.gather(search, return_exceptions=True)
        nodes, self._nodes = self._nodes, {}
        await _close_all(nodes.values())


async def _close_all(nodes: Iterable[RemoteNode]) -> None:
    await asyncio.gather(*(node.close() for node in nodes))


def _readable(address: str) -> tuple[str, ...]:
    """Return what a node named as an address, in a tuple that is empty if it is none."""
    try:
        return (Address.parse(address),)
    except ConfigError:
        return ()
