"""Ports on loopback for nodes that are started, stopped and started again at the same address.

A port that the kernel chooses (bind to port 0) is its to give away again once it is let go: to any
connection, and to the tests of another worker (`pytest -n`), while a node is down or not yet up. So
these come from below the kernel's range, and each worker has a part of its own.
"""

from __future__ import annotations

import os
import socket
from itertools import cycle, islice
from random import SystemRandom
from typing import Final

#: Ephemeral ports begin at 32768 on Linux, at 49152 elsewhere.
_LOW: Final = 12_000
_EACH, _PARTS = 2_000, 10


def part_of(worker: str) -> range:
    """Return the ports of a worker of pytest-xdist ("gw0", "gw1", ...); "" is a run without any."""
    low = _LOW + int(worker.removeprefix("gw") or 0) % _PARTS * _EACH
    return range(low, low + _EACH)


_PART: Final = part_of(os.environ.get("PYTEST_XDIST_WORKER", ""))
#: In an order of its own for each process (tests seed the common source of randomness), and none
#: again before all others were given.
_ports: Final = cycle(SystemRandom().sample(_PART, _EACH))


def free_port() -> int:
    """Return a port that nobody listens at, and that was not given to this process lately.

    Raises:
        RuntimeError: there is none left.
    """
    for port in islice(_ports, _EACH):
        if _is_free(port):
            return port
    raise RuntimeError(f"no port from {_PART.start} to {_PART.stop - 1} is free")


def free_ports(count: int) -> list[int]:
    """Return several ports, each another."""
    return [free_port() for _ in range(count)]


def free_address() -> str:
    """Return a free port with its host, as nodes are told it."""
    return f"127.0.0.1:{free_port()}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections that are only being forgotten (TIME_WAIT) do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
