"""A waiter belongs to one entry of one term, and always gets an answer."""

from __future__ import annotations

import asyncio

import pytest

from raftify.errors import DeadlineExceeded, LeadershipLost, NotLeader, ProposalDropped
from raftify.node.waiters import EntryWaiters, ReadWaiters


def future_of() -> asyncio.Future[bytes]:
    return asyncio.get_running_loop().create_future()


async def test_an_entry_finds_its_waiter_once() -> None:
    waiters: EntryWaiters[bytes] = EntryWaiters("proposal")
    future = future_of()
    waiters.add(term=3, index=8, future=future, deadline=10.0)
    assert waiters.take(term=3, index=8) is future
    assert waiters.take(term=3, index=8) is None
    assert len(waiters) == 0


async def test_another_entry_at_the_index_fails_the_waiter() -> None:
    """The wrong waiter resolved would be an acknowledged write that was lost."""
    waiters: EntryWaiters[bytes] = EntryWaiters("proposal")
    future = future_of()
    waiters.add(term=3, index=8, future=future, deadline=10.0)
    assert waiters.take(term=4, index=8) is None
    with pytest.raises(ProposalDropped, match="never take effect"):
        await future


async def test_a_caller_that_went_away_is_passed_over() -> None:
    waiters: EntryWaiters[bytes] = EntryWaiters("proposal")
    future = future_of()
    waiters.add(term=1, index=1, future=future, deadline=10.0)
    future.cancel()
    assert waiters.take(term=1, index=1) is None


async def test_only_those_past_their_deadline_expire() -> None:
    waiters: EntryWaiters[bytes] = EntryWaiters("proposal")
    early, late = future_of(), future_of()
    waiters.add(term=1, index=1, future=early, deadline=5.0)
    waiters.add(term=1, index=2, future=late, deadline=9.0)
    waiters.expire(4.9)
    assert not early.done()
    waiters.expire(5.0)
    with pytest.raises(DeadlineExceeded):
        await early
    assert not late.done()
    waiters.expire(9.0)
    with pytest.raises(DeadlineExceeded):
        await late


async def test_losing_leadership_answers_everyone() -> None:
    waiters: EntryWaiters[bytes] = EntryWaiters("proposal")
    futures = [future_of() for _ in range(3)]
    for i, future in enumerate(futures):
        waiters.add(term=1, index=i, future=future, deadline=9.0)
    waiters.fail_all(lambda: LeadershipLost("gone"))
    for future in futures:
        with pytest.raises(LeadershipLost):
            await future
    assert len({id(future.exception()) for future in futures}) == 3


async def test_reads_of_one_round_share_its_fate() -> None:
    reads, loop = ReadWaiters(), asyncio.get_running_loop()
    first: list[asyncio.Future[int]] = [loop.create_future() for _ in range(2)]
    second: asyncio.Future[int] = loop.create_future()
    token = reads.open_round([(future, 9.0) for future in first])
    other = reads.open_round([(second, 9.0)])
    assert token != other
    reads.resolve(token, 17)
    assert [await future for future in first] == [17, 17]
    assert not second.done()
    reads.resolve(token, 18)
    reads.fail_all(NotLeader)
    with pytest.raises(NotLeader):
        await second


async def test_reads_expire_each_by_its_own_deadline() -> None:
    reads, loop = ReadWaiters(), asyncio.get_running_loop()
    early: asyncio.Future[int] = loop.create_future()
    late: asyncio.Future[int] = loop.create_future()
    token = reads.open_round([(early, 1.0), (late, 2.0)])
    reads.expire(1.0)
    with pytest.raises(DeadlineExceeded):
        await early
    reads.resolve(token, 5)
    assert await late == 5
    assert len(reads) == 0
