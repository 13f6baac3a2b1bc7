"""Shards fetched in the background, before the rows in them are asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from fer_lab.data.shards.cache import ShardCache
from fer_lab.data.shards.index import StoredFile
from fer_lab.errors import FerLabError

_log = logging.getLogger(__name__)


class Ahead:
    """A thread that fetches what it was last told, in that order.

    What it cannot fetch is left to whoever needs it, with the error that it has then.

    Args:
        cache: where to.
    """

    def __init__(self, cache: ShardCache) -> None:
        self._cache = cache
        self._changed = threading.Condition()
        self._wanted: list[StoredFile] = []
        self._held: list[StoredFile] = []
        self._thread: threading.Thread | None = None

    def __reduce__(self) -> tuple[type[Ahead], tuple[ShardCache]]:
        """Other processes get one without a thread."""
        return type(self), (self._cache,)

    def want(self, coming: Sequence[StoredFile], held: Sequence[StoredFile]) -> None:
        """Fetch some shards, and nothing that was wanted before.

        Args:
            coming: the shards.
            held: which others must not be removed for them.
        """
        with self._changed:
            self._wanted = list(coming)
            self._held = [*held, *coming]
            self._changed.notify()
        if self._thread is None:
            # A daemon: a training that ends waits for no shard.
            self._thread = threading.Thread(target=self._work, name="fetch shards", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._wanted:
                    self._changed.wait()
                shard, held = self._wanted.pop(0), self._held
            try:
                self._cache.fetch_ahead(shard, held)
            except FerLabError as error:
                _log.debug("not fetched ahead: %s", error)
