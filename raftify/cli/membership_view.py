"""A membership as a table, from the plain values that nodes and logs are described with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from rich.table import Table

from raftify.cli.console import rows_table

Json = Mapping[str, object]

_PARTS = (
    ("voters", "voter"),
    ("learners", "learner"),
    ("voters_outgoing", "outgoing voter"),
    ("learners_next", "learner next"),
)


def part(value: object) -> Json:
    """Return a nested object of a description; empty if a node of another version left it out."""
    return cast("Json", value) if isinstance(value, dict) else {}


def numbers(value: object) -> list[object]:
    """Return a nested list of a description, likewise."""
    return cast("list[object]", value) if isinstance(value, list) else []


def by_id(value: object) -> list[tuple[int, Json]]:
    """Return a mapping from ids (JSON makes them text) in the order of the ids."""
    items = [(int(key), part(item)) for key, item in part(value).items() if key.isdecimal()]
    return sorted(items, key=lambda item: item[0])


def membership_table(membership: Json) -> Table:
    """Return who is a member, as what, and where."""
    roles: dict[int, list[str]] = {}
    for key, role in _PARTS:
        for node_id in numbers(membership.get(key)):
            if isinstance(node_id, int):
                roles.setdefault(node_id, []).append(role)
    leader_id = membership.get("leader_id")
    if isinstance(leader_id, int) and leader_id:
        roles.setdefault(leader_id, []).append("leader")
    peers = dict(by_id(membership.get("peers")))
    rows = [
        (
            node_id,
            ", ".join(roles.get(node_id, ())),
            peers.get(node_id, {}).get("address"),
            peers.get(node_id, {}).get("incarnation"),
        )
        for node_id in sorted(roles.keys() | peers.keys())
    ]
    return rows_table(_title(membership), ("id", "role", "address", "incarnation"), rows)


def _title(membership: Json) -> str:
    title = f"Membership, since index {membership.get('index', '?')}"
    if numbers(membership.get("voters_outgoing")):
        leaving = "leaves by itself" if membership.get("auto_leave") else "until leave_joint"
        title += f" (joint, {leaving})"
    return title
