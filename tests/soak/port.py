"""The open port under attack: `python -m tests.soak.port --minutes 30 --seed 1`.

Three processes, and every attack of tests/port on the leader or a follower, in an order that the
seed gives, for as long as is asked; `--only NAME` tries one. Prints one line an attack, and ends
with 1 if one of them cost what it must not: a leader, a write, a file, memory beyond the bound.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from tests.port.attacks_by_content import BY_CONTENT
from tests.port.attacks_by_weight import BY_WEIGHT
from tests.port.siege import Cost, besieged

ATTACKS = (*BY_CONTENT, *BY_WEIGHT)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the name of one attack, or part of it")
    return parser.parse_args()


def say(text: object) -> None:
    print(text, flush=True)  # noqa: T201 - it is a program


async def attack_all(directory: Path, arguments: argparse.Namespace) -> list[Cost]:
    random, costs = Random(arguments.seed), list[Cost]()
    deadline = time.monotonic() + 60 * arguments.minutes
    attacks = [a for a in ATTACKS if arguments.only in a.__name__]
    async with besieged(directory) as siege:
        while not costs or time.monotonic() < deadline:
            random.shuffle(attacks)
            for attack in attacks:
                if costs and time.monotonic() > deadline:
                    break
                one = Random(random.getrandbits(64))
                costs.append(await siege.endure(attack, one, leader=random.random() < 0.7))
                say(costs[-1])
    return costs


def main() -> int:
    arguments = parse()
    say(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as name:
        costs = asyncio.run(attack_all(Path(name), arguments))
    failed = [cost for cost in costs if cost.faults]
    say(f"{len(costs)} attacks, {len(failed)} failed, peak {max(c.peak_mib for c in costs)} MiB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
