"""The operator of a storm: changes the membership, one step after the other, and replaces disks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

from raftify.client.membership import MembershipChanges
from raftify.core.types import ConfChangeTransition
from raftify.errors import RaftifyError, Rejected
from raftify.peers import ClusterJoinTicket, InitialRole, Membership, Peer, Peers
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm import partings, replacing
from raftify.testing.storm.impatience import again_while_pending, perhaps_a_slow_leader
from raftify.testing.storm.scene import NotPossible, Scene, name_of, patient

#: A cluster grows to no more voters than so many, and has no more machines than so many.
MAX_VOTERS, MAX_MACHINES = 7, 10
#: Beside the voters that they replace there may be so many machines more for a while.
_FOR_A_WHILE = MAX_VOTERS
_SECONDS = 5.0
#: After so many seconds a request that nobody knows the outcome of is not under way any more.
_UNDER_WAY = 15.0
#: How long a change may take in all.
_PATIENCE = 30.0

T = TypeVar("T")


class Operator:
    """Changes members at random while the storm lasts, and tidies up behind it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.random = Random(f"{scene.plan.seed}/operator")
        self._scraps = Random(f"{scene.plan.seed}/scraps")

    async def run(self) -> None:
        """Make changes until the storm is over."""
        scene, random = self.scene, self.random
        while not scene.over:
            await patient(scene, random.expovariate(1 / scene.plan.change_pause))
            await self._one(self._draw())

    def _draw(self) -> Callable[[], Awaitable[None]]:
        lost = any(machine.lost for machine in self.scene.all_machines())
        if lost:
            # A cluster that has lost a disk is not made smaller, or it could lose its quorum.
            return self._replace
        return self.random.choice([
            self._grow, self._grow, self._add_learner, self._add_one, self._promote, self._promote,
            self._demote, self._shrink, self._shrink, self._leave, self._two_at_once,
            self._two_at_once, self._replace_all, self._replace_all, self._joint,
            self._add_several, *[self._damage] * 6, self._remove_unheard, self._move_unseen,
        ])  # fmt: skip

    async def _one(self, change: Callable[[], Awaitable[None]]) -> None:
        name = change.__name__.strip("_").replace("_", " ")

        async def do() -> None:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await change()
            except (RaftifyError, TimeoutError) as error:
                self._note(f"members: {name}", error)
                raise

        await self.scene.attempt(name, self.scene.changes, do())

    def _note(self, what: str, error: BaseException) -> None:
        """Note that a change failed; after some errors it may come true later."""
        scene = self.scene
        scene.outcomes[f"{what}: {name_of(error)}"] += 1
        if not isinstance(error, Rejected):
            scene.unsettled_until = scene.now + _UNDER_WAY

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask again until it is done, for what is safe to repeat; whoever calls has a deadline."""
        while True:
            try:
                return await ask()
            except (NotPossible, RaftifyError, TimeoutError) as error:
                self._note("members: asked again", error)
                await asyncio.sleep(0.3)

    def _node(self) -> SimulatedNode:
        """Return somebody to ask.

        Raises:
            NotPossible: nobody runs.
        """
        return self.scene.some_node(self.random)

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[MembershipChanges]:
        """Give whom to ask for a change: a node, or the cluster from outside."""
        if self.random.random() < 0.6:
            yield self._node().raft
            return
        async with self.scene.cluster.client(timeout=_SECONDS) as client:
            yield client

    def _membership(self) -> Membership:
        return self._node().runtime.state.membership

    def _voters(self) -> list[int]:
        return [i for i in self._membership().conf_state.voters if i in self.scene.cluster.nodes]

    async def _grow(self) -> None:
        self._demand_room(1)
        await self.scene.cluster.join(self._node())

    def _demand_room(self, machines: int, voters: int | None = None) -> None:
        """Return if there is room for so many machines more, of which all, or so many, vote.

        Raises:
            NotPossible: there is not.
        """
        more = machines if voters is None else voters
        if len(self._voters()) + more > MAX_VOTERS and more:
            raise NotPossible("there are enough voters")
        if len(self.scene.cluster.nodes) + machines > MAX_MACHINES:
            raise NotPossible("there are no more machines")

    async def _new_machine(self, *, insist: bool = False) -> SimulatedNode:
        """Return a machine that has its id and runs, and is no member yet."""
        cluster = self.scene.cluster
        node = cluster.new_machine()

        async def ask() -> ClusterJoinTicket:
            return await cluster.ticket(node, self._node())

        ticket = await (self._insist(ask) if insist else ask())
        node.start(ticket.reserved_id)
        cluster.nodes[node.id] = node
        return node

    async def _add_learner(self) -> None:
        self._demand_room(1, voters=0)
        node = await self._new_machine()
        async with self._asked() as changes:
            await changes.add_learner(
                node.id, node.address, blocking=self.random.random() < 0.5, timeout=_SECONDS
            )

    async def _add_one(self) -> None:
        """Add a machine that runs already, by somebody who knows of it."""
        self._demand_room(1)
        node = await self._new_machine()
        role = self.random.choice([InitialRole.VOTER, InitialRole.VOTER, InitialRole.LEARNER])
        async with self._asked() as changes:
            membership = await changes.add_peer(node.id, node.address, role, timeout=_SECONDS)
        self._demand_known(membership, Peer(node.id, node.address, initial_role=role))

    async def _add_several(self) -> None:
        """Add machines that run already in one change, a learner perhaps among them, with a word
        about each that the cluster keeps."""
        random = self.random
        self._demand_room(2)
        roles = [InitialRole.VOTER, random.choice([InitialRole.VOTER, InitialRole.LEARNER])]
        peers = []
        for role in roles:
            node = await self._new_machine()
            about = f"about {node.name}".encode()
            peers.append(Peer(node.id, node.address, metadata=about, initial_role=role))
        async with self._asked() as changes:
            membership = await changes.add_peers(Peers(peers), timeout=_SECONDS)
            if random.random() < 0.5:
                await changes.wait_for_member(peers[0].node_id, timeout=_SECONDS)
        for peer in peers:
            self._demand_known(membership, peer)

    def _demand_known(self, membership: Membership, peer: Peer) -> None:
        known = membership.peers.get(peer.node_id)
        if known is None or known.metadata != peer.metadata:
            self.scene.fail(f"{peer} was added, and {known} is known")

    async def _promote(self) -> None:
        membership = self._membership()
        learners = [i for i in membership.conf_state.learners if i in self.scene.cluster.nodes]
        if not learners or len(membership.conf_state.voters) >= MAX_VOTERS:
            raise NotPossible("there are no learners, or enough voters")
        async with self._asked() as changes:
            await changes.change_config(
                add=[self.random.choice(learners)],
                force=self.random.random() < 0.3,
                timeout=_SECONDS,
            )

    async def _demote(self) -> None:
        voter = self.random.choice(self._several_voters())
        async with self._asked() as changes:
            led_to = await changes.change_config(add_learners=[voter], timeout=_SECONDS)
        self.scene.departed.demand_known(led_to)

    def _several_voters(self) -> list[int]:
        """Return the voters.

        Raises:
            NotPossible: there is one alone.
        """
        voters = self._voters()
        if len(voters) < 2:
            raise NotPossible("there is one voter only")
        return voters

    async def _shrink(self) -> None:
        membership = self._membership()
        if len(membership.conf_state.voters) < 2:
            raise NotPossible("there is one voter only")
        node_id = self.random.choice(sorted(membership.member_ids()))
        partings.expect_removal(self.scene, {node_id})
        async with self._asked() as changes:
            led_to = await changes.change_config(remove=[node_id], timeout=_SECONDS)
        self.scene.departed.demand_known(led_to)
        self._scrap(node_id)
        await self._demand_removed({node_id})

    async def _leave(self) -> None:
        node, _ = self._node(), self._several_voters()
        if node.paused:
            raise NotPossible(f"{node} stands still")
        node_id = node.id
        if await partings.leave(self.scene, node):
            self._scrap(node_id)
            await self._demand_removed({node_id})

    async def _two_at_once(self) -> None:
        """Ask for two changes at the same time: one has to wait, or is refused."""
        kinds = [self._grow, self._demote, self._shrink]
        if self._membership().conf_state.learners:
            kinds.append(self._promote)
        changes = self.random.sample(kinds, 2)
        with perhaps_a_slow_leader(self.scene, self.random):
            asking = (again_while_pending(self.scene, one) for one in changes)
            answers = await asyncio.gather(*asking, return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        for error in errors:
            if isinstance(error, NotPossible) or not isinstance(error, RaftifyError):
                raise error
            self._note("members: one of two at once", error)
        if len(errors) == len(changes):
            raise errors[0]

    async def _replace_all(self) -> None:
        """Let new machines take the place of some voters in one joint change, or of every one."""
        scene, random, voters = self.scene, self.random, self._voters()
        if not voters:
            raise NotPossible("who was asked knows no voters yet")
        every, room = random.random() < 0.5, MAX_MACHINES - len(scene.cluster.nodes)
        if every:
            room += _FOR_A_WHILE
        count = len(voters) if every else random.randint(1, min(max(room, 1), len(voters)))
        if count > room:
            raise NotPossible("there are no more machines")
        kept = random.sample(voters, len(voters) - count)
        nodes = [await self._new_machine(insist=every) for _ in range(count)]
        fresh = [Peer(node.id, node.address, initial_role=InitialRole.LEARNER) for node in nodes]
        force, retain = random.random() < 0.5, random.random() < 0.3
        if not force or random.random() < 0.5:
            await self._let_follow(fresh, insist=every)
        ids = {peer.node_id for peer in fresh}
        old = set(scene.cluster.nodes) - set(kept) - ids
        if not retain:
            # Whoever was asked for the voters may have missed one that a late change made.
            partings.expect_removal(scene, old)

        async def change() -> Membership:
            async with self._asked() as changes:
                return await changes.change_membership(
                    [*kept, *fresh], retain=retain, force=force, timeout=_SECONDS
                )

        led_to = await (self._insist(change) if every else change())
        if every and set(led_to.conf_state.voters) == ids:
            scene.reach("every voter replaced in one change")
        if force:
            return
        scene.departed.demand_known(led_to)
        if every and not retain:
            for node_id in sorted(old - led_to.member_ids()):
                self._scrap(node_id)

    async def _let_follow(self, peers: Sequence[Peer], *, insist: bool) -> None:
        """Add machines that run already as learners, in one change."""

        async def add() -> Membership:
            async with self._asked() as changes:
                return await changes.add_peers(Peers(peers), timeout=_SECONDS)

        await (self._insist(add) if insist else add())

    async def _joint(self) -> None:
        """Enter a joint configuration, and let it end by itself; or stay there for a while, and
        leave it."""
        membership = self._membership()
        learners, voters = list(membership.conf_state.learners), self._voters()
        change_of = self.random.sample(voters, len(voters) // 3)
        if not learners and not change_of:
            raise NotPossible("there is nobody to change")
        transition = self.random.choice(
            [ConfChangeTransition.IMPLICIT, ConfChangeTransition.EXPLICIT]
        )
        async with self._asked() as changes:
            await changes.change_config(
                add=[i for i in learners if i in self.scene.cluster.nodes][:2],
                add_learners=change_of,
                transition=transition,
                force=True,
                timeout=_SECONDS,
            )
        if transition is ConfChangeTransition.IMPLICIT:
            return
        await patient(self.scene, self.random.uniform(0, 5))
        async with self._asked() as changes:
            await changes.leave_joint(timeout=_SECONDS)

    async def _demand_removed(self, ids: set[int]) -> None:
        """Demand that a leader that a quorum confirms has none of `ids` as a member any more."""
        leader = self.scene.a_leader()
        if leader is None or self.scene.plan.reads_may_be_stale:
            return
        await leader.raft.read_index(timeout=_SECONDS)
        still = ids & leader.runtime.state.membership.member_ids()
        if still:
            self.scene.fail(f"{still} were acknowledged to be removed, but {leader} has them")

    def _scrap(self, node_id: int) -> None:
        if self._scraps.random() < 0.5:
            partings.scrap(self.scene, node_id)

    async def _remove_unheard(self) -> None:
        leaves = self.random.random() < 0.5
        await partings.remove_unheard(self.scene, self.random, leaves=leaves)

    async def _move_unseen(self) -> None:
        """Let a voter move while it is away, and miss much; the new machine needs a place."""
        self._demand_room(1)
        await partings.move_unseen(self.scene, self.random)

    async def _damage(self) -> None:
        """Let a machine lose its disk, if the cluster can do without."""
        scene = self.scene
        node = await replacing.find_spare(scene, self.random)
        scene.machine(node).lost = True
        await replacing.damage(scene, node, self.random)

    async def _replace(self) -> None:
        """Replace what was lost: remove its old id, and let it join as another node."""
        for machine in self.scene.all_machines():
            if machine.lost:
                await replacing.replace(self.scene, machine, self._node(), _SECONDS)
                return

    async def last(self) -> bool:
        """Perhaps make one more change once all else is well: nothing that comes behind mends what
        it leaves behind by accident. Returns whether it did."""
        random = Random(f"{self.scene.plan.seed}/last change")
        if random.random() < 0.6:
            return False
        await self._one(random.choice([self._remove_unheard, self._move_unseen]))
        return True

    async def finish(self, seconds: float) -> None:
        """Bring the membership to rest once all faults are over: nobody lost, nothing joint."""
        until = self.scene.now + seconds
        while self.scene.now < until:
            try:
                async with asyncio.timeout(30):
                    if await self._tidy():
                        return
            except (RaftifyError, TimeoutError):
                await asyncio.sleep(0.5)
        self.scene.fail(f"the membership did not come to rest within {seconds:g} s")

    async def _tidy(self) -> bool:
        scene, leader = self.scene, await self.scene.cluster.leader()
        conf_state = leader.runtime.state.membership.conf_state
        if conf_state.auto_leave:
            # Whoever leads leaves it by itself.
            await asyncio.sleep(0.5)
            return False
        if conf_state.voters_outgoing:
            await leader.raft.leave_joint(timeout=_SECONDS)
            return False
        for machine in scene.all_machines():
            if machine.lost:
                await replacing.replace(scene, machine, leader, _SECONDS)
                return False
        return True
