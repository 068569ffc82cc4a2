"""`raftify-cli describe metrics`: all that a running node measures of itself."""

from __future__ import annotations

from rich.console import Console

from raftify.cli.console import facts_table, make_console, print_json, rows_table
from raftify.cli.membership_view import Json, by_id, membership_table, part
from raftify.client import RaftServiceClient

#: Shown in tables of their own.
_APART = ("membership", "peers")
_SECONDS = "_for"


async def describe_metrics(client: RaftServiceClient, *, raw: bool) -> None:
    """Ask the node at the client's (first) address for its metrics and print them.

    Raises:
        MalformedMessage: it tells none: an older version runs there.
        PeerUnreachable, DeadlineExceeded, PeerRefused: it does not answer.
    """
    async with client:
        metrics = await client.metrics()
    if raw:
        print_json(metrics)
    else:
        show_metrics(make_console(), metrics)


def show_metrics(console: Console, metrics: Json) -> None:
    """Print them; those that a node of a later version adds are shown too."""
    facts = [(_title(key), _value(key, v)) for key, v in metrics.items() if key not in _APART]
    console.print(facts_table(f"Metrics of node {metrics.get('node_id', '?')}", facts))
    console.print(membership_table(part(metrics.get("membership"))))
    peers = by_id(metrics.get("peers"))
    if peers:
        columns = list(dict.fromkeys(key for _, peer in peers for key in peer))
        rows = [(node_id, *(_value(k, peer.get(k)) for k in columns)) for node_id, peer in peers]
        titles = ("id", *map(_title, columns))
        console.print(rows_table("Peers, as the leader knows them", titles, rows, numeric=3))


def _title(key: str) -> str:
    return key.replace("_", " ")


def _value(key: str, value: object) -> object:
    if key.endswith(_SECONDS) and isinstance(value, int | float):
        return f"{value:.3f} s"
    if isinstance(value, float):
        return f"{value:.1f}"
    return value
