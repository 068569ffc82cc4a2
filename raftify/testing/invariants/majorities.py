"""What a majority is, counted by those who judge: what the core makes of it is what they judge."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from raftify.core.tracker import Configuration

Halves = tuple[frozenset[int], frozenset[int]]


def halves(conf: Configuration) -> Halves:
    """Return the voters of the incoming half and of the outgoing one, empty if not joint."""
    return conf.voters.incoming.voters, conf.voters.outgoing.voters


def decides(conf: Configuration, nodes: AbstractSet[int]) -> bool:
    """Say whether `nodes` are a majority of each half there is; nobody decides where none is."""
    parts = [half for half in halves(conf) if half]
    return bool(parts) and all(2 * len(half & nodes) > len(half) for half in parts)
