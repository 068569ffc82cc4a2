"""Tests that run at once never take each other's ports."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from tests import ports


def test_each_worker_has_ports_of_its_own_that_the_kernel_does_not_give_away() -> None:
    parts = [ports.part_of(f"gw{number}") for number in range(10)]
    assert all(one.stop <= other.start for one, other in pairwise(parts))
    assert parts[-1].stop <= 32_768
    assert ports.part_of("") == parts[0]


def test_a_port_in_use_is_not_given_nor_one_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ports.free_ports(2)
    assert first != second
    with socket.create_server(("127.0.0.1", first)):
        monkeypatch.setattr(ports, "_ports", iter([first, second]))
        assert ports.free_port() == second
