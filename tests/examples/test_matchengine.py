"""The matching engine by itself: what each command does, and what it refuses."""

from __future__ import annotations

import pytest

from examples.matchengine.amounts import SCALE, format_amount, parse_amount
from examples.matchengine.answers import (
    Answer,
    Cancelled,
    Fill,
    Placed,
    Reason,
    Refused,
    Status,
    decode_answer,
)
from examples.matchengine.engine import Engine
from examples.matchengine.limits import Limits
from examples.matchengine.machine import MatchMachine
from examples.matchengine.orders import (
    CancelOrder,
    Command,
    Kind,
    PlaceOrder,
    Side,
    decode_command,
)
from tests.examples.matchengine_orders import buy, limit, market, sell


def run(engine: Engine, *commands: Command) -> list[Answer]:
    return [engine.execute(command) for command in commands]


def reason(answer: Answer) -> Reason | None:
    return answer.reason if isinstance(answer, Refused) else None


def fills(answer: Answer) -> list[tuple[str, str, str]]:
    assert isinstance(answer, Placed)
    return [(f.maker_id, format_amount(f.price), format_amount(f.quantity)) for f in answer.fills]


def depth(engine: Engine, side: Side, symbol: str = "AB") -> list[tuple[str, str, int]]:
    levels = engine.books[symbol].depth(side, 99)
    return [(format_amount(p), format_amount(q), n) for p, q, n in levels]


def test_a_limit_order_rests_where_nobody_meets_it() -> None:
    engine = Engine()
    answers = run(engine, buy("b1", "9.5", "2"), sell("s1", "9.75", "1"), buy("b2", "9.5", "1"))
    assert [fills(one) for one in answers] == [[], [], []]
    assert depth(engine, Side.BUY) == [("9.5", "3", 2)]
    assert depth(engine, Side.SELL) == [("9.75", "1", 1)]


def test_the_best_price_comes_first_and_then_the_oldest_order() -> None:
    engine = Engine()
    run(engine, sell("s1", "11", "1"), sell("s2", "10", "1"), sell("s3", "10", "1"))
    run(engine, sell("s4", "10.5", "1"))
    taken = run(engine, buy("b", "11", "3.5"))[0]
    assert fills(taken) == [
        ("s2", "10", "1"), ("s3", "10", "1"), ("s4", "10.5", "1"), ("s1", "11", "0.5"),
    ]  # fmt: skip
    assert depth(engine, Side.SELL) == [("11", "0.5", 1)]


def test_a_seller_meets_the_highest_buyer_first_at_the_buyers_price() -> None:
    engine = Engine()
    run(engine, buy("b1", "8", "1"), buy("b2", "9", "1"))
    assert fills(run(engine, sell("s", "7", "5"))[0]) == [("b2", "9", "1"), ("b1", "8", "1")]
    assert depth(engine, Side.SELL) == [("7", "3", 1)]


def test_a_partly_filled_order_keeps_its_place() -> None:
    engine = Engine()
    run(engine, sell("s1", "10", "3"), sell("s2", "10", "3"), buy("b1", "10", "1"))
    assert fills(run(engine, buy("b2", "10", "3"))[0]) == [("s1", "10", "2"), ("s2", "10", "1")]
    assert engine.orders["s1"].status is Status.FILLED
    assert engine.orders["s2"].remaining == 2 * SCALE


def test_a_market_order_takes_any_price_and_never_rests() -> None:
    engine = Engine()
    run(engine, sell("s1", "10", "1"), sell("s2", "1000000", "1"))
    answer = run(engine, market("m", Side.BUY, "5"))[0]
    assert isinstance(answer, Placed)
    assert (answer.status, answer.filled, answer.remaining) == (
        Status.CANCELLED, 2 * SCALE, 3 * SCALE
    )  # fmt: skip
    assert depth(engine, Side.BUY) == depth(engine, Side.SELL) == []
    assert run(engine, market("n", Side.SELL, "1"))[0] == Placed(
        "n", sequence=4, status=Status.CANCELLED, filled=0, remaining=SCALE
    )


def test_symbols_do_not_meet() -> None:
    engine = Engine()
    answers = run(engine, sell("s", "10", "1", "AB"), buy("b", "10", "1", "CD"))
    assert [fills(one) for one in answers] == [[], []]


