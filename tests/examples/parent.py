"""A parent that starts one child, prints its process id, and waits to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from examples.children import Children


async def run(log: Path) -> None:
    async with Children() as children:
        child = await children.spawn("tests.examples.echo_child", log=log)
        await child.call("echo", "there")
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        await child.call("wait", timeout=60)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
