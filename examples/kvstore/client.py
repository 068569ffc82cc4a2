"""A client that finds the leader, repeats what may be repeated, and keeps to a deadline."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from examples.kvstore.answers import LEADER_HEADER

#: The longest that one node is waited for before another is asked, in seconds.
ATTEMPT_SECONDS: Final = 5.0
#: Waits between attempts grow from the first to the second, in seconds.
FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 0.5
#: Addresses kept: those given, and those of leaders that answers named.
MOST_ADDRESSES: Final = 16


class KvError(Exception):
    """Base of what the client raises."""


class KvUnavailable(KvError):
    """No node could carry it out before the deadline. Nothing happened."""


class KvOutcomeUnknown(KvError):
    """The deadline passed, and it may have happened, or may happen yet."""


class KvRefused(KvError):
    """The cluster says no: the request is wrong, or impossible as it stands. Nothing happened."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.status = status
        self.kind = kind


@dataclass(slots=True)
class _Call:
    """One call until it succeeds. It is in doubt once an attempt may have reached the log."""

    path: str
    body: object
    deadline: float
    changes: bool
    in_doubt: bool = False

    def late(self, why: str) -> KvError:
        kind = KvOutcomeUnknown if self.in_doubt else KvUnavailable
        return kind(f"{self.path} was not answered in time; the last attempt: {why}")


