"""`raftify-cli member`: who belongs to a cluster, and changes of that."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from raftify.cli.console import make_console, print_json, print_note
from raftify.cli.formatters import Formatters
from raftify.cli.membership_view import membership_table
from raftify.cli.options import Commands, add_address, add_command, add_group, client_of, node_id
from raftify.client import RaftServiceClient
from raftify.errors import ConfChangeRejected
from raftify.node.report import describe_membership
from raftify.peers import ClusterView, Membership, Peer, Peers

#: Seconds that a change may take: an election may come between, or a learner has to catch up.
SECONDS: Final = 30.0

Change = Callable[[RaftServiceClient, argparse.Namespace], Awaitable[Membership]]


def add_member(commands: Commands) -> None:
    members = add_group(commands, "member", "show and change who belongs to a cluster")
    listed = add_command(
        members,
        "list",
        "show the members as the leader knows them, or any node if none leads",
        _list,
    )
    add_address(listed, seconds=SECONDS)
    new = _add(members, "add", "add voters; rather add-learner first, then promote", _add_voters)
    _add_new(new)
    learner = _add(
        members, "add-learner", "add a node that follows and does not vote", _add_learner
    )
    learner.add_argument("member", type=member, metavar="ID=HOST:PORT", help="the node, which runs")
    learner.add_argument(
        "--metadata", default="", metavar="TEXT", help="what the cluster shall know of it"
    )
    learner.add_argument(
        "--no-wait", action="store_true", help="do not wait until it has caught up"
    )
    promote = _add(members, "promote", "make voters of learners", _promote)
    _add_ids(promote)
    _add_force(promote)
    demote = _add(members, "demote", "make learners of voters", _demote)
    _add_ids(demote)
    _add_force(demote)
    remove = _add(members, "remove", "remove members; their ids are never used again", _remove)
    _add_ids(remove)
    _add_force(remove)
    change = _add(members, "change", "make just these the voters, whichever they were", _change)
    change.add_argument(
        "members",
        type=member_or_id,
        nargs="+",
        metavar="ID[=HOST:PORT]",
        help="a voter; with its address if the cluster does not know it",
    )
    change.add_argument(
        "--retain", action="store_true", help="keep voters that are left out as learners"
    )
    _add_force(change)
    moved = _add(members, "update", "tell where members are reached now", _update)
    _add_new(moved)
    _add(members, "leave-joint", "leave a joint configuration that was entered explicitly", _leave)


def _add(members: Commands, name: str, purpose: str, change: Change) -> argparse.ArgumentParser:
    def run(arguments: argparse.Namespace, _formatters: Formatters) -> None:
        asyncio.run(_show(change, arguments))

    parser = add_command(members, name, purpose, run, changes=True)
    add_address(parser, seconds=SECONDS)
    return parser


def _add_ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", type=node_id, nargs="+", metavar="ID", help="a member's id")


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "members", type=member, nargs="+", metavar="ID=HOST:PORT", help="a node and its address"
    )


def _add_force(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--force",
        action="store_true",
        help="also promote learners that lag, and take voters away although the rest may not be "
        "able to commit",
    )


async def _show(change: Change, arguments: argparse.Namespace) -> None:
    """Carry out a change, and print the membership that it led to."""
    async with client_of(arguments) as client:
        show_membership(await change(client, arguments), raw=arguments.raw)


def show_membership(membership: Membership, *, raw: bool, leader_id: int | None = None) -> None:
    """Print it, with who leads if that was asked; 0: nobody, as far as is known."""
    described = describe_membership(membership)
    if leader_id is not None:
        described["leader_id"] = leader_id
    if raw:
        print_json(described)
    else:
        make_console().print(membership_table(described))


def _list(arguments: argparse.Namespace, _formatters: Formatters) -> None:
    async def look() -> ClusterView:
        async with client_of(arguments) as client:
            return await client.get_peers()

    view = asyncio.run(look())
    show_membership(view.membership, raw=arguments.raw, leader_id=view.leader_id)


async def _add_voters(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    return await client.change_config(add=arguments.members)


async def _add_learner(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    peer: Peer = arguments.member
    return await client.add_learner(
        peer.node_id,
        peer.address,
        metadata=arguments.metadata.encode(errors="surrogateescape"),
        blocking=not arguments.no_wait,
    )


async def _promote(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    await _check_members(client, arguments.ids, "add it with `member add-learner`")
    return await client.change_config(add=arguments.ids, force=arguments.force)


async def _demote(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    await _check_members(client, arguments.ids, "add it with `member add-learner`")
    return await client.change_config(add_learners=arguments.ids, force=arguments.force)


async def _remove(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    known = (await client.get_peers()).membership
    for missing in (i for i in arguments.ids if not known.is_member(i)):
        print_note(f"node {missing} is no member")
    return await client.change_config(remove=arguments.ids, force=arguments.force)


async def _change(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    return await client.change_membership(
        arguments.members, retain=arguments.retain, force=arguments.force
    )


async def _update(client: RaftServiceClient, arguments: argparse.Namespace) -> Membership:
    await client.set_peers(Peers(arguments.members))
    return (await client.get_peers()).membership


async def _leave(client: RaftServiceClient, _arguments: argparse.Namespace) -> Membership:
    return await client.leave_joint()


async def _check_members(client: RaftServiceClient, ids: Collection[int], hint: str) -> None:
    """Raise ConfChangeRejected if one is no member: its address is what the leader would miss."""
    known = (await client.get_peers()).membership
    for wanted in ids:
        if not known.is_member(wanted):
            raise ConfChangeRejected(f"node {wanted} is no member of the cluster: {hint}")


def member(text: str) -> Peer:
    """Read `ID=HOST:PORT`, for argparse; the address is checked with everything else."""
    name, separator, address = text.partition("=")
    if not separator or not address:
        raise argparse.ArgumentTypeError(f"{text!r} is no ID=HOST:PORT")
    return Peer(node_id(name), address)


def member_or_id(text: str) -> Peer | int:
    """Read `ID=HOST:PORT` or `ID`, for argparse."""
    return member(text) if "=" in text else node_id(text)
