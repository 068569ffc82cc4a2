"""Running a node and its HTTP face on one event loop, until a signal comes or the node ends."""

from __future__ import annotations

import logging
from pathlib import Path

from examples.asgi import answer_until_told
from examples.kvstore.store import KvStore
from examples.kvstore.web import KvApi
from examples.program import as_cannot_start, listen, stop_on_signals
from raftify import Config, LmdbStorage, Raft, ReservedId
from raftify.errors import RaftifyError

logger = logging.getLogger("kvstore")


async def serve(
    node_id: int, raft_addr: str, http_addr: str, directory: Path, config: Config
) -> None:
    """Run node `node_id` with its log in `directory`.

    Raises:
        CannotStart: a port is taken, or an argument or the directory is wrong.
        RaftifyError: the node failed while it ran.
    """
    stop = stop_on_signals()
    listening = listen("--http-addr", http_addr)
    try:
        try:
            storage = LmdbStorage.create(directory, config, logger)
            # A new node waits: it is told by /init, or by the leader, which cluster it is of.
            raft = Raft.bootstrap(
                ReservedId(node_id), raft_addr, storage, KvStore(), config, logger
            )
        except RaftifyError as error:
            raise as_cannot_start(error) from error
        application = KvApi(raft, raft_addr, http_addr).application()
        async with raft:
            await answer_until_told(raft, application, listening, stop)
    finally:
        listening.close()
