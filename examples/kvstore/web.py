"""The routes. Bodies are JSON; every route answers on every node."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.kvstore.answers import (
    LEADER_HEADER,
    answer_of_store,
    error_answer,
    leader_addr,
    metrics_answer,
    nodes_answer,
)
from examples.kvstore.bodies import (
    BadRequest,
    key_of,
    node_id_of,
    node_ids_of,
    peer_of,
    peers_of,
    read_json,
    timeout_of,
)
from examples.kvstore.commands import Command
from examples.kvstore.store import KvStore
from examples.statuses import status_of
from raftify import Membership, Peer, Peers, Raft
from raftify.errors import ConfChangeRejected, NoLeader, OutcomeUnknown, RaftifyError

Handler = Callable[[Request], Awaitable[Response]]


class KvApi:
    """The routes, over one node. `raft_addr` and `http_addr` are this node's."""

    def __init__(self, raft: Raft[KvStore], raft_addr: str, http_addr: str) -> None:
        self._raft = raft
        self._raft_addr = raft_addr
        self._http_addr = http_addr

    def application(self) -> Starlette:
        posts: dict[str, Handler] = {
            "/init": self.init,
            "/add-learner": self.add_learner,
            "/change-membership": self.change_membership,
            "/transfer-leader": self.transfer_leader,
            "/snapshot": self.snapshot,
            "/session": self.session,
            "/write": self.write,
            "/read": self.read,
            "/linearizable-read": self.linearizable_read,
        }
        gets: dict[str, Handler] = {"/metrics": self.metrics, "/list-nodes": self.list_nodes}
        routes = [Route(path, self._guarded(h), methods=["POST"]) for path, h in posts.items()]
        routes += [Route(path, self._guarded(h), methods=["GET"]) for path, h in gets.items()]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_route})

    def _guarded(self, handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except BadRequest as error:
                response = error_answer("BadRequest", str(error), HTTPStatus.BAD_REQUEST)
            except RaftifyError as error:
                response = error_answer(type(error).__name__, str(error), status_of(error))
            leader = leader_addr(self._raft)
            if leader:
                response.headers[LEADER_HEADER] = leader
            return response

        return answer

    # -- the store --------------------------------------------------------------------------

    async def session(self, request: Request) -> Response:
        data = await self._raft.propose(Command("Open"), timeout=timeout_of(request))
        return answer_of_store(data)

    async def write(self, request: Request) -> Response:
        try:
            command = Command.read(await read_json(request))
        except ValueError as error:
            raise BadRequest(str(error)) from None
        return answer_of_store(await self._raft.propose(command, timeout=timeout_of(request)))

    async def read(self, request: Request) -> Response:
        """Answer from this node's copy, which may lag."""
        return JSONResponse(self._raft.state_machine().get(key_of(await read_json(request))))

    async def linearizable_read(self, request: Request) -> Response:
        """Answer with everything that was acknowledged before the request."""
        key = key_of(await read_json(request))
        try:
            await self._raft.read_index(timeout=timeout_of(request))
        except OutcomeUnknown as error:
            # A read changes nothing, so nothing is in doubt.
            raise NoLeader(f"the read was not confirmed in time: {error}") from None
        return JSONResponse(self._raft.state_machine().get(key))

    # -- the cluster ------------------------------------------------------------------------

    async def init(self, request: Request) -> Response:
        named = peers_of(await read_json(request))
        own = Peer(self._raft.get_id(), self._raft_addr, metadata=self._http_addr.encode())
        peers = Peers(named or [own])
        membership = await self._raft.initialize(peers, timeout=timeout_of(request))
        return JSONResponse(_membership_answer(membership))

    async def add_learner(self, request: Request) -> Response:
        """Add a node, and answer once it has caught up."""
        peer = peer_of(await read_json(request))
        membership = await self._raft.add_learner(
            peer.node_id, peer.address, metadata=peer.metadata, timeout=timeout_of(request)
        )
        return JSONResponse(_membership_answer(membership))

    async def change_membership(self, request: Request) -> Response:
        voters = node_ids_of(await read_json(request))
        try:
            membership = await self._raft.change_membership(voters, timeout=timeout_of(request))
        except ConfChangeRejected as error:
            self._check_known(voters, error)
            raise
        return JSONResponse(_membership_answer(membership))

    async def transfer_leader(self, request: Request) -> Response:
        """Hand the leadership to the node whose id is the body."""
        node_id = node_id_of(await read_json(request))
        try:
            await self._raft.transfer_leader(node_id, timeout=timeout_of(request))
        except RaftifyError as error:
            self._check_known({node_id}, error)
            raise
        return JSONResponse({"current_leader": node_id})

    def _check_known(self, ids: set[int], error: RaftifyError) -> None:
        """Raise BadRequest if `error` is due to ids that are nobody's."""
        unknown = sorted(ids - set(self._raft.get_peers()))
        if unknown and self._raft.get_peers():
            raise BadRequest(f"{unknown} are no members: /add-learner first") from error

    async def snapshot(self, request: Request) -> Response:
        return JSONResponse({"index": await self._raft.make_snapshot(timeout=timeout_of(request))})

    async def metrics(self, _request: Request) -> Response:
        return JSONResponse(metrics_answer(self._raft.metrics()))

    async def list_nodes(self, _request: Request) -> Response:
        return JSONResponse(nodes_answer(self._raft))


def _membership_answer(membership: Membership) -> dict[str, Any]:
    conf = membership.conf_state
    return {"voters": list(conf.voters), "learners": list(conf.learners)}


async def _no_such_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer("NoSuchRoute", str(error.detail), error.status_code)
