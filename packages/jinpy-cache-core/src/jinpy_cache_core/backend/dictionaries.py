"""Dictionaries for small values that are alike: trained by one call, kept beside the data."""

import asyncio
import math
import threading
from collections.abc import Iterable
from functools import cached_property

from jinpy_cache_core.backend.operations import Operations
from jinpy_cache_core.codec.compression import (
    DICTIONARY_KEY,
    DICTIONARY_SIZE,
    trained,
)
from jinpy_cache_core.entries import decisions
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheException

LOOK_AGAIN = 5.0
"""Seconds after which a dictionary that was not found is looked for once more."""


class DictionaryOperations(Operations):
    """Trains dictionaries, and finds those that other processes trained."""

    @cached_property
    def _looked_for(self) -> dict[int, float]:
        """When a dictionary was last looked for, by its number."""
        return {}

    def train_dictionary(self, samples: Iterable[object], *, size: int = DICTIONARY_SIZE) -> int:
        """Train a dictionary from samples of what is stored, keep it beside the data, and use it.

        Values under a kilobyte that are alike become several times smaller with one. Other
        processes find it when they meet an entry that was compressed with it, and then use it too.
        It is an entry of this cache: `clear` removes it, and `scan` shows its key. An entry whose
        dictionary is gone reads as a miss.

        Args:
            samples: Values such as will be stored, a few hundred or more.
            size: Bytes of the dictionary at most.

        Returns:
            The number of the dictionary.

        Raises:
            CacheConfigurationError: This cache does not compress.
            CacheValueError: There are too few samples, or they have nothing in common.
            CacheSerializationError: One of the samples cannot be stored.
        """
        codec = self._codec
        if codec.compression != "zstd":
            message = f"{self.name!r} does not compress: set compression='zstd' first."
            raise CacheConfigurationError(message)
        content = trained((codec.serializer.dumps(one) for one in samples), size)
        number = codec.dictionaries.learn(content, use=False)
        key, payload = codec.dictionary_payload(number, content)
        self._opened()._update(key, decisions.storing(payload, math.inf))
        codec.dictionaries.learn(content)
        return number

    async def atrain_dictionary(
        self, samples: Iterable[object], *, size: int = DICTIONARY_SIZE
    ) -> int:
        """Same as `train_dictionary`, asynchronously, in a worker thread."""
        return await asyncio.to_thread(self.train_dictionary, list(samples), size=size)

    def _find_dictionary(self, number: int) -> bytes | None:
        """Look beside the data; never on the thread of an event loop, where it is then a miss."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._dictionary_beside(number)
        if self._looked_for.get(number, -math.inf) + LOOK_AGAIN <= self._now():
            self._looked_for[number] = self._now()
            threading.Thread(target=self._learn, args=(number,), daemon=True).start()
        return None

    def _learn(self, number: int) -> None:
        content = self._dictionary_beside(number)
        if content is not None:
            self._codec.dictionaries.learn(content)

    def _dictionary_beside(self, number: int) -> bytes | None:
        key = f"{DICTIONARY_KEY}{number:08x}"
        try:
            record = self._live(key)
            return None if record is None else self._codec.dictionary_content(key, record.payload)
        except CacheException:
            return None
