"""What a transport says of the cluster's origin: at each call what is known by then."""

from __future__ import annotations

from raftify.transport.interface import Handshake
from tests.transport.fakes import Machines, message, snapshot_message


async def test_a_stream_is_opened_anew_once_the_origin_is_known(machines: Machines) -> None:
    """A joiner learns it over the streams that it has; no message is lost over that."""
    one, two = await machines.start(1), await machines.start(2)
    said: list[str] = []
    greet = two.node.greet

    def listen(handshake: Handshake) -> None:
        said.append(handshake.origin)
        greet(handshake)

    two.node.greet = listen  # type: ignore[method-assign]  # the fake's own check goes on
    one.knows(two)
    one.transport.send([message(2, 1, index=1)])
    await two.node.until(lambda: len(two.node.received) == 1)
    assert set(said) == {""}
    one.node.cluster_origin = "theirs"
    said.clear()
    one.transport.send([message(2, 1, index=2)])
    await two.node.until(lambda: len(two.node.received) == 2)
    assert set(said) == {"theirs"}
    assert one.node.unreachable == []
    said.clear()
    one.transport.send([snapshot_message(2, 1, None)])
    await one.node.until(lambda: one.node.snapshots == [(2, True)])
    assert said[0] == "theirs"
