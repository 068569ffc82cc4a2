"""memstore's HTTP face. Every refusal is JSON: {"error": kind, "message": what to do}."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from examples.memstore.store import HashStore, SetCommand
from examples.statuses import status_of
from raftify import Raft
from raftify.errors import ConfigError, NotLeader, RaftifyError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Above what raftify accepts, so that its own error says which limit was passed.
MAX_BODY_BYTES = 64 << 20


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RaftifyError as error:
        body = {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, NotLeader):
            body["leader_address"] = error.leader_address
        return web.json_response(body, status=status_of(error))
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return web.json_response(
            {"error": error.reason, "message": error.text}, status=error.status
        )


class StoreApi:
    """The routes, over one node."""

    def __init__(self, raft: Raft[HashStore]) -> None:
        self._raft = raft

    def application(self) -> web.Application:
        app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/store/{key}", self.get),
                web.put("/store/{key}", self.put_body),
                web.put("/store/{key}/{value:.+}", self.put),
                web.get("/leader", self.leader),
                web.get("/peers", self.peers),
                web.get("/debug", self.debug),
                web.post("/leave", self.leave),
                web.post("/snapshot", self.snapshot),
                web.post("/transfer_leader/{id}", self.transfer_leader),
                web.post("/campaign", self.campaign),
                web.post("/leave_joint", self.leave_joint),
            ]
        )
        return app

    async def get(self, request: web.Request) -> web.Response:
        """Answer from this node's copy, which may lag; `?linearizable` asks the leader first."""
        if "linearizable" in request.query:
            await self._raft.read_index()
        key = request.match_info["key"]
        value = self._raft.state_machine().get(key)
        if value is None:
            body = {"error": "NoSuchKey", "message": f"there is no key {key!r}"}
            return web.json_response(body, status=HTTPStatus.NOT_FOUND)
        return web.Response(body=value, content_type="text/plain", charset="utf-8")

    async def put(self, request: web.Request) -> web.Response:
        return await self._set(request.match_info["key"], request.match_info["value"].encode())

    async def put_body(self, request: web.Request) -> web.Response:
        return await self._set(request.match_info["key"], await request.read())

    async def _set(self, key: str, value: bytes) -> web.Response:
        stored = await self._raft.propose(SetCommand(key, value).encode())
        return web.Response(body=stored, content_type="text/plain", charset="utf-8")

    async def leader(self, _request: web.Request) -> web.Response:
        leader_id = self._raft.get_leader_id()
        peer = self._raft.get_peers().get(leader_id)
        return web.json_response(
            {
                "leader_id": leader_id,
                "raft_addr": peer.address if peer is not None else "",
                "is_leader": self._raft.is_leader(),
            }
        )

    async def peers(self, _request: web.Request) -> web.Response:
        peers = self._raft.get_peers()
        return web.json_response({str(i): {"raft_addr": p.address} for i, p in peers.items()})

    async def debug(self, _request: web.Request) -> web.Response:
        return web.json_response(text=json.dumps(self._raft.inspect(), indent=2) + "\n")

    async def leave(self, _request: web.Request) -> web.Response:
        await self._raft.leave()
        return web.json_response({"left": self._raft.get_id()})

    async def snapshot(self, _request: web.Request) -> web.Response:
        return web.json_response({"index": await self._raft.make_snapshot()})

    async def transfer_leader(self, request: web.Request) -> web.Response:
        text = request.match_info["id"]
        if not (text.isascii() and text.isdigit()):
            raise ConfigError(f"a node id is a number, not {text!r}")
        await self._raft.transfer_leader(int(text))
        return web.json_response({"leader_id": int(text)})

    async def campaign(self, _request: web.Request) -> web.Response:
        node_id = self._raft.get_id()
        if self._raft.is_leader():
            return _nothing_done("LeadsAlready", f"node {node_id} leads already")
        conf = self._raft.metrics().membership.conf_state
        if node_id not in (*conf.voters, *conf.voters_outgoing):
            return _nothing_done("NoVoter", f"node {node_id} is no voter, and cannot be elected")
        await self._raft.campaign()
        return web.json_response({"campaigning": node_id})

    async def leave_joint(self, _request: web.Request) -> web.Response:
        before = self._raft.metrics().membership.index
        membership = await self._raft.leave_joint()
        if membership.index == before:
            return _nothing_done("NotJoint", "the cluster is in no joint configuration")
        return web.json_response({"left_joint": True})


def _nothing_done(kind: str, message: str) -> web.Response:
    return web.json_response({"error": kind, "message": message}, status=HTTPStatus.CONFLICT)
