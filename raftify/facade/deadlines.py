"""How long a call may take."""

from __future__ import annotations

import math

from raftify.errors import ConfigError


def seconds(timeout: float | None, default: float) -> float:
    """Return the time to wait; raise ConfigError unless it is one."""
    if timeout is None:
        return default
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise ConfigError(f"timeout is a number of seconds, not {timeout!r}")
    if not 0 < timeout < math.inf:
        raise ConfigError(f"timeout must be a number of seconds above 0, not {timeout!r}")
    return timeout
