"""The open port under attack: `python -m tests.soak.port --minutes 30 --seed 1`.

Three processes. First everything that can be held is, for longer than the longest time-out of a
node; then comes every attack of tests/port on the leader or a follower, in an order that the seed
gives, for as long as is asked, and each at least once. `--only NAME` tries one. Prints one line an
attack, and ends with 1 if one of them cost what it must not: a leader, a write, a file, a write's
time or memory beyond their bounds (`Cost.faults`).
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
from tests.port.attacks_by_request import BY_REQUEST
from tests.port.attacks_by_weight import BY_WEIGHT, LONGER_THAN_ANY_LIMIT, everything_held
from tests.port.siege import Cost, besieged
from tests.port.target import Attack
from tests.soak.arguments import positive

ATTACKS = (*BY_CONTENT, *BY_REQUEST, *BY_WEIGHT)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.port", description=__doc__)
    parser.add_argument("--minutes", type=positive, default=10.0, help="beside the first, long one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the name of one attack, or part of it")
    arguments = parser.parse_args()
    names = [attack.__name__ for attack in (everything_held, *ATTACKS)]
    if not any(arguments.only in name for name in names):
        parser.error(f"--only {arguments.only}: no attack has that name; there are {names}")
    return arguments


def say(text: object) -> None:
    print(text, flush=True)  # noqa: T201 - it is a program


async def attack_all(directory: Path, arguments: argparse.Namespace) -> list[Cost]:
    random, costs = Random(arguments.seed), list[Cost]()
    attacks = [a for a in ATTACKS if arguments.only in a.__name__]

    async def endure(attack: Attack, *, leader: bool, hold: float = 0.0) -> None:
        one = Random(random.getrandbits(64))
        costs.append(await siege.endure(attack, one, leader=leader, hold=hold))
        say(costs[-1])

    async with besieged(directory) as siege:
        if arguments.only in everything_held.__name__:
            await endure(everything_held, leader=True, hold=LONGER_THAN_ANY_LIMIT)
        deadline = time.monotonic() + 60 * arguments.minutes
        tried = 0
        while attacks and (tried < len(attacks) or time.monotonic() < deadline):
            if tried % len(attacks) == 0:
                random.shuffle(attacks)
            await endure(attacks[tried % len(attacks)], leader=random.random() < 0.7)
            tried += 1
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
