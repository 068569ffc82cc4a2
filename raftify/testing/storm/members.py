"""The operator of a storm: changes the membership, one step after the other, and replaces disks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

from raftify.client.membership import MembershipChanges
from raftify.core.types import ConfChangeTransition, Role
from raftify.errors import RaftifyError, Rejected
from raftify.peers import InitialRole, Membership, Peer, Peers
from raftify.testing.simulation.node import SimulatedNode
from raftify.testing.storm import partings, replacing
from raftify.testing.storm.scene import Scene, name_of, patient

#: A cluster grows to no more voters than so many, and has no more machines than so many.
MAX_VOTERS, MAX_MACHINES = 7, 10
_SECONDS = 5.0
#: After so many seconds a request that nobody knows the outcome of is not under way any more.
_UNDER_WAY = 15.0


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
            self._two_at_once, self._replace_all, self._joint, self._add_several, self._damage,
            self._damage, self._remove_unheard, self._move_unseen,
        ])  # fmt: skip

    async def _one(self, change: Callable[[], Awaitable[None]]) -> None:
        scene = self.scene
        name = f"members: {change.__name__.strip('_').replace('_', ' ')}"
        scene.count(name)
        try:
            async with asyncio.timeout(30):
                await change()
        except Rejected as error:
            scene.outcomes[f"{name}: {name_of(error)}"] += 1
        except (RaftifyError, TimeoutError) as error:
            scene.outcomes[f"{name}: {name_of(error)}"] += 1
            scene.unsettled_until = scene.now + _UNDER_WAY

    def _node(self) -> SimulatedNode:
        """Return somebody to ask.

        Raises:
            Rejected: nobody runs.
        """
        node = self.scene.any_node(self.random)
        if node is None:
            raise Rejected("nobody runs")
        return node

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
        cluster = self.scene.cluster
        if len(self._voters()) < MAX_VOTERS and len(cluster.nodes) < MAX_MACHINES:
            await cluster.join(self._node())

    async def _new_machine(self) -> SimulatedNode:
        """Return a machine that has its id and runs, and is no member yet."""
        cluster = self.scene.cluster
        if len(cluster.nodes) >= MAX_MACHINES:
            raise Rejected("there are no more machines")
        node = cluster.new_machine()
        ticket = await cluster.ticket(node, self._node())
        node.start(ticket.reserved_id)
        cluster.nodes[node.id] = node
        return node

    async def _add_learner(self) -> None:
        node = await self._new_machine()
        async with self._asked() as changes:
            await changes.add_learner(
                node.id, node.address, blocking=self.random.random() < 0.5, timeout=_SECONDS
            )

    async def _add_one(self) -> None:
        """Add a machine that runs already, by somebody who knows of it."""
        if len(self._voters()) >= MAX_VOTERS:
            return
        node = await self._new_machine()
        role = self.random.choice([InitialRole.VOTER, InitialRole.VOTER, InitialRole.LEARNER])
        async with self._asked() as changes:
            membership = await changes.add_peer(node.id, node.address, role, timeout=_SECONDS)
        self._demand_known(membership, Peer(node.id, node.address, initial_role=role))

    async def _add_several(self) -> None:
        """Add machines that run already in one change, a learner perhaps among them, with a word
        about each that the cluster keeps."""
        scene, random = self.scene, self.random
        if len(self._voters()) + 2 > MAX_VOTERS or len(scene.cluster.nodes) + 2 > MAX_MACHINES:
            return
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
        if learners and len(membership.conf_state.voters) < MAX_VOTERS:
            async with self._asked() as changes:
                await changes.change_config(
                    add=[self.random.choice(learners)],
                    force=self.random.random() < 0.3,
                    timeout=_SECONDS,
                )

    async def _demote(self) -> None:
        voters = self._voters()
        if len(voters) > 1:
            async with self._asked() as changes:
                led_to = await changes.change_config(
                    add_learners=[self.random.choice(voters)], timeout=_SECONDS
                )
            self.scene.departed.demand_known(led_to)

    async def _shrink(self) -> None:
        membership = self._membership()
        everybody = sorted(membership.member_ids())
        if len(membership.conf_state.voters) > 1:
            node_id = self.random.choice(everybody)
            partings.expect_removal(self.scene, {node_id})
            async with self._asked() as changes:
                led_to = await changes.change_config(remove=[node_id], timeout=_SECONDS)
            self.scene.departed.demand_known(led_to)
            self._scrap(node_id)
            await self._demand_removed({node_id})

    async def _leave(self) -> None:
        node = self._node()
        if len(self._voters()) > 1 and not node.paused:
            node_id = node.id
            if await partings.leave(self.scene, node):
                self._scrap(node_id)
                await self._demand_removed({node_id})

    async def _two_at_once(self) -> None:
        """Ask for two changes at the same time: one has to wait, or is refused."""
        changes = self.random.sample([self._grow, self._promote, self._demote, self._shrink], 2)
        answers = await asyncio.gather(*(one() for one in changes), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _replace_all(self) -> None:
        """Let new machines take the place of some or all voters in one joint change."""
        scene, voters = self.scene, self._voters()
        room = min(MAX_MACHINES - len(scene.cluster.nodes), len(voters), 4)
        if room < 1:
            return
        fresh = []
        for _ in range(self.random.randint(1, room)):
            node = await self._new_machine()
            async with self._asked() as changes:
                await changes.add_learner(node.id, node.address, blocking=False, timeout=_SECONDS)
            fresh.append(node.id)
        kept = set(self.random.sample(voters, len(voters) - len(fresh)))
        retain = self.random.random() < 0.3
        if not retain:
            # Whoever was asked for the voters may have missed one that a late change made.
            partings.expect_removal(self.scene, set(scene.cluster.nodes) - kept - set(fresh))
        force = self.random.random() < 0.5
        async with self._asked() as changes:
            led_to = await changes.change_membership(
                kept | set(fresh), retain=retain, force=force, timeout=_SECONDS
            )
        if not force:
            scene.departed.demand_known(led_to)

    async def _joint(self) -> None:
        """Enter a joint configuration explicitly, stay there for a while, and leave it."""
        membership = self._membership()
        learners, voters = list(membership.conf_state.learners), self._voters()
        change_of = self.random.sample(voters, len(voters) // 3)
        if not learners and not change_of:
            return
        async with self._asked() as changes:
            await changes.change_config(
                add=[i for i in learners if i in self.scene.cluster.nodes][:2],
                add_learners=change_of,
                transition=ConfChangeTransition.EXPLICIT,
                force=True,
                timeout=_SECONDS,
            )
        await patient(self.scene, self.random.uniform(0, 5))
        async with self._asked() as changes:
            await changes.leave_joint(timeout=_SECONDS)

    async def _demand_removed(self, ids: set[int]) -> None:
        """Demand that a leader that a quorum confirms has none of `ids` as a member any more."""
        leader = self.scene.a_leader()
        if leader is None or self.scene.plan.leases:
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
        scene = self.scene
        if len(self._voters()) < MAX_VOTERS and len(scene.cluster.nodes) < MAX_MACHINES:
            await partings.move_unseen(scene, self.random)

    async def _damage(self) -> None:
        """Let a machine lose its disk, if the cluster can do without."""
        scene = self.scene
        node = await self._who_can_be_spared()
        if node is not None:
            scene.machine(node).lost = True
            await replacing.damage(scene, node, self.random)

    async def _who_can_be_spared(self) -> SimulatedNode | None:
        """Return a node whose disk may be lost; None if that is not certain.

        Certain is what a leader says of the membership once no older request can change it.
        """
        scene = self.scene
        if scene.now < scene.unsettled_until:
            return None
        leader = scene.a_leader()
        if leader is None:
            return None
        await leader.raft.read_index(timeout=_SECONDS)
        core = leader.view.raft
        # It has committed an entry of its term: what is not in its log now will never be.
        if core is None or core.role is not Role.LEADER or core.has_pending_conf():
            return None
        conf_state = leader.runtime.state.membership.conf_state
        if len(conf_state.voters) < 3 or conf_state.voters_outgoing:
            return None
        ids = [i for i in (*conf_state.voters, *conf_state.learners) if i in scene.cluster.nodes]
        return scene.cluster.nodes[self.random.choice(ids)] if ids else None

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
        if conf_state.voters_outgoing:
            await leader.raft.leave_joint(timeout=_SECONDS)
            return False
        for machine in scene.all_machines():
            if machine.lost:
                await replacing.replace(scene, machine, leader, _SECONDS)
                return False
        return True
