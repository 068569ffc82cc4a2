"""What a process and its log directory take, read from outside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE_KIB = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process. Memory and disk in KiB, latency in milliseconds.

    `memory_kib` is what the process alone holds (RssAnon): pages of mapped files belong to the
    system's cache, and are in `resident_kib` only. Where a figure does not exist it is 0.
    """

    seconds: float
    phase: str
    who: str
    memory_kib: int
    resident_kib: int
    descriptors: int
    threads: int
    tasks: int
    objects: int
    disk_kib: int
    log_kib: int
    writes: int
    p50_ms: float
    p99_ms: float


def memory_of(pid: int) -> tuple[int, int]:
    """Return RssAnon and VmRSS of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]), int(fields["VmRSS"].split()[0])


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def disk_kib(directory: Path) -> int:
    """Return what the files below `directory` take on the disk; they may vanish meanwhile."""
    blocks = 0
    for path in directory.rglob("*"):
        try:
            blocks += path.stat().st_blocks
        except FileNotFoundError:
            continue
    return blocks // 2
