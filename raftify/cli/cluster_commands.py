"""`raftify-cli init`, `transfer`, `snapshot`: a cluster begins, changes its leader, is saved."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from typing import Final

from raftify.cli.console import make_console, print_json
from raftify.cli.formatters import Formatters
from raftify.cli.member_commands import SECONDS, member, show_membership
from raftify.cli.options import Commands, add_address, add_command, client_of, node_id
from raftify.peers import InitialRole, Peers

#: Seconds that a snapshot may take by default: it goes on all the same.
_SNAPSHOT_SECONDS: Final = 600.0


def add_cluster(commands: Commands) -> None:
    init = add_command(
        commands,
        "init",
        "found a cluster: ask one of its voters, which all wait for it",
        _init,
        changes=True,
    )
    add_address(init, seconds=SECONDS, one=True)
    init.add_argument(
        "members", type=member, nargs="+", metavar="ID=HOST:PORT", help="a voter of the cluster"
    )
    init.add_argument(
        "--learner",
        type=member,
        action="append",
        default=[],
        metavar="ID=HOST:PORT",
        help="a member that does not vote; may be given several times",
    )
    transfer = add_command(
        commands, "transfer", "hand leadership to another voter", _transfer, changes=True
    )
    add_address(transfer, seconds=SECONDS)
    transfer.add_argument(
        "to", type=node_id, nargs="?", metavar="ID",
        help="the voter that shall lead; without it the one that has most of the log",
    )  # fmt: skip
    snapshot = add_command(
        commands,
        "snapshot",
        "have a node take a snapshot of its state machine now",
        _snapshot,
        changes=True,
    )
    add_address(snapshot, seconds=_SNAPSHOT_SECONDS, one=True)


def _init(arguments: argparse.Namespace, _formatters: Formatters) -> None:
    learners = [replace(peer, initial_role=InitialRole.LEARNER) for peer in arguments.learner]
    founders = Peers([*arguments.members, *learners])

    async def init() -> None:
        async with client_of(arguments) as client:
            show_membership(await client.initialize(founders), raw=arguments.raw)

    asyncio.run(init())


def _transfer(arguments: argparse.Namespace, _formatters: Formatters) -> None:
    async def transfer() -> int:
        async with client_of(arguments) as client:
            return await client.transfer_leader(arguments.to)

    leader_id = asyncio.run(transfer())
    _say(arguments, {"leader_id": leader_id}, f"node {leader_id} leads")


def _snapshot(arguments: argparse.Namespace, _formatters: Formatters) -> None:
    async def snapshot() -> int:
        async with client_of(arguments) as client:
            return await client.create_snapshot()

    taken = asyncio.run(snapshot())
    _say(arguments, {"index": taken}, f"the latest snapshot covers the log up to index {taken}")


def _say(arguments: argparse.Namespace, values: dict[str, object], words: str) -> None:
    if arguments.raw:
        print_json(values)
    else:
        make_console().print(words)
