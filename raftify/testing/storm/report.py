"""What came of storms, in numbers and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

#: A cluster that answers nothing for longer than this, in seconds, counts as unavailable.
GAP = 1.0


@dataclass(slots=True)
class StormReport:
    """One storm. Times in seconds of virtual time; `error` is empty if nothing was wrong.

    Attributes:
        operations: outcomes of the clients' operations, and errors of changes of the membership.
        faults: what went wrong, each counted once it was done.
        requests: what else was asked of the cluster and done: transfers, snapshots, bursts.
        changes: changes of the membership that were made.
        undone: what was drawn of these three, and was refused or not possible then.
        milestones: what the cluster came to, as the way in which it was founded.
        packets: what the network did to packets.
        ends: by what errors nodes ended.
        looks: what was looked at, and waited for.
        unavailable: how long the clients got no answer, in gaps longer than a second.
        worst_gap: the longest of these gaps.
        recovery: from the end of all faults until everything agreed.
        undecided: 1 if the history of the clients was too hard to judge: then it failed, too.
        digest: of the trace; the same seed has the same.
    """

    seed: int | str
    seconds: float = 0.0
    steps: int = 0
    size: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    milestones: Counter[str] = field(default_factory=Counter)
    packets: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    unavailable: float = 0.0
    worst_gap: float = 0.0
    recovery: float = 0.0
    undecided: int = 0
    digest: str = ""
    error: str = ""
    cpu_seconds: float = 0.0

    def note_gaps(self, began: float, ended: float, successes: Iterable[float]) -> None:
        """Find the gaps between successes in the time from `began` to `ended`."""
        last = began
        for at in [*(s for s in successes if began <= s <= ended), ended]:
            if at - last > GAP:
                self.unavailable += at - last
            self.worst_gap = max(self.worst_gap, at - last)
            last = at

    def line(self) -> str:
        """Return the storm in one line."""
        if self.error:
            first = self.error.splitlines()[0] if self.error.splitlines() else self.error
            return f"seed {self.seed}: FAILED: {first}"
        return (
            f"seed {self.seed}: ok, {self.size} nodes, {self.seconds:.0f} s, "
            f"{self.operations['ok']} of {self.operations.total()} answered, "
            f"{self.faults.total()} faults, unavailable {self.unavailable:.1f} s, back after "
            f"{self.recovery:.1f} s"
        )


def summary(reports: list[StormReport]) -> str:
    """Return many storms as a few lines of numbers."""

    def all_of(name: str) -> Counter[str]:
        return sum((getattr(report, name) for report in reports), Counter[str]())

    faults, undone = all_of("faults"), all_of("undone")
    failed = [str(report.seed) for report in reports if report.error]
    hours = sum(report.seconds for report in reports) / 3600
    cpu = sum(report.cpu_seconds for report in reports)
    recoveries = sorted(report.recovery for report in reports if not report.error) or [0.0]
    middle = recoveries[len(recoveries) // 2]
    worst = max((report.worst_gap for report in reports), default=0.0)
    lines = [
        f"{len(reports)} seeds, {hours:.2f} simulated hours in {cpu:.0f} s of processor time",
        f"faults injected: {faults.total()} in all",
        f"operations: {_listed(all_of('operations'))}",
        f"faults: {_listed(faults)}",
        f"requests: {_listed(all_of('requests'))}",
        f"changes of the membership: {_listed(all_of('changes'))}",
        f"refused or not possible: {undone.total()} in all, {_listed(undone)}",
        f"milestones: {_listed(all_of('milestones'))}",
        f"looked at: {_listed(all_of('looks'))}",
        f"packets: {_listed(all_of('packets'))}",
        f"nodes that ended by themselves: {_listed(all_of('ends'))}",
        f"unavailable {sum(r.unavailable for r in reports):.0f} s in all, worst gap {worst:.1f} s",
        f"after the last fault back in {middle:.1f} s (median), {recoveries[-1]:.1f} s (worst)",
        f"histories too hard to judge: {sum(report.undecided for report in reports)}",
        f"failed seeds: {', '.join(failed) or 'none'}",
    ]
    return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
