"""The matching engine's HTTP face on one node: what is wrong gets its status, and stops nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.matchengine.bodies import BadOrder, read_json, read_order, read_orders
from examples.matchengine.engine import Engine
from examples.matchengine.orders import Kind, PlaceOrder, Side
from examples.matchengine.questions import answer_question, ask, encode_question
from tests.examples.matchengine_orders import answers_http, buy, sell
from tests.examples.processes import program
from tests.ports import free_ports

GOOD = {"id": "x", "symbol": "AB", "side": "buy", "type": "limit", "price": "1", "quantity": "2"}


def text_of(**changed: object) -> bytes:
    """Return the good order as JSON, with changes; None leaves a field out."""
    fields = {**GOOD, **changed}
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ('"400.25"', 40_025_000_000),
        ("400.25", 40_025_000_000),
        ("400", 40_000_000_000),
        ("0.1", 10_000_000),
        ("1234567890.12345678", 123_456_789_012_345_678),
    ],
)
def test_numbers_are_taken_as_they_are_written(text: str, units: int) -> None:
    """As a float the last one would be 1234567890.1234567."""
    body = text_of(price="PRICE").replace(b'"PRICE"', text.encode())
    assert read_order(read_json(body)) == PlaceOrder(
        "x", "AB", Side.BUY, Kind.LIMIT, units, 200_000_000
    )


WRONG = [
    b"", b"no JSON", b"\xff\xfe", b"[" * 100_000, b'{"id": ' + b"9" * 5_000,
    b"null", b"1", b'"text"', b"{}", b'{"id": "x"}',
    text_of(id=None), text_of(id=["x"]), text_of(id=True), text_of(id="\u00e9"),
    text_of(id="x" * 256),
    text_of(symbol=None), text_of(symbol="\ud800"),
    text_of(side="BUY"), text_of(side=None), text_of(side=["buy"]), text_of(side={}),
    text_of(type="stop"), text_of(type=None), text_of(type="market"),
    text_of(price=None), text_of(price=True), text_of(price={}), text_of(price=float("nan")),
    text_of(price=float("inf")), text_of(price=-1), text_of(price=1e30), text_of(price="1e3"),
    text_of(price="12345678901"), text_of(price="0.000000001"), text_of(price=""),
    text_of(quantity=None), text_of(quantity="x"), text_of(quantity=-1), text_of(quantity=[1]),
    text_of(owner="me"),
]  # fmt: skip


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_what_is_no_order_is_refused(body: bytes) -> None:
    with pytest.raises(BadOrder) as refused:
        read_order(read_json(body))
    assert len(str(refused.value)) < 300


def test_a_list_with_a_wrong_order_is_refused_as_a_whole() -> None:
    good = json.loads(text_of())
    assert len(read_orders([good, good])) == 2
    for wrong in ([], [good, {}], [good] * 1_001, [[good]]):
        with pytest.raises(BadOrder):
            read_orders(wrong)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("nothing", {}), ("book", {"depth": "0"}), ("book", {"depth": "1001"}),
        ("book", {"depth": "x"}), ("book", {"depth": "٣"}), ("book", {"dept": "1"}),
        ("trades", {"after": "-1"}), ("trades", {"after": "9" * 5_000}),
        ("trades", {"limit": "1001"}), ("symbols", {"depth": "1"}),
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(kind: str, options: dict[str, str]) -> None:
    engine = Engine()
    engine.execute(buy("b", "1", "1"))
    with pytest.raises(ValueError, match=r"not|know"):
        ask(engine, kind, "AB", options)
    with pytest.raises(ValueError, match=r"not|know"):
        answer_question(engine, encode_question(kind, "AB", options))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"[1, 2, 3]", b'["book", "AB", 5]', b'["book", "AB", {"depth": 5}]']
)
def test_what_is_no_question_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"question|Expecting"):
        answer_question(Engine(), data)


def test_pages_of_trades_lead_to_the_end() -> None:
    engine = Engine()
    for n in range(25):
        symbol = "AB" if n % 5 else "CD"
        engine.execute(sell(f"s{n}", "1", "1", symbol))
        engine.execute(buy(f"b{n}", "1", "1", symbol))
    after, found = 0, []
    while True:
        page = ask(engine, "trades", "", {"after": str(after), "limit": "4", "symbol": "CD"})
        found += [trade["number"] for trade in page["trades"]]
        if page["next"] == page["last"]:
            break
        assert page["next"] > after
        after = page["next"]
    assert found == [1, 6, 11, 16, 21]
    beyond = ask(engine, "trades", "", {"after": "1000"})
    assert (beyond["trades"], beyond["next"], beyond["last"]) == ([], 25, 25)


class Node:
    """HTTP requests to one node."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address

    async def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        url = f"http://{self._address}{path}"
        async with self._session.request(
            method, url, data=None if body is None else BytesIO(body)
        ) as response:
            return response.status, await response.json()


@asynccontextmanager
async def one_node(directory: Path) -> AsyncIterator[Node]:
    raft_addr, http_addr = (f"127.0.0.1:{port}" for port in free_ports(2))
    async with program(
        "-m", "examples.matchengine", "--raft-addr", raft_addr, "--http-addr", http_addr,
        "--log-dir", str(directory / "log"),
    ) as process:  # fmt: skip
        await answers_http(process)
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Node(session, http_addr)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_every_request_has_an_answer_and_a_fitting_status(tmp_path: Path) -> None:
    async with one_node(tmp_path) as node:

        async def refused(method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
            status, answer = await node.call(method, path, body)
            assert answer["message"]
            return status, answer.get("error") or answer["reason"]

        for body in WRONG:
            assert await refused("POST", "/orders", body) == (400, "BadOrder")
        assert await refused("POST", "/orders", bytes(2 << 20)) == (400, "BadRequest")
        assert await refused("POST", "/orders", text_of(id="a b")) == (422, "BadId")
        assert await refused("POST", "/orders", text_of(quantity=0)) == (422, "BadQuantity")
        assert await refused("GET", "/book/AB") == (404, "NotThere")
        assert await refused("GET", "/orders/x") == (404, "NotThere")
        assert await refused("DELETE", "/orders/x") == (404, "UnknownOrder")
        assert await refused("DELETE", "/orders/%00") == (422, "BadId")
        assert await refused("DELETE", "/orders/%C3%A9") == (400, "BadOrder")
        assert await refused("GET", "/trades?limit=x") == (400, "BadRequest")
        assert await refused("GET", "/nowhere") == (404, "NoSuchRoute")
        assert await refused("PUT", "/orders") == (405, "NoSuchRoute")

        status, placed = await node.call("POST", "/orders", text_of())
        assert (status, placed["status"]) == (200, "open")
        assert await node.call("POST", "/orders", text_of()) == (200, placed)
        assert await refused("POST", "/orders", text_of(price="2")) == (409, "IdInUse")
        assert (await node.call("GET", "/orders/x"))[1]["price"] == "1"
        both = b"[" + text_of(id="y", side="sell", quantity="3") + b"," + text_of(id="z") + b"]"
        status, answers = await node.call("POST", "/orders", both)
        assert (status, [a["filled"] for a in answers]) == (200, ["2", "1"])
        status, book = await node.call("GET", "/book/AB?local")
        assert (book["bids"], book["asks"]) == (
            [{"price": "1", "quantity": "1", "orders": 1}], [],
        )  # fmt: skip
        assert await refused("DELETE", "/orders/x") == (409, "NotOpen")
        assert (await node.call("GET", "/symbols")) == (200, {"symbols": ["AB"]})
