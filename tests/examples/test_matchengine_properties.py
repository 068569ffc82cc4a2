"""The matching engine against a naive one, its invariants, its snapshots: for many histories."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.matchengine.answers import Placed, Status
from examples.matchengine.engine import Engine
from examples.matchengine.limits import Limits, fault_of
from examples.matchengine.machine import MatchMachine
from examples.matchengine.orders import Command, Kind, PlaceOrder, Side
from examples.matchengine.snapshots import read_engine
from tests.examples.matchengine_orders import COMMANDS, buy, market, sell
from tests.examples.naive_book import NaiveEngine

#: Small enough that histories meet every limit.
TIGHT = Limits(max_symbols=2, max_open_orders=8, finished_orders=6, trades_kept=5, fills_told=2)


def resting(engine: Engine) -> list[tuple[str, int]]:
    """Return what lies in the books, by the books themselves, in the order of matching."""
    return [
        (order.entry.id, order.remaining)
        for book in engine.books.values()
        for side in Side
        for level in book.side(side).levels()
        for order in level.orders.values()
    ]


@settings(max_examples=200, deadline=None)
@given(COMMANDS)
def test_it_does_what_a_naive_engine_does(commands: list[Command]) -> None:
    engine, naive = Engine(), NaiveEngine()
    for command in commands:
        engine.execute(command)
        if not (isinstance(command, PlaceOrder) and fault_of(command, engine.limits)):
            naive.execute(command)
        assert sorted(resting(engine)) == sorted((o.order.id, o.remaining) for o in naive.open)
    told = engine.tape.since(0, len(naive.trades) + 1)
    assert [(t.symbol, t.taker_id, t.maker_id, t.price, t.quantity) for t in told] == naive.trades


def check_invariants(engine: Engine) -> None:
    for book in engine.books.values():
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is None or ask is None or bid.price < ask.price, "the book is crossed"
        for side, sign in ((Side.BUY, -1), (Side.SELL, 1)):
            levels = list(book.side(side).levels())
            keys = [level.price * sign for level in levels]
            assert keys == sorted(set(keys)), "levels are out of order"
            for level in levels:
                orders = list(level.orders.values())
                assert level.total == sum(o.remaining for o in orders) > 0
                sequences = [o.sequence for o in orders]
                assert sequences == sorted(sequences), "a younger order stands before an older"
                assert all(o.status is Status.OPEN and o.remaining > 0 for o in orders)
    open_ids = sorted(i for i, order in engine.orders.items() if order.status is Status.OPEN)
    assert open_ids == sorted(i for i, _ in resting(engine))
    assert sorted(engine.finished) == sorted(set(engine.orders) - set(open_ids))
    assert engine.open_orders == len(open_ids)


@settings(max_examples=150, deadline=None)
@given(COMMANDS, st.sampled_from([Limits(), TIGHT]))
def test_no_book_is_ever_crossed_or_out_of_order(commands: list[Command], limits: Limits) -> None:
    engine = Engine(limits)
    for command in commands:
        engine.execute(command)
        check_invariants(engine)
        assert engine.open_orders <= limits.max_open_orders
        assert len(engine.finished) <= limits.finished_orders
        assert len(engine.books) <= limits.max_symbols


@settings(max_examples=150, deadline=None)
@given(COMMANDS)
def test_quantities_are_conserved_and_prices_are_kept(commands: list[Command]) -> None:
    """What an order has traded and what remains is what it was; no trade is beyond a limit."""
    engine = Engine()
    for command in commands:
        engine.execute(command)
    traded = dict.fromkeys(engine.orders, 0)
    for trade in engine.tape.since(0, 1 << 20):
        taker, maker = engine.orders[trade.taker_id].entry, engine.orders[trade.maker_id].entry
        assert trade.price == maker.price
        assert maker.kind is Kind.LIMIT
        assert {taker.side, maker.side} == set(Side)
        if taker.kind is Kind.LIMIT:
            buyer, seller = (taker, maker) if taker.side is Side.BUY else (maker, taker)
            assert seller.price <= trade.price <= buyer.price
        traded[trade.taker_id] += trade.quantity
        traded[trade.maker_id] += trade.quantity
    for order_id, order in engine.orders.items():
        assert order.remaining == order.entry.quantity - traded[order_id] >= 0
        assert (order.status is Status.FILLED) == (order.remaining == 0)
        assert isinstance(order.answer, Placed)
        assert order.answer.filled + order.answer.remaining == order.entry.quantity


@settings(max_examples=150, deadline=None)
@given(COMMANDS, st.sets(st.integers(0, 99)), st.sampled_from([Limits(), TIGHT]))
def test_through_snapshots_at_any_point_all_bytes_are_the_same(
    commands: list[Command], restarts: set[int], limits: Limits
) -> None:
    steady, restored = MatchMachine(limits), MatchMachine(limits)
    for number, command in enumerate(commands):
        data = command.encode()
        assert steady.execute(data) == restored.execute(data)
        if number in restarts:
            snapshot = restored.snapshot()
            restored = MatchMachine(limits)
            restored.restore(snapshot)
            check_invariants(restored.engine)
            assert restored.snapshot() == snapshot
    assert steady.snapshot() == restored.snapshot()
    assert [steady.execute(c.encode()) for c in commands] == [
        restored.execute(c.encode()) for c in commands
    ]


@settings(max_examples=100, deadline=None)
@given(COMMANDS)
def test_every_order_again_gets_the_same_answer(commands: list[Command]) -> None:
    machine = MatchMachine()
    orders = {c.id: c for c in reversed(commands) if isinstance(c, PlaceOrder)}
    first = {i: machine.execute(order.encode()) for i, order in orders.items()}
    state = machine.snapshot()
    assert {i: machine.execute(order.encode()) for i, order in orders.items()} == first
    assert machine.snapshot() == state


def snapshot_of_a_few() -> bytes:
    machine = MatchMachine()
    for command in (sell("s", "10", "2"), buy("b", "10", "1"), market("m", Side.SELL, "1")):
        machine.execute(command.encode())
    return machine.snapshot()


def test_a_snapshot_that_is_cut_anywhere_is_refused() -> None:
    whole = snapshot_of_a_few()
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"snapshot|answer|order|ends"):
            read_engine(BytesIO(whole[:length]))
    with pytest.raises(ValueError, match="checksum"):
        read_engine(BytesIO(whole + b"x"))


def test_a_snapshot_with_a_changed_price_is_refused() -> None:
    whole = snapshot_of_a_few()
    price = (10 * 10**8).to_bytes(8)
    assert price in whole
    with pytest.raises(ValueError, match="checksum"):
        read_engine(BytesIO(whole.replace(price, (9 * 10**8).to_bytes(8), 1)))


def test_a_large_snapshot_is_written_in_pieces() -> None:
    machine = MatchMachine()
    for n in range(3_000):
        machine.execute(buy(f"order-{n}", "10", "1").encode())
    pieces: list[int] = []

    class Pieces:
        def write(self, data: bytes, /) -> int:
            pieces.append(len(data))
            return len(data)

    machine.write_snapshot(Pieces())
    assert len(pieces) > 3
    assert max(pieces) < 70_000
    assert MatchMachine.decode(machine.encode()).snapshot() == machine.snapshot()


def test_trades_go_on_with_the_next_number_after_a_restore() -> None:
    """Also where the first ones are forgotten."""
    machine, restored = MatchMachine(TIGHT), MatchMachine(TIGHT)
    for n in range(9):
        machine.execute(sell(f"s{n}", "10", "1").encode())
        machine.execute(buy(f"b{n}", "10", "1").encode())
    restored.restore(machine.snapshot())
    assert restored.snapshot() == machine.snapshot()
    for one in (machine, restored):
        one.execute(sell("s", "10", "1").encode())
        one.execute(buy("b", "10", "1").encode())
        assert [t.number for t in one.engine.tape.since(0, 99)] == [6, 7, 8, 9, 10]
