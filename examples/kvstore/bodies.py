"""What a request says, checked. Whatever is wrong with it is a BadRequest."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from starlette.requests import Request

from examples.asgi import read_body
from examples.kvstore.commands import check_text
from raftify import Peer, Peers
from raftify.errors import ConfigError

#: Bytes in the body of a request.
MOST_BODY: Final = 2 << 20
#: What `?timeout=` may ask for, in seconds, and what it is when it is not given.
MOST_TIMEOUT: Final = 60.0
DEFAULT_TIMEOUT: Final = 5.0


class BadRequest(Exception):
    """The request is wrong; the message says what it should be."""


async def read_json(request: Request) -> Any:
    """Return the body as a JSON value; None if it is empty."""
    try:
        body = await read_body(request, MOST_BODY)
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if not body:
        return None
    try:
        return json.loads(body)
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


def timeout_of(request: Request) -> float:
    """Return the seconds that `?timeout=` asks for."""
    text = request.query_params.get("timeout")
    if text is None:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_TIMEOUT:
        raise BadRequest(f"timeout is a number of seconds up to {MOST_TIMEOUT:g}, not {text!r:.40}")
    return seconds


def key_of(body: Any) -> str:
    try:
        return check_text(body, "a key")
    except ValueError as error:
        raise BadRequest(f'{error}: the body of a read is a key, as "foo"') from None


def node_id_of(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1 << 63:
        raise BadRequest(f"a node id is a number from 1 upwards, not {value!r:.40}")
    return value


def node_ids_of(body: Any) -> set[int]:
    if not isinstance(body, list) or not body:
        raise BadRequest("the body is a list of node ids, as [1, 2, 3]")
    ids = {node_id_of(value) for value in body}
    if len(ids) < len(body):
        raise BadRequest(f"a node id is listed twice in {body!r:.80}")
    return ids


def peer_of(value: Any) -> Peer:
    """Return the node in `[id, raft address]` or `[id, raft address, HTTP address]`."""
    if not isinstance(value, list) or not 2 <= len(value) <= 3:
        raise BadRequest(
            'a node is [id, "raft host:port", "http host:port"], where the last may be left out'
        )
    node_id, *addresses = value
    try:
        for address in addresses:
            check_text(address, "an address")
        # The HTTP address goes along with the membership, so every node knows all of them.
        http = Peer(node_id_of(node_id), addresses[1]) if len(addresses) > 1 else None
        Peers([http] if http is not None else [])
        peer = Peer(
            node_id_of(node_id), addresses[0], metadata=http.address.encode() if http else b""
        )
        Peers([peer])
    except (ConfigError, ValueError) as error:
        raise BadRequest(str(error)) from None
    return peer


def peers_of(body: Any) -> list[Peer]:
    """Return the nodes in a list of them; none if the body is empty, `{}` or `[]`."""
    if body is None or body in ({}, []):
        return []
    if not isinstance(body, list):
        raise BadRequest("the body is a list of nodes, or {} for this node alone")
    return [peer_of(value) for value in body]
