"""Configurations and progress as text, for logs, tools and golden files.

The forms are those of etcd's raft: `voters=(1 2)&&(1 3) learners=(4)`.
"""

from __future__ import annotations

from collections.abc import Iterable

from raftify.core.progress import Progress, ProgressState
from raftify.core.tracker import Configuration
from raftify.core.types import ConfState

_PROGRESS_STATES = {
    ProgressState.PROBE: "StateProbe",
    ProgressState.REPLICATE: "StateReplicate",
    ProgressState.SNAPSHOT: "StateSnapshot",
}


def describe_conf_state(conf_state: ConfState) -> str:
    """Return for example `voters=(1 2)&&(1 3) learners=(4) learners_next=(3) autoleave`."""
    text = f"voters={_ids(conf_state.voters)}"
    if conf_state.voters_outgoing:
        text += f"&&{_ids(conf_state.voters_outgoing)}"
    if conf_state.learners:
        text += f" learners={_ids(conf_state.learners)}"
    if conf_state.learners_next:
        text += f" learners_next={_ids(conf_state.learners_next)}"
    if conf_state.auto_leave:
        text += " autoleave"
    return text


def describe_configuration(conf: Configuration) -> str:
    """Return the form of `describe_conf_state`."""
    return describe_conf_state(conf.to_conf_state())


def describe_progress(progress: Progress, *, is_learner: bool = False) -> str:
    """Return for example `StateReplicate match=4 next=7 inflight=2`."""
    parts = [
        _PROGRESS_STATES[progress.state],
        f"match={progress.matched}",
        f"next={progress.next_idx}",
    ]
    if is_learner:
        parts.append("learner")
    if progress.is_paused():
        parts.append("paused")
    if progress.pending_snapshot:
        parts.append(f"pendingSnap={progress.pending_snapshot}")
    if not progress.recent_active:
        parts.append("inactive")
    if progress.ins.count():
        full = "[full]" if progress.ins.full() else ""
        parts.append(f"inflight={progress.ins.count()}{full}")
    return " ".join(parts)


def _ids(node_ids: Iterable[int]) -> str:
    return f"({' '.join(map(str, sorted(node_ids)))})"
