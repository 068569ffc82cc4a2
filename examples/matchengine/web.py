"""The HTTP face: orders in, books and trades out, all as JSON, by every route on every node."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.asgi import read_body
from examples.matchengine.answers import Answer, Reason, Refused, decode_answer
from examples.matchengine.bodies import (
    MOST_BODY_BYTES,
    BadOrder,
    read_json,
    read_order,
    read_orders,
)
from examples.matchengine.machine import MatchMachine
from examples.matchengine.orders import CancelOrder
from examples.matchengine.questions import MOST_NUMBER, ask, number_of
from examples.matchengine.stream import TooManyReaders, TradeStreams
from examples.matchengine.views import NotThere
from examples.statuses import status_of
from raftify import Raft
from raftify.errors import RaftifyError

Handler = Callable[[Request], Awaitable[Response]]

#: What is refused because of what others did has a status of its own; the rest is 422.
REFUSED_STATUS: Final = {
    Reason.ID_IN_USE: HTTPStatus.CONFLICT,
    Reason.NOT_OPEN: HTTPStatus.CONFLICT,
    Reason.UNKNOWN_ORDER: HTTPStatus.NOT_FOUND,
    Reason.TOO_MANY_OPEN_ORDERS: HTTPStatus.SERVICE_UNAVAILABLE,
    Reason.TOO_MANY_SYMBOLS: HTTPStatus.SERVICE_UNAVAILABLE,
}


class MatchApi:
    """The routes, over one node."""

    def __init__(self, raft: Raft[MatchMachine], streams: TradeStreams) -> None:
        self._raft = raft
        self._streams = streams

    def application(self) -> Starlette:
        routes: list[tuple[str, str, Handler]] = [
            ("POST", "/orders", self.place),
            ("DELETE", "/orders/{about}", self.cancel),
            ("GET", "/orders/{about}", functools.partial(self.question, "order")),
            ("GET", "/book/{about}", functools.partial(self.question, "book")),
            ("GET", "/trades", functools.partial(self.question, "trades")),
            ("GET", "/trades/stream", self.follow),
            ("GET", "/symbols", functools.partial(self.question, "symbols")),
            ("GET", "/status", self.status),
            ("POST", "/snapshot", self.snapshot),
        ]
        return Starlette(
            routes=[Route(path, _guarded(h), methods=[method]) for method, path, h in routes],
            exception_handlers={HTTPException: _no_such_route},
        )

    async def place(self, request: Request) -> Response:
        """Enter one order, or a list of them in one go."""
        value = read_json(await read_body(request, MOST_BODY_BYTES))
        if not isinstance(value, list):
            return _one(decode_answer(await self._raft.propose(read_order(value))))
        answers = await self._raft.propose_many(read_orders(value))
        return JSONResponse([_one_of_many(answer) for answer in answers])

    async def cancel(self, request: Request) -> Response:
        order_id = request.path_params["about"]
        if not order_id.isascii() or len(order_id) > 255:
            raise BadOrder("an order id is a short text of ASCII characters")
        return _one(decode_answer(await self._raft.propose(CancelOrder(order_id))))

    async def question(self, kind: str, request: Request) -> Response:
        """Answer with all that was acknowledged before; `?local` from this copy, which may lag."""
        options = dict(request.query_params)
        if options.pop("local", None) is None:
            await self._raft.read_index()
        about = request.path_params.get("about", "")
        return JSONResponse(ask(self._raft.state_machine().engine, kind, about, options))

    async def follow(self, request: Request) -> Response:
        """Send trades as they come, from number `?from` on."""
        options = dict(request.query_params)
        unknown = sorted(options.keys() - {"from", "symbol", "local"})
        if unknown:
            raise ValueError(f"a stream does not know {unknown!r:.80}; it knows from and symbol")
        if "local" not in options:
            await self._raft.read_index()
        number = number_of(options, "from", 0, 1, MOST_NUMBER) or None
        return self._streams.answer(number, options.get("symbol"))

    async def status(self, _request: Request) -> Response:
        metrics = self._raft.metrics()
        engine = self._raft.state_machine().engine
        return JSONResponse(
            {
                "id": metrics.node_id,
                "leader_id": metrics.leader_id,
                "term": metrics.term,
                "applied": metrics.applied,
                "snapshot": metrics.snapshot,
                "voters": list(metrics.membership.conf_state.voters),
                "orders": engine.sequence,
                "open_orders": engine.open_orders,
                "trades": engine.tape.last,
                "symbols": len(engine.books),
            }
        )

    async def snapshot(self, _request: Request) -> Response:
        return JSONResponse({"index": await self._raft.make_snapshot()})


def _guarded(handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (BadOrder, NotThere, TooManyReaders, ValueError, RaftifyError) as error:
            return _error(error)

    return answer


def _error(error: Exception) -> Response:
    status = HTTPStatus.BAD_REQUEST
    if isinstance(error, NotThere):
        status = HTTPStatus.NOT_FOUND
    elif isinstance(error, TooManyReaders):
        status = HTTPStatus.SERVICE_UNAVAILABLE
    elif isinstance(error, RaftifyError):
        # After 504 send the same order, with the same id, again: it is entered once.
        status = status_of(error)
    return JSONResponse(_error_body(error), status_code=status)


def _error_body(error: Exception) -> dict[str, Any]:
    kind = "BadRequest" if isinstance(error, ValueError) else type(error).__name__
    return {"error": kind, "message": str(error)}


def _one(answer: Answer) -> Response:
    status = HTTPStatus.OK
    if isinstance(answer, Refused):
        status = REFUSED_STATUS.get(answer.reason, HTTPStatus.UNPROCESSABLE_ENTITY)
    return JSONResponse(answer.as_json(), status_code=status)


def _one_of_many(answer: bytes | RaftifyError) -> dict[str, Any]:
    if isinstance(answer, RaftifyError):
        return _error_body(answer)
    return decode_answer(answer).as_json()


async def _no_such_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"error": "NoSuchRoute", "message": str(error.detail)}
    return JSONResponse(body, status_code=error.status_code)
