"""Machines as network namespaces on one bridge: separate network stacks of a real kernel.

A direction is cut by giving the sender a wrong hardware address of the receiver, for ever: its
frames go out, and nobody takes them. So nothing is refused and no connection is reset, just as
behind a dead switch, and it needs neither firewall nor routing rules.

The whole program runs in namespaces of its own (`enter`), so that whatever it leaves behind
disappears with its last process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

from tests.chaos.network import Network

_ENTERED = "RAFTIFY_CHAOS_ENTERED"
_BRIDGE = "chaos0"
_PORT = 7000
_NOBODY = "02:00:00:00:ff:ff"
#: What a slow link still carries where the kernel cannot delay: 25 KB/s, in bits per second.
_SLOW_RATE = "200kbit"
_TRIAL = """
set -e
ip link set lo up
ip link add try0 type bridge
ip link add try1 type veth peer name try2
mount -t tmpfs none /run
ip netns add try
"""


class CommandFailed(RuntimeError):
    """A command of the system failed; the text is what it said."""


def enter() -> str:
    """Go on in network and mount namespaces of this program's own, if the system allows that.

    Starts the program again within them and then never returns. Returns, in the new program as
    where it is not allowed, "" or why not.
    """
    if os.environ.get(_ENTERED):
        return ""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    for tool in ("unshare", "ip", "nsenter", "mount"):
        if shutil.which(tool) is None:
            return f"the program `{tool}` is missing"
    unshare = ["unshare", "--net", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    trial = subprocess.run(
        [*unshare, "sh", "-c", _TRIAL], capture_output=True, text=True, check=False
    )
    if trial.returncode != 0:
        last = (trial.stderr.strip() or "no reason given").splitlines()[-1]
        return f"this system allows no network namespaces: {last}"
    os.environ[_ENTERED] = "1"
    module = sys.modules["__main__"].__spec__
    assert module is not None
    name = module.name.removesuffix(".__main__")
    os.execvp(unshare[0], [*unshare, sys.executable, "-m", name, *sys.argv[1:]])
    raise AssertionError("another program runs now")


class NamespaceNetwork(Network):
    """Needs `enter` to have succeeded."""

    kind = "network namespaces"

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = 1
        self._can_delay: bool | None = None

    async def open(self) -> None:
        # Our own: `ip netns` keeps the names of namespaces there.
        await run("mount", "-t", "tmpfs", "none", "/run")
        await run("ip", "link", "set", "lo", "up")
        await run("ip", "link", "add", _BRIDGE, "type", "bridge")
        await run("ip", "address", "add", "10.77.0.1/16", "dev", _BRIDGE)
        await run("ip", "link", "set", _BRIDGE, "up")

    async def close(self) -> None:
        for name in list(self._numbers):
            await self.detach(name)
        await run("ip", "link", "delete", _BRIDGE, check=False)
        await run("umount", "/run", check=False)

    async def attach(self, name: str) -> str:
        number, self._next = self._next, self._next + 1
        self._numbers[name] = number
        outside = f"veth{number}"
        await run("ip", "netns", "add", name)
        await run(
            "ip", "link", "add", outside, "type", "veth",
            "peer", "name", "eth0", "netns", name, "address", _hardware(number),
        )  # fmt: skip
        await run("ip", "link", "set", outside, "master", _BRIDGE, "up")
        await run("ip", "-n", name, "address", "add", f"{_host(number)}/16", "dev", "eth0")
        await run("ip", "-n", name, "link", "set", "eth0", "up")
        await run("ip", "-n", name, "link", "set", "lo", "up")
        return f"{_host(number)}:{_PORT}"

    async def detach(self, name: str) -> None:
        number = self._numbers.pop(name)
        # The device goes with its namespace only when the last socket in it is closed.
        await run("ip", "link", "delete", f"veth{number}")
        await run("ip", "netns", "delete", name)

    def prefix(self, name: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{name}"]

    def routes(self, name: str) -> dict[str, str]:
        return {}

    async def cut(self, source: str, target: str) -> None:
        await self._know(source, target, _NOBODY)

    async def mend(self, source: str, target: str) -> None:
        await self._know(source, target, _hardware(self._numbers[target]))

    async def _know(self, source: str, target: str, hardware: str) -> None:
        await run(
            "ip", "-n", source, "neighbour", "replace", _host(self._numbers[target]),
            "lladdr", hardware, "dev", "eth0", "nud", "permanent",
        )  # fmt: skip

    async def slow(self, name: str, seconds: float) -> None:
        tc = ["tc", "-n", name, "qdisc"]
        if seconds == 0:
            await run(*tc, "delete", "dev", "eth0", "root", check=False)
            return
        if self._can_delay is not False:
            delay = ["netem", "delay", f"{1000 * seconds:.0f}ms"]
            self._can_delay = await run(*tc, "replace", "dev", "eth0", "root", *delay, check=False)
        if not self._can_delay:
            narrow = ["tbf", "rate", _SLOW_RATE, "burst", "4kb", "latency", "2s"]
            await run(*tc, "replace", "dev", "eth0", "root", *narrow)


async def run(*command: str, check: bool = True) -> bool:
    """Run a command of the system; say whether it succeeded.

    Raises:
        CommandFailed: it did not, and `check` is set.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    if check and process.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: {errors.decode().strip()}")
    return process.returncode == 0


def _host(number: int) -> str:
    return f"10.77.{number // 250 + 1}.{number % 250 + 1}"


def _hardware(number: int) -> str:
    return f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"
