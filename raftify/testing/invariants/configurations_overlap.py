"""Any quorum of a configuration shares a node with any quorum of the next, joint ones included."""

from __future__ import annotations

from functools import lru_cache

from raftify.testing.invariants.base import LogInvariant
from raftify.testing.invariants.majorities import Halves, halves
from raftify.testing.invariants.watch import Step, Watch
from raftify.testing.simulation.observer import NodeView


class ConfigurationsOverlap(LogInvariant):
    """Thesis 4.1 and 4.3. Looks at what the committed entries lead to, one after the other."""

    cites = "Raft thesis 4.1, 4.3"

    def __init__(self, watch: Watch | None = None) -> None:
        super().__init__(watch)
        self._seen = 0

    def on_log(self, node: NodeView, step: Step) -> None:
        """Compare configurations that are new with those before them."""
        sequence = self.watch.committed.configurations.sequence
        for position in range(max(self._seen, 1), len(sequence)):
            before, after = sequence[position - 1], sequence[position]
            if not overlap(halves(before), halves(after)):
                self.fail(
                    f"a quorum of {before.to_conf_state()} and one of {after.to_conf_state()} "
                    "have no node in common"
                )
        self._seen = len(sequence)


@lru_cache(maxsize=4096)
def overlap(before: Halves, after: Halves) -> bool:
    """Whether no quorum of `before` is apart from a quorum of `after`: tries all sets of voters."""
    everybody = sorted({*before[0], *before[1], *after[0], *after[1]})
    bits = {node_id: 1 << i for i, node_id in enumerate(everybody)}
    first = [sum(bits[i] for i in half) for half in before if half]
    second = [sum(bits[i] for i in half) for half in after if half]
    whole = (1 << len(everybody)) - 1
    return not any(
        _decides(chosen, first) and _decides(whole & ~chosen, second) for chosen in range(whole + 1)
    )


def _decides(chosen: int, parts: list[int]) -> bool:
    return all((chosen & part).bit_count() * 2 > part.bit_count() for part in parts)