class KvClient:
    """Speaks to a cluster; each call may take `timeout` seconds, unless it is given its own.

        async with KvClient(["127.0.0.1:22001", "127.0.0.1:22002"]) as client:
            await client.set("foo", "bar")

    Any call may raise KvUnavailable, KvOutcomeUnknown and KvRefused. A write is carried out at most
    once however often it is repeated on the way: it has a number in a session of this client.
    Writes of one client therefore follow one another; for more at a time take more clients.
    """

    def __init__(self, addresses: Iterable[str], *, timeout: float = 10.0) -> None:
        self._addresses = list(dict.fromkeys(addresses))
        if not self._addresses:
            raise ValueError("a client needs the HTTP address of a node at least")
        self._timeout = timeout
        self._leader = ""
        self._next = 0
        self._session = 0
        self._seq = 0
        self._writing = asyncio.Lock()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    @property
    def leader(self) -> str:
        """Where the leader was last seen; empty if nobody is known to lead."""
        return self._leader

    # -- the store --------------------------------------------------------------------------

    async def set(self, key: str, value: str, *, timeout: float | None = None) -> None:
        await self._write({"Set": {"key": key, "value": value}}, timeout)

    async def append(self, key: str, value: str, *, timeout: float | None = None) -> str:
        """Put `value` behind what is there; return what is there now."""
        answer: str = await self._write({"Append": {"key": key, "value": value}}, timeout)
        return answer

    async def delete(self, key: str, *, timeout: float | None = None) -> str | None:
        """Return the value that was removed; None if there was none."""
        answer: str | None = await self._write({"Delete": {"key": key}}, timeout)
        return answer

    async def read(self, key: str, *, timeout: float | None = None) -> str | None:
        """Return what was acknowledged last, or later; None if there is no such key."""
        answer: str | None = await self._ask("/linearizable-read", key, timeout)
        return answer

    async def read_stale(self, key: str, *, timeout: float | None = None) -> str | None:
        """Return what some node holds, which may be old."""
        answer: str | None = await self._ask("/read", key, timeout)
        return answer

    # -- the cluster: all of it may be repeated ---------------------------------------------

    async def init(
        self, nodes: Sequence[tuple[int, str, str]] = (), *, timeout: float | None = None
    ) -> None:
        """Make a cluster of `nodes` (id, Raft address, HTTP address), or of the first address's
        node alone. Only that node is asked, since each could found another cluster."""
        call = self._new_call("/init", [list(node) for node in nodes], timeout, changes=True)
        await self._until_answered(call, only=self._addresses[0])

    async def add_learner(
        self, node_id: int, raft_addr: str, http_addr: str, *, timeout: float | None = None
    ) -> None:
        body = [node_id, raft_addr, http_addr]
        await self._ask("/add-learner", body, timeout, changes=True)

    async def change_membership(
        self, voters: Iterable[int], *, timeout: float | None = None
    ) -> None:
        await self._ask("/change-membership", sorted(voters), timeout, changes=True)

    async def transfer_leader(self, node_id: int, *, timeout: float | None = None) -> None:
        await self._ask("/transfer-leader", node_id, timeout, changes=True)

    async def metrics(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return the metrics of the leader, or of whoever answers."""
        answer: dict[str, Any] = await self._ask("/metrics", None, timeout)
        return answer

    async def nodes(self, *, timeout: float | None = None) -> dict[str, Any]:
        """Return the members by id, with their addresses and roles."""
        answer: dict[str, Any] = await self._ask("/list-nodes", None, timeout)
        return answer

    # -- attempts ---------------------------------------------------------------------------

    async def _write(self, change: dict[str, object], timeout: float | None) -> Any:
        deadline = self._deadline(timeout)
        try:
            async with asyncio.timeout_at(deadline):
                await self._writing.acquire()
        except TimeoutError:
            raise KvUnavailable("the writes before this one took all the time") from None
        try:
            while True:
                if not self._session:
                    opening = _Call("/session", None, deadline, changes=False)
                    self._session = (await self._until_answered(opening))["session"]
                    self._seq = 0
                self._seq += 1
                numbered = {**change, "session": self._session, "seq": self._seq}
                call = _Call("/write", numbered, deadline, changes=True)
                try:
                    return (await self._until_answered(call))["value"]
                except KvRefused as error:
                    if error.kind != "SessionExpired":
                        raise
                    self._session = 0
                    if call.in_doubt:
                        raise KvOutcomeUnknown(str(error)) from error
        finally:
            self._writing.release()

    async def _ask(
        self, path: str, body: object, timeout: float | None, *, changes: bool = False
    ) -> Any:
        return await self._until_answered(self._new_call(path, body, timeout, changes=changes))

    def _new_call(self, path: str, body: object, timeout: float | None, *, changes: bool) -> _Call:
        return _Call(path, body, self._deadline(timeout), changes=changes)

    def _deadline(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + (self._timeout if timeout is None else timeout)

    async def _until_answered(self, call: _Call, *, only: str = "") -> Any:
        """Return the answer, asking one node after the other, or `only` one, until the deadline."""
        loop = asyncio.get_running_loop()
        wait, why = FIRST_WAIT, "none was made"
        while (left := call.deadline - loop.time()) > 0:
            address = only or self._leader or self._addresses[self._next % len(self._addresses)]
            try:
                status, answer = await self._attempt(address, call, min(left, ATTEMPT_SECONDS))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                # Only a connection that was never made tells that the node has not heard of it.
                if not isinstance(error, aiohttp.ClientConnectorError):
                    call.in_doubt |= call.changes
                why = f"{address}: {type(error).__name__}: {error}"
                self._forget(address)
            else:
                if status == HTTPStatus.OK:
                    return answer
                why = f"{address}: {answer.get('message')}"
                if status in (HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.INTERNAL_SERVER_ERROR):
                    call.in_doubt |= call.changes
                elif status != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise KvRefused(status, str(answer.get("error")), why)
                self._forget(address)
            left = max(call.deadline - loop.time(), 0)
            await asyncio.sleep(min(wait * random.uniform(0.5, 1), left))
            wait = min(2 * wait, LONGEST_WAIT)
        raise call.late(why)

    async def _attempt(self, address: str, call: _Call, seconds: float) -> tuple[int, Any]:
        """Return status and body of one request."""
        if self._http is None:
            raise KvError("use the client in `async with KvClient(...) as client`")
        # The node gives up somewhat earlier, so that it can still say what it knows.
        query = {"timeout": f"{max(0.9 * seconds, 0.001):.3f}"}
        async with self._http.request(
            "GET" if call.path in ("/metrics", "/list-nodes") else "POST",
            f"http://{address}{call.path}",
            params=query,
            json=call.body,
            timeout=aiohttp.ClientTimeout(total=seconds),
        ) as response:
            answer = await response.json()
            self._note_leader(response.headers.get(LEADER_HEADER, ""))
            return response.status, answer

    def _note_leader(self, address: str) -> None:
        self._leader = address
        if address and address not in self._addresses:
            self._addresses = [*self._addresses, address][-MOST_ADDRESSES:]

    def _forget(self, address: str) -> None:
        """Ask somebody else next time: a leader that was named may be gone."""
        if self._leader == address:
            self._leader = ""
        self._next += 1
