"""Real processes under real faults: `python -m tests.chaos`, or `make chaos`.

Clusters of three and of five nodes, each node a process with LMDB and gRPC, clients that write and
read throughout, and one fault after the other. See docs/chaos.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from raftify.event_loop import new_event_loop
from tests.chaos.drill import Drill, Findings
from tests.chaos.faults import FAULTS
from tests.chaos.namespaces import NamespaceNetwork, enter
from tests.chaos.network import Network
from tests.chaos.proxy import ProxyNetwork
from tests.chaos.report import as_json, as_text
from tests.chaos.volumes import Directory, best_volume
from tests.soak.arguments import count

#: Says that gRPC was told of forks before it was loaded. That its own variable is set does not: a
#: module that was imported behind gRPC may have set it.
STARTED_OVER = "RAFTIFY_CHAOS_STARTED_OVER"


def size(text: str) -> int:
    """Return how many nodes a cluster is to have: enough that one can fail."""
    number = count(text)
    if number < 3:
        raise argparse.ArgumentTypeError(f"{number} nodes cannot do without one: give at least 3")
    return number


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--cycles", type=count, default=500, help="how often to kill and restart; 10 is a trial"
    )
    parser.add_argument("--sizes", type=size, nargs="+", default=[3, 5], help="of clusters")
    parser.add_argument("--network", choices=["auto", "namespaces", "proxy"], default="auto")
    parser.add_argument("--only", default="", help="parts of faults' names, with commas")
    parser.add_argument("--seed", type=int, help="which faults come when; drawn if not given")
    parser.add_argument("--results", type=Path, default=Path("bench-results"))
    arguments = parser.parse_args()
    for part in arguments.only.split(","):
        if not any(part in name for name in FAULTS):
            parser.error(f"--only: no fault has {part!r} in its name; there are {list(FAULTS)}")
    return arguments


async def drill(arguments: argparse.Namespace, work: Path, *, namespaces: bool) -> list[Findings]:
    """Run one drill for each size; stop at the first that finds something wrong."""
    found: list[Findings] = []
    kills = -(-arguments.cycles // len(arguments.sizes))
    volume = await best_volume(work) if namespaces else Directory
    for size in arguments.sizes:
        network: Network = NamespaceNetwork() if namespaces else ProxyNetwork()
        directory = work / f"{size}-nodes"
        directory.mkdir()
        print(f"{size} nodes; {network.kind}; {volume.kind}", flush=True)  # noqa: T201 - a program
        one = Drill(
            size, network, volume, directory, seed=arguments.seed, say=partial(print, flush=True)
        )
        found.append(await one.run(kills, arguments.only))
        if found[-1].wrong:
            break
    return found


def main() -> int:
    arguments = parse()
    if STARTED_OVER not in os.environ:
        # Read by gRPC when it is loaded, as it is by now: or its handlers for forks would complain
        # of each child that is started, and now and then end one by a signal before it has begun.
        os.environ.update({STARTED_OVER: "1", "GRPC_ENABLE_FORK_SUPPORT": "0"})
        os.execv(sys.executable, [sys.executable, "-m", "tests.chaos", *sys.argv[1:]])
    namespaces = False
    if arguments.network != "proxy":
        reason = enter()
        namespaces = not reason
        if reason:
            print(f"no network namespaces: {reason}", flush=True)  # noqa: T201 - a program
            if arguments.network == "namespaces":
                return 2
    if arguments.seed is None:
        arguments.seed = random.SystemRandom().randrange(1 << 32)
    results: Path = arguments.results.resolve()
    results.mkdir(parents=True, exist_ok=True)
    # Beside the results, because the system's temporary directory may lie in memory.
    work = Path(tempfile.mkdtemp(prefix="chaos-", dir=results))
    print(f"seed {arguments.seed}; in {work}", flush=True)  # noqa: T201 - a program
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        found = runner.run(drill(arguments, work, namespaces=namespaces))
    text = as_text(found)
    (results / "chaos.txt").write_text(text + "\n")
    (results / "chaos.json").write_text(json.dumps(as_json(found), indent=1) + "\n")
    print(f"\n{text}")  # noqa: T201 - a program
    if any(f.wrong for f in found):
        print(f"the nodes' own words are in {work}")  # noqa: T201 - a program
        return 1
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
