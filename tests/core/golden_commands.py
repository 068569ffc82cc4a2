"""The commands of golden scripts. Each prints through the cluster; `ok` stands for nothing.

Nodes are named by their ids, lists are in brackets: `deliver-msgs 2 from=(1 3) drop=(3)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from raftify.core.config import RaftConfig, ReadOnlyOption
from raftify.core.memory_storage import MemoryStorage
from raftify.core.raw_node import SnapshotStatus
from raftify.core.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    HardState,
    Message,
    MessageType,
)
from tests.core.datadriven import Directive
from tests.core.golden_cluster import DriverSettings, GoldenCluster, Selection
from tests.core.golden_views import VIEWS, View
from tests.core.network import config, founded

_CHANGES: Final = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
}


class Arguments:
    """The arguments of a command: words without a value, in order, and those with one."""

    def __init__(self, directive: Directive) -> None:
        self._line = directive.line
        self._words = [key for key, values in directive.arguments.items() if not values]
        self._named = {key: values for key, values in directive.arguments.items() if values}

    def word(self) -> str:
        """Take the first word that is left."""
        if not self._words:
            raise ValueError(f"line {self._line}: an argument is missing")
        return self._words.pop(0)

    def number(self) -> int:
        """Take the first word that is left as a number."""
        return int(self.word())

    def words(self) -> list[str]:
        """Take all words that are left."""
        words, self._words = self._words, []
        return words

    def flag(self, name: str) -> bool:
        """Take the word `name`; False if it is not there."""
        if name not in self._words:
            return False
        self._words.remove(name)
        return True

    def one(self, key: str, default: str) -> str:
        """Take the value of `key`."""
        values = self._named.pop(key, [default])
        if len(values) != 1:
            raise ValueError(f"line {self._line}: {key} has one value, not {values}")
        return values[0]

    def ids(self, key: str) -> frozenset[int]:
        """Take the values of `key` as node ids."""
        return frozenset(map(int, self._named.pop(key, [])))

    def many(self, key: str) -> list[str]:
        """Take the values of `key`."""
        return self._named.pop(key, [])

    def named(self) -> dict[str, str]:
        """Take all that is left with a value."""
        return {key: self.one(key, "") for key in list(self._named)}

    def finish(self) -> None:
        """Check that nothing is left."""
        if self._words or self._named:
            raise ValueError(f"line {self._line}: unknown arguments {self._words} {self._named}")


Command = Callable[[GoldenCluster, Arguments], None]


# -- nodes ---------------------------------------------------------------------------------


def add_nodes(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 2 3 [learners=(4)] [log=(2 2) term=3] [empty] [async] [apply-later] [pre_vote=true ...]`.

    The nodes named found the cluster at index 1, term 1, together with those in `learners`, and
    with `voters` where they are added one by one; `log` adds entries of these terms from index 2
    on. With `empty` they know nothing. All else is a setting.
    """
    driver = DriverSettings(args.flag("async"), args.flag("apply-later"))
    empty = args.flag("empty")
    learners = sorted(args.ids("learners"))
    terms = [int(term) for term in args.many("log")]
    term = int(args.one("term", str(terms[-1] if terms else 1)))
    voters = args.ids("voters")
    settings = _settings(args.named())
    ids = [int(word) for word in args.words()]
    for node_id in [*ids, *learners]:
        storage = MemoryStorage() if empty else founded(sorted(voters or ids), learners)
        storage.append([Entry(term=term, index=i, data=b"old") for i, term in enumerate(terms, 2)])
        if not empty:
            storage.set_hardstate(HardState(term=term, commit=1))
        cluster.add(config(node_id, **settings), storage, driver)


def _settings(named: Mapping[str, str]) -> dict[str, Any]:
    kinds = {field.name: field.type for field in fields(RaftConfig)}
    settings: dict[str, Any] = {}
    for name, text in named.items():
        if kinds[name] == "bool":
            settings[name] = {"true": True, "false": False}[text]
        elif kinds[name] == "ReadOnlyOption":
            settings[name] = ReadOnlyOption[text]
        else:
            settings[name] = int(text)
    return settings


