"""How long a node's certificates hold still, and a warning while there is time to replace them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from raftify.config import TlsConfig
from raftify.errors import ConfigError
from raftify.transport.credentials import files_of

_DAY: Final = 86_400.0
#: Days before the end from which on a node warns.
WARN_DAYS: Final = 14


def days_left(tls: TlsConfig | None, clock: Callable[[], float] = time.time) -> float | None:
    """Return in how many days the first certificate expires that this program shows; no disk is
    touched for it.

    Returns:
        None without certificates, and until they were first used; less than 0: it has expired.
    """
    if tls is None or not tls.cert:
        return None
    until = files_of(tls).expires_at
    return None if until is None else (until - clock()) / _DAY


class ExpiryWatch:
    """Looks at the certificates at once and then once a day, until it is stopped."""

    def __init__(
        self, tls: TlsConfig, logger: logging.Logger, clock: Callable[[], float] = time.time
    ) -> None:
        self._tls = tls
        self._logger = logger
        self._clock = clock
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now, and go on."""
        self._next = asyncio.get_running_loop().call_later(_DAY, self.start)
        try:
            # Reads files that were replaced since.
            files_of(self._tls).current()
        except ConfigError as error:
            self._logger.warning("tls: %s", error)
        left = days_left(self._tls, self._clock)
        if left is None or left > WARN_DAYS:
            return
        when = f"expires in {left:.1f} days" if left > 0 else f"expired {-left:.1f} days ago"
        self._logger.warning(
            "tls: cert %s, or one that it stands on, %s: put a new one in its place (no restart "
            "is needed)",
            self._tls.cert,
            when,
        )

    def stop(self) -> None:
        """Look no more. Harmless before `start`."""
        if self._next is not None:
            self._next.cancel()