def test_what_is_cancelled_is_met_no_more() -> None:
    engine = Engine()
    run(engine, sell("s1", "10", "3"), sell("s2", "10", "1"), buy("b1", "10", "1"))
    assert run(engine, CancelOrder("s1"), CancelOrder("s1")) == [Cancelled("s1", 2 * SCALE)] * 2
    assert depth(engine, Side.SELL) == [("10", "1", 1)]
    assert fills(run(engine, buy("b2", "10", "2"))[0]) == [("s2", "10", "1")]
    assert reason(run(engine, CancelOrder("s2"))[0]) is Reason.NOT_OPEN
    assert reason(run(engine, CancelOrder("none"))[0]) is Reason.UNKNOWN_ORDER


def test_the_same_order_again_gets_the_same_answer_and_nothing_happens() -> None:
    engine = Engine()
    run(engine, sell("s", "10", "1"))
    order = buy("b", "10", "2")
    first = run(engine, order)[0]
    run(engine, sell("later", "10", "1"))
    assert run(engine, order, sell("s", "10", "1"))[0] == first
    assert engine.tape.last == 2
    assert depth(engine, Side.BUY) == []


@pytest.mark.parametrize(
    "other",
    [
        sell("b", "10", "2"), buy("b", "11", "2"), buy("b", "10", "3"),
        buy("b", "10", "2", "CD"), market("b", Side.BUY, "2"),
    ],
)  # fmt: skip
def test_another_order_under_a_used_id_is_refused(other: PlaceOrder) -> None:
    engine = Engine()
    run(engine, buy("b", "10", "2"))
    assert reason(run(engine, other)[0]) is Reason.ID_IN_USE
    assert depth(engine, Side.BUY) == [("10", "2", 1)]


def test_orders_of_one_owner_trade_with_each_other() -> None:
    """The engine knows no owners; the README says so."""
    engine = Engine()
    answers = run(engine, sell("alice:1", "10", "1"), buy("alice:2", "10", "1"))
    assert fills(answers[1]) == [("alice:1", "10", "1")]


def test_trades_are_numbered_without_gaps_and_the_newest_are_kept() -> None:
    engine = Engine(Limits(trades_kept=3))
    for n in range(1, 9):
        run(engine, sell(f"s{n}", "10", "1"), buy(f"b{n}", "10", "1"))
        kept = [trade.number for trade in engine.tape.since(0, 99)]
        assert kept == list(range(max(1, n - 2), n + 1))
        assert (engine.tape.first, engine.tape.last) == (kept[0], n)
    assert [trade.number for trade in engine.tape.since(6, 1)] == [7]
    assert engine.tape.since(8, 9) == engine.tape.since(1 << 62, 9) == []


def test_an_answer_tells_of_some_trades_and_the_tape_of_all() -> None:
    engine = Engine(Limits(fills_told=2))
    run(engine, *(sell(f"s{n}", "10", "1") for n in range(5)))
    answer = run(engine, buy("b", "10", "5"))[0]
    assert isinstance(answer, Placed)
    assert (answer.first_trade, answer.trade_count, len(answer.fills)) == (1, 5, 2)
    assert [trade.maker_id for trade in engine.tape.since(0, 9)] == [f"s{n}" for n in range(5)]


MOST = Limits().max_price


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (buy("", "1", "1"), Reason.BAD_ID),
        (buy("a b", "1", "1"), Reason.BAD_ID),
        (buy("a\n", "1", "1"), Reason.BAD_ID),
        (buy("x" * 65, "1", "1"), Reason.BAD_ID),
        (buy("x", "1", "1", ""), Reason.BAD_SYMBOL),
        (buy("x", "1", "1", "ab"), Reason.BAD_SYMBOL),
        (buy("x", "1", "1", "-AB"), Reason.BAD_SYMBOL),
        (buy("x", "1", "1", "A" * 17), Reason.BAD_SYMBOL),
        (buy("x", "0", "1"), Reason.BAD_PRICE),
        (PlaceOrder("x", "AB", Side.BUY, Kind.LIMIT, -1, 1), Reason.BAD_PRICE),
        (PlaceOrder("x", "AB", Side.BUY, Kind.LIMIT, MOST + 1, 1), Reason.BAD_PRICE),
        (PlaceOrder("x", "AB", Side.BUY, Kind.MARKET, 1, 1), Reason.BAD_PRICE),
        (buy("x", "1", "0"), Reason.BAD_QUANTITY),
        (PlaceOrder("x", "AB", Side.BUY, Kind.LIMIT, 1, -1), Reason.BAD_QUANTITY),
        (PlaceOrder("x", "AB", Side.BUY, Kind.LIMIT, 1, MOST + 1), Reason.BAD_QUANTITY),
    ],
)
def test_what_is_out_of_bounds_is_refused_and_leaves_its_id_free(
    order: PlaceOrder, expected: Reason
) -> None:
    engine = Engine()
    answer = run(engine, order)[0]
    assert reason(answer) is expected
    assert not engine.orders
    assert not engine.books


