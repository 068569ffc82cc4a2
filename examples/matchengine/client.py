"""A client of the matching engine, over the nodes' raft addresses. It finds the leader by itself.

Whatever fails with an unknown outcome may simply be sent again: an order id is one order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from examples.matchengine.answers import Answer, decode_answer
from examples.matchengine.orders import CancelOrder, Command
from examples.matchengine.questions import encode_question
from raftify import create_client
from raftify.errors import RaftifyError


class MatchClient:
    """Orders, cancellations and questions.

        async with MatchClient("127.0.0.1:60061", "127.0.0.1:60062") as client:
            answer = await client.place(order)

    Every call raises RaftifyError if the cluster cannot be reached in time; what the engine
    refuses is an answer.
    """

    def __init__(self, *addresses: str) -> None:
        self._client = create_client(list(addresses))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._client.close()

    async def place(self, order: Command) -> Answer:
        return decode_answer(await self._client.propose(order))

    async def place_many(self, orders: Sequence[Command]) -> list[Answer | RaftifyError]:
        """Send many commands with one wait; they are carried out in this order."""
        answers = await self._client.propose_many(orders)
        return [one if isinstance(one, RaftifyError) else decode_answer(one) for one in answers]

    async def cancel(self, order_id: str) -> Answer:
        return await self.place(CancelOrder(order_id))

    async def order(self, order_id: str) -> dict[str, Any] | None:
        """Return how an order stands; None if it is not known (any more)."""
        return await self._ask("order", order_id)

    async def book(self, symbol: str, *, depth: int = 20) -> dict[str, Any] | None:
        """Return the best levels of both sides; None if nothing was ever ordered of `symbol`."""
        return await self._ask("book", symbol, {"depth": str(depth)})

    async def trades(
        self, *, after: int = 0, limit: int = 100, symbol: str | None = None
    ) -> dict[str, Any]:
        """Return a page of trades; its `next` is the `after` of the next page."""
        options = {"after": str(after), "limit": str(limit)}
        if symbol is not None:
            options["symbol"] = symbol
        page = await self._ask("trades", "", options)
        assert page is not None  # there may be no trades, but always a page
        return page

    async def _ask(
        self, kind: str, about: str, options: Mapping[str, str] | None = None
    ) -> dict[str, Any] | None:
        found = json.loads(await self._client.query(encode_question(kind, about, options or {})))
        return None if "missing" in found else found
