"""A node says when its certificates expire, and warns while there is time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raftify.config import Config, TlsConfig
from raftify.testing.simulation import virtual_time
from raftify.transport.expiry import ExpiryWatch, days_left
from tests.transport.certificates import DAY, HOST, Authority
from tests.transport.fakes import LOGGER, Machines

DAY_SECONDS = DAY.total_seconds()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if "expire" in r.getMessage()]


async def test_a_node_that_starts_says_so(
    machines: Machines, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    authority.issue("soon", HOST, valid=3 * DAY)
    tls = authority.tls("soon")
    assert days_left(tls) is None
    await machines.start(1, config=Config(tls=tls))
    left = days_left(tls)
    assert left is not None
    assert 2.9 < left < 3
    [warning] = warnings(caplog)
    assert "soon.pem, or one that it stands on, expires in 3.0 days" in warning


async def test_a_node_with_time_left_says_nothing(
    machines: Machines, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    await machines.start(1, config=Config(tls=authority.tls("later")))
    await machines.start(2)
    assert warnings(caplog) == []


@virtual_time
async def test_it_is_looked_at_every_day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also what was replaced meanwhile; and no more once the node has stopped."""
    authority = Authority(tmp_path)
    authority.issue("node", HOST, valid=16.5 * DAY)
    loop = asyncio.get_running_loop()
    began, now = loop.time(), authority.made

    def clock() -> float:
        return now.timestamp() + loop.time() - began

    watch = ExpiryWatch(authority.tls("node"), LOGGER, clock)
    watch.start()
    await asyncio.sleep(2.2 * DAY_SECONDS)
    assert warnings(caplog) == []
    await asyncio.sleep(2 * DAY_SECONDS)
    assert [w.partition(" expires ")[2][:12] for w in warnings(caplog)] == [
        "in 13.5 days",
        "in 12.5 days",
    ]
    authority.issue("node", HOST, valid=100 * DAY)
    await asyncio.sleep(5 * DAY_SECONDS)
    assert len(warnings(caplog)) == 2
    watch.stop()
    await asyncio.sleep(200 * DAY_SECONDS)
    assert len(warnings(caplog)) == 2


@virtual_time
async def test_a_node_that_runs_on_with_an_expired_one_goes_on_saying_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    tls = authority.tls("node")
    watch = ExpiryWatch(tls, LOGGER, lambda: authority.made.timestamp() + 31.5 * DAY_SECONDS)
    watch.start()
    watch.stop()
    assert "expired 1.5 days ago" in warnings(caplog)[0]


def test_without_certificates_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert days_left(None) is None
    client = TlsConfig(ca_cert=Authority(tmp_path).ca_cert, require_client_cert=False)
    assert days_left(client) is None
