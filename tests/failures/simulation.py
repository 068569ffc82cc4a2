"""Tests as scenarios of a simulated cluster: whole nodes, virtual time, disks that crash."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from raftify.config import Config
from raftify.core.types import ConfChangeSingle, ConfChangeType, ConfChangeV2
from raftify.errors import RaftifyError
from raftify.peers import Membership
from raftify.testing.invariants import Invariants
from raftify.testing.simulation import SimulatedCluster, SimulatedNode, simulate
from tests.cluster.machines import Tally


def simulated(
    size: int = 3,
    *,
    seed: int = 0,
    machine: Callable[[], Tally] = Tally,
    logger: logging.Logger | None = None,
    invariants: bool = True,
    **settings: Any,
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Make a test of `async def test(cluster, ...)`: a cluster of `size` nodes that has a leader.

    Every invariant is watched, unless the test breaks some by itself. At the end all nodes are
    stopped, and none may leave a task behind.
    `settings` are those of Config.
    """

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        def run(*args: Any, **kwargs: Any) -> None:
            async def scenario(cluster: SimulatedCluster) -> None:
                if size:
                    await cluster.start(size)
                await test(cluster, *args, **kwargs)
                await stop_all(cluster)

            simulate(
                scenario,
                machine=machine,
                seed=seed,
                config=Config(**settings),
                observers=[Invariants()] if invariants else [],
                logger=logger,
                timeout=100_000,
            )

        signature = inspect.signature(test)
        _, *parameters = signature.parameters.values()
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        return run

    return decorate


async def stop_all(cluster: SimulatedCluster) -> None:
    """End every node orderly, however slow its disk was."""
    for node in cluster.running():
        node.disk_pace = node.apply_pace = 0.0
        with suppress(RaftifyError):
            await node.stop()


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until `holds()`, where time is real."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - there is no event for everything
            await asyncio.sleep(0.0005)


def tally(node: SimulatedNode) -> Tally:
    """Return the node's state machine."""
    assert isinstance(node.machine, Tally)
    return node.machine


def membership(node: SimulatedNode) -> Membership:
    return node.runtime.state.membership


async def follower(cluster: SimulatedCluster) -> SimulatedNode:
    """Return a node that runs and does not lead."""
    leader = await cluster.leader()
    return next(node for node in cluster.running() if node is not leader)


def one(kind: ConfChangeType, node_id: int) -> ConfChangeV2:
    """Return the change of a single node."""
    return ConfChangeV2(changes=(ConfChangeSingle(kind, node_id),))