def crash(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 [applied=5]`: lose what was not durable, and start anew."""
    cluster.nodes[args.number()].crash(int(args.one("applied", "0")))


def set_randomized_timeout(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 15`: until the next reset of the node."""
    cluster.nodes[args.number()].raw.raft.set_randomized_election_timeout(args.number())


def set_option(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 priority=2 batch_append=true skip_bcast_commit=true group_commit=true`.

    And of its storage: `fetching=true` until `fetched`, `snapshot=none` for the next request.
    """
    node = cluster.nodes[args.number()]
    for name, text in args.named().items():
        if name == "priority":
            node.raw.set_priority(int(text))
        elif name == "batch_append":
            node.raw.set_batch_append(batch_append=text == "true")
        elif name == "skip_bcast_commit":
            node.raw.skip_bcast_commit(skip=text == "true")
        elif name == "group_commit":
            node.raw.enable_group_commit(enable=text == "true")
        elif name == "fetching":
            node.storage.trigger_log_unavailable(text == "true")
        elif name == "snapshot" and text == "none":
            node.storage.trigger_snap_unavailable()
        else:
            raise ValueError(f"no option {name}")


def commit_groups(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 groups=(1:1 2:1 3:2)`: at node 1, put nodes into groups."""
    node = cluster.nodes[args.number()]
    pairs = [pair.split(":") for pair in args.many("groups")]
    groups = {int(member): int(group) for member, group in pairs}
    cluster.attempt(node.raw.assign_commit_groups, groups)


# -- time, elections -----------------------------------------------------------------------


def tick(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 [3]`: let ticks pass."""
    node = cluster.nodes[args.number()]
    for _ in range(int((args.words() or ["1"])[0])):
        node.raw.tick()


def tick_heartbeat(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`: let a heartbeat interval pass."""
    node = cluster.nodes[args.number()]
    for _ in range(node.raw.raft.heartbeat_timeout):
        node.raw.tick()


def tick_election(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`: let the node's randomized election timeout pass."""
    node = cluster.nodes[args.number()]
    for _ in range(node.raw.raft.randomized_election_timeout):
        node.raw.tick()


def campaign(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`."""
    node = cluster.nodes[args.number()]
    blocker = node.raw.campaign_blocker()
    if blocker is not None:
        cluster.show(f"blocked: {blocker}")
    node.raw.campaign()


def transfer_leadership(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 to=2`: ask node 1 to hand over to node 2."""
    node = cluster.nodes[args.number()]
    cluster.attempt(node.raw.transfer_leader, int(args.one("to", "")))


def step_down(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`."""
    cluster.nodes[args.number()].raw.step_down()


# -- proposals, reads, snapshots -----------------------------------------------------------


def propose(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 a b*40 [batch]`: an entry each, or all at once; `b*40` is forty times b."""
    node = cluster.nodes[args.number()]
    batch = args.flag("batch")
    datas = [_data(word) for word in args.words()]
    if batch:
        cluster.attempt(node.raw.propose_batch, [Entry(data=data) for data in datas])
        return
    for data in datas:
        cluster.attempt(node.raw.propose, b"", data)


def _data(word: str) -> bytes:
    text, _, times = word.partition("*")
    return text.encode() * int(times or 1)


def propose_conf_change(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 v3 l4 r2 [first-form] [transition=EXPLICIT]`: make 3 a voter, 4 a learner, remove 2.

    Without changes it leaves the joint configuration. `first-form` is a ConfChange.
    """
    node = cluster.nodes[args.number()]
    first_form = args.flag("first-form")
    transition = ConfChangeTransition[args.one("transition", "AUTO")]
    changes = tuple(ConfChangeSingle(_CHANGES[word[0]], int(word[1:])) for word in args.words())
    change: ConfChange | ConfChangeV2 = ConfChangeV2(transition, changes)
    if first_form:
        [single] = changes
        change = ConfChange(0, single.change_type, single.node_id)
    cluster.attempt(node.raw.propose_conf_change, b"", change)


def read_index(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 context`."""
    node = cluster.nodes[args.number()]
    cluster.attempt(node.raw.read_index, args.word().encode())


def request_snapshot(cluster: GoldenCluster, args: Arguments) -> None:
    """`2`."""
    cluster.attempt(cluster.nodes[args.number()].raw.request_snapshot)


def send_snapshot(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 to=3`: send what node 1's storage has, though the core did not ask for it."""
    node = cluster.nodes[args.number()]
    to = int(args.one("to", ""))
    message = Message(
        MessageType.SNAPSHOT,
        to=to,
        from_=node.id,
        term=node.raw.raft.term,
        snapshot=node.storage.snapshot(0, to),
    )
    cluster.wire.append(message)


def report_snapshot(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 to=3 FAILURE`: tell node 1 what became of its snapshot."""
    node = cluster.nodes[args.number()]
    node.raw.report_snapshot(int(args.one("to", "")), SnapshotStatus[args.word()])


def report_unreachable(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 to=3`: tell node 1 that its last message did not go out."""
    cluster.nodes[args.number()].raw.report_unreachable(int(args.one("to", "")))


def compact(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 5`: discard the entries before index 5."""
    cluster.nodes[args.number()].storage.compact(args.number())


def fetched(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`: storage has the entries that it was fetching."""
    node = cluster.nodes[args.number()]
    node.storage.trigger_log_unavailable(False)
    node.raw.on_entries_fetched()


# -- work ----------------------------------------------------------------------------------


def process_ready(cluster: GoldenCluster, args: Arguments) -> None:
    """`1 2`: one Ready each."""
    for word in args.words():
        if cluster.nodes[int(word)].raw.has_ready():
            cluster.process_ready(int(word))
        else:
            cluster.show(f"node {word} has nothing")


def process_append_thread(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`: make the oldest write durable."""
    cluster.process_append_thread(args.number())


def process_apply_thread(cluster: GoldenCluster, args: Arguments) -> None:
    """`1`: apply the oldest piece that was handed out."""
    cluster.nodes[args.number()].process_apply_thread()


def deliver_msgs(cluster: GoldenCluster, args: Arguments) -> None:
    """`[2 3] [from=(1)] [type=(APPEND)] [drop=(3)] [keep]`: those under way when it begins."""
    selection = Selection(
        drop=args.ids("drop"),
        from_=args.ids("from"),
        types=frozenset(MessageType[name] for name in args.many("type")),
        keep=args.flag("keep"),
        to=frozenset(map(int, args.words())),
    )
    if not cluster.deliver(selection):
        cluster.show("nothing to deliver")


def stabilize(cluster: GoldenCluster, args: Arguments) -> None:
    """`[1 2] [drop=(3)] [brief] [quiet]`: let nodes work and deliver until nothing is left.

    Without nodes: all. `brief` prints messages and changes only, `quiet` nothing.
    """
    quiet, brief, drop = args.flag("quiet"), args.flag("brief"), args.ids("drop")
    among = [int(word) for word in args.words()] or list(cluster.nodes)
    cluster.stabilize(among, drop)
    if quiet:
        cluster.out.clear()
    elif brief:
        shown = [line for line in cluster.out if _is_brief(line)]
        cluster.out[:] = shown


def _is_brief(line: str) -> bool:
    return line.startswith(("deliver ", "lost ")) or " changed to " in line


def _viewing(view: View) -> Command:
    return lambda cluster, args: view(cluster, args.words())


COMMANDS: Final[Mapping[str, Command]] = {
    "add-nodes": add_nodes,
    "campaign": campaign,
    "commit-groups": commit_groups,
    "compact": compact,
    "crash": crash,
    "deliver-msgs": deliver_msgs,
    "fetched": fetched,
    "process-append-thread": process_append_thread,
    "process-apply-thread": process_apply_thread,
    "process-ready": process_ready,
    "propose": propose,
    "propose-conf-change": propose_conf_change,
    "read-index": read_index,
    "report-snapshot": report_snapshot,
    "report-unreachable": report_unreachable,
    "request-snapshot": request_snapshot,
    "send-snapshot": send_snapshot,
    "set": set_option,
    "set-randomized-timeout": set_randomized_timeout,
    "stabilize": stabilize,
    "step-down": step_down,
    "tick": tick,
    "tick-election": tick_election,
    "tick-heartbeat": tick_heartbeat,
    "transfer-leadership": transfer_leadership,
    **{name: _viewing(view) for name, view in VIEWS.items()},
}
