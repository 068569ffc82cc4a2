"""Write histories down as lines a person can read, and make random ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from raftify.testing.history import FifoQueue, History, KeyValue, Model, Operation, Outcome

KV = KeyValue()
QUEUE = FifoQueue()


def ok(client: str, asked: Any, answered: Any, called: float, returned: float) -> Operation:
    return Operation(client, asked, answered, called, returned)


def unknown(client: str, asked: Any, called: float, returned: float | None = None) -> Operation:
    return Operation(client, asked, None, called, returned, Outcome.UNKNOWN)


def failed(client: str, asked: Any, called: float, returned: float) -> Operation:
    return Operation(client, asked, None, called, returned, Outcome.FAILED)


def brute_force(history: Iterable[Operation], model: Model[Any]) -> bool:
    """Try every order of every choice of unknown operations. For at most seven operations."""
    answered = [each for each in history if each.outcome is Outcome.OK]
    unknowns = [each for each in history if each.outcome is Outcome.UNKNOWN]
    return any(
        fits(order, model)
        for count in range(len(unknowns) + 1)
        for chosen in itertools.combinations(unknowns, count)
        for order in itertools.permutations([*answered, *chosen])
    )


def fits(order: Sequence[Operation], model: Model[Any]) -> bool:
    """Whether `order` keeps to the operations' times, and a sequential object gives the answers."""
    for earlier, later in itertools.combinations(order, 2):
        if later.ends < earlier.called:
            return False
    states: dict[Any, Any] = {}
    for each in order:
        part = model.part_of(each.input)
        states[part], expected = model.apply(states.get(part, model.initial()), each.input)
        if each.outcome is Outcome.OK and not model.agrees(expected, each.output):
            return False
    return True


def key_value_input(random: Random, number: int, keys: int, *, appends: bool) -> Any:
    key = f"key {random.randrange(keys)}"
    guess = random.randrange(max(1, number))
    return random.choice(
        [
            KV.get(key),
            KV.get(key),
            KV.put(key, number),
            KV.append(key, number) if appends else KV.get(key),
            KV.delete(key),
            KV.cas(key, guess, number),
        ]
    )


def queue_input(random: Random, number: int, queues: int) -> Any:
    name = f"queue {random.randrange(queues)}"
    return random.choice([QUEUE.enqueue(name, number), QUEUE.dequeue(name), QUEUE.empty(name)])


def executed(
    random: Random,
    model: Model[Any],
    *,
    size: int,
    clients: int,
    parts: int,
    unknowns: float,
    appends: bool = True,
) -> History:
    """Return what clients see of a correct object that answers one request after the other.

    Operation n takes effect at the time n + 1; it is called before and returns after, while its
    client waits. Of an unknown one a coin decides whether it takes effect.
    """
    states: dict[Any, Any] = {}
    free = dict.fromkeys(range(clients), 0.0)
    operations = []
    for number in range(size):
        moment = number + 1.0
        ready = [client for client, since in free.items() if since < moment]
        if not ready:
            continue
        client = random.choice(ready)
        if isinstance(model, FifoQueue):
            asked = queue_input(random, number, parts)
        else:
            asked = key_value_input(random, number, parts, appends=appends)
        called = random.uniform(max(free[client], moment - clients), moment)
        lost = random.random() < unknowns
        if not lost or random.random() < 0.5:
            part = model.part_of(asked)
            states[part], answer = model.apply(states.get(part, model.initial()), asked)
        returned = moment + random.random() * clients
        free[client] = returned + 1e-9
        if lost:
            operations.append(unknown(str(client), asked, called, returned))
        else:
            operations.append(ok(str(client), asked, answer, called, returned))
    return History(operations)


def spoiled(random: Random, model: Model[Any]) -> list[Operation]:
    """Return what clients saw of a correct object; up to two answers may be other ones."""
    operations = list(executed(random, model, size=6, clients=4, parts=1, unknowns=0.35))
    for _ in range(random.randrange(3)):
        at = random.randrange(len(operations))
        if operations[at].outcome is Outcome.OK:
            answer = random.choice([None, True, False, *range(6)])
            operations[at] = replace(operations[at], output=answer)
    return operations