def test_bounds_themselves_are_taken() -> None:
    engine = Engine()
    longest = limit("x" * 64, Side.SELL, "0.00000001", "0.00000001", "A" * 16)
    largest = PlaceOrder("y", "AB", Side.BUY, Kind.LIMIT, MOST, Limits().max_quantity)
    assert [reason(one) for one in run(engine, longest, largest)] == [None, None]


def test_an_order_refused_for_lack_of_room_stays_refused() -> None:
    """A second copy of it, late in the network, must not be taken after all."""
    engine = Engine(Limits(max_open_orders=2, max_symbols=1))
    run(engine, sell("s1", "10", "1"), sell("s2", "10", "1"))
    refused = buy("b", "9", "1"), sell("c", "9", "1", "CD")
    assert [reason(one) for one in run(engine, *refused)] == [
        Reason.TOO_MANY_OPEN_ORDERS, Reason.TOO_MANY_SYMBOLS
    ]  # fmt: skip
    assert reason(run(engine, CancelOrder("b"))[0]) is Reason.NOT_OPEN
    run(engine, market("m", Side.BUY, "1"))
    assert engine.open_orders == 1
    assert reason(run(engine, refused[0])[0]) is Reason.TOO_MANY_OPEN_ORDERS
    assert reason(run(engine, buy("b2", "9", "1"))[0]) is None


def test_finished_orders_are_forgotten_the_longest_done_first_and_open_ones_never() -> None:
    engine = Engine(Limits(finished_orders=2))
    run(engine, buy("open", "1", "1"))
    for n in range(4):
        run(engine, buy(f"o{n}", "1", "1"), CancelOrder(f"o{n}"))
    assert list(engine.orders) == ["open", "o2", "o3"]
    assert reason(run(engine, CancelOrder("o0"))[0]) is Reason.UNKNOWN_ORDER


@pytest.mark.parametrize("text", ["0", "1", "400.25", "0.00000001", "1234567890.12345678"])
def test_amounts_are_exact_there_and_back(text: str) -> None:
    assert format_amount(parse_amount(text)) == text


def test_amounts_are_written_shortly() -> None:
    assert format_amount(parse_amount("010.500")) == "10.5"


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "-1", "+1", "1e3", "0x1", "1_0", " 1", "1\n", "NaN", "1,5",
     "0.000000001", "12345678901", "٣"],
)  # fmt: skip
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"as 400\.25"):
        parse_amount(text)


@pytest.mark.parametrize(
    "command", [buy("b", "1.5", "2"), CancelOrder("b"), sell("x" * 64, "1", "9")]
)
def test_commands_are_the_same_after_a_journey_and_damage_is_noticed(command: Command) -> None:
    data = command.encode()
    assert decode_command(data) == command
    for broken in (data[:-1], data + b"x", b"", b"\x07" + data[1:]):
        with pytest.raises(ValueError, match=r"order|cancellation"):
            decode_command(broken)


@pytest.mark.parametrize(
    "answer",
    [
        Placed("x", 7, Status.OPEN, 1, 2, 3, 4, (Fill("m1", 5, 6), Fill("m22", 7, 8))),
        Placed("x", 7, Status.FILLED, 1, 0),
        Cancelled("x", 9),
        Refused(Reason.BAD_PRICE, "too much, é"),
    ],
)
def test_answers_are_the_same_after_a_journey(answer: Answer) -> None:
    assert decode_answer(answer.encode()) == answer


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x01\x01", b"\x03\x00"])
def test_what_is_no_answer_is_noticed(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"answer|Reason"):
        decode_answer(data)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\x01", b"\x02\x05ab", b"\x01" + bytes(30), b"\xff" * 99]
)
def test_rubbish_in_the_log_is_answered_and_stops_no_node(data: bytes) -> None:
    machine = MatchMachine()
    assert reason(decode_answer(machine.execute(data))) is Reason.BAD_COMMAND


def test_a_command_that_cannot_be_written_says_so() -> None:
    with pytest.raises(ValueError, match="too large"):
        PlaceOrder("x", "AB", Side.BUY, Kind.LIMIT, 1 << 63, 1).encode()
    with pytest.raises(ValueError, match="shorter"):
        CancelOrder("x" * 256).encode()
