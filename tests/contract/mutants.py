"""Backends that are wrong, each in one way, and the row of the contract that must notice.

`test_mutants.py` runs this module with pytest in a process of its own and expects failures.
"""

import asyncio
import fnmatch
import math
import os
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import attrs
from hypothesis import Phase, settings
from jinpy_cache_dict import DictBackend, DictConfig

from jinpy_cache_core import MISSING, UNCHANGED, Record
from jinpy_cache_core.exceptions import CacheBackendError, CacheException, CacheValueError
from jinpy_cache_testing import BackendContract, FakeClock

settings.register_profile(
    "mutants", max_examples=160, phases=[Phase.generate], derandomize=True, database=None
)
settings.load_profile("mutants")


class MutantContract(BackendContract):
    """The contract with one serializer, for a backend class."""

    serializers = ("msgpack",)
    backend_class: ClassVar[type[DictBackend]] = DictBackend

    def make_backend(self, clock: FakeClock, **settings: Any) -> DictBackend:
        return self.backend_class(DictConfig(**settings), clock=clock)


MUTANTS: dict[str, tuple[str, ...]] = {}
"""The rows that must notice, by the name of the test class."""

LOCKSTEP = "test_any_sequence_of_operations_is_that_of_a_dict"


def noticed_by(
    *rows: str, patience: float = 30.0
) -> Callable[[type[DictBackend]], type[DictBackend]]:
    """Make a test class for a wrong backend."""

    def decorate(wrong: type[DictBackend]) -> type[DictBackend]:
        name = f"Test{wrong.__name__}"
        members = {"backend_class": wrong, "patience": patience}
        globals()[name] = type(name, (MutantContract,), members)
        MUTANTS[name] = rows
        return wrong

    return decorate


class TestUnharmed(MutantContract):
    """No mutation: what notices the others must pass here."""


class Folding(DictBackend):
    """Looks up another key than the one given."""

    def fold(self, key: str) -> str:
        return key

    def _read(self, key: str) -> Record | None:
        return super()._read(self.fold(key))

    def _update(self, key: str, decide: Any) -> Any:
        return super()._update(self.fold(key), decide)


@noticed_by("test_keys_that_look_alike_are_different", LOCKSTEP)
class NormalisesKeys(Folding):
    def fold(self, key: str) -> str:
        return unicodedata.normalize("NFC", key)


@noticed_by("test_keys_that_look_alike_are_different", LOCKSTEP)
class StripsKeys(Folding):
    def fold(self, key: str) -> str:
        return key.strip() or key


@noticed_by("test_keys_that_look_alike_are_different", LOCKSTEP)
class FoldsCase(Folding):
    def fold(self, key: str) -> str:
        return key.casefold()


@noticed_by("test_a_key_of_1024_bytes_works", "test_keys_that_look_alike_are_different")
class CutsKeys(Folding):
    def fold(self, key: str) -> str:
        return key[:1000]


@noticed_by("test_what_is_no_text_is_no_key")
class TakesAnyKey(DictBackend):
    def get(self, key: Any, *args: Any, **kwargs: Any) -> Any:
        return super().get(str(key), *args, **kwargs)


@noticed_by("test_an_expired_entry_is_gone_for_each_operation", LOCKSTEP)
class ForgetsExpiryOnExists(DictBackend):
    def exists(self, key: str) -> bool:
        return self._read(key) is not None


@noticed_by("test_scan_yields_every_live_key_once", LOCKSTEP)
class ScansWhatHasExpired(DictBackend):
    def scan(self, prefix: str = "") -> Iterator[str]:
        return self._scan(prefix)


@noticed_by("test_a_prefix_is_literal")
class ScansByPattern(DictBackend):
    def _scan(self, prefix: str) -> Iterator[str]:
        return iter(fnmatch.filter(list(self._records), f"{prefix}*"))


@noticed_by("test_writing_while_scanning_is_safe")
class ScansTheLiveDict(DictBackend):
    def _scan(self, prefix: str) -> Iterator[str]:
        return (key for key in self._records if key.startswith(prefix))

    async def ascan(self, prefix: str = "") -> Any:
        for key in self.scan(prefix):
            yield key


class Unlocked(DictBackend):
    """Reads, decides and writes with pauses in between, so that others come in the way."""

    def _update(self, key: str, decide: Any) -> Any:
        change, result = decide(self._records.get(key), self._now())
        time.sleep(2e-5)
        if change is None:
            self._records.pop(key, None)
        elif change is not UNCHANGED:
            self._records[key] = change
        return result


@noticed_by(
    "test_no_count_is_lost",
    "test_no_count_is_lost_between_the_halves",
    "test_one_add_wins",
    "test_one_delete_removes",
)
class NotAtomic(Unlocked):
    pass


@noticed_by("test_one_pop_gets_the_value")
class PopsInTwoSteps(DictBackend):
    def pop(self, key: str, default: object = None) -> Any:
        value = self.get(key, default)
        time.sleep(2e-5)
        self.delete(key)
        return value


class Sharing(DictBackend):
    """Caches of one clock share a store, told apart by a prefix."""

    stores: ClassVar[dict[int, dict[str, Record]]] = {}
    joint = ":"

    def __init__(self, config: DictConfig, **dependencies: Any) -> None:
        super().__init__(config, **dependencies)
        self._common = self.stores.setdefault(id(dependencies["clock"]), {})
        self._prefix = f"{config.namespace}{self.joint}"

    def _read(self, key: str) -> Record | None:
        return self._common.get(self._prefix + key)

    def _update(self, key: str, decide: Any) -> Any:
        with self._lock:
            change, result = decide(self._read(key), self._now())
            if change is None:
                self._common.pop(self._prefix + key, None)
            elif change is not UNCHANGED:
                self._common[self._prefix + key] = change
            return result

    def _scan(self, prefix: str) -> Iterator[str]:
        start = self._prefix + prefix
        keys = [key for key in list(self._common) if key.startswith(start)]
        return iter([key.removeprefix(self._prefix) for key in keys])

    def _clear(self) -> None:
        for key in self._scan(""):
            self._common.pop(self._prefix + key, None)


class TestSharingUnharmed(MutantContract):
    """A store that caches share properly."""

    backend_class = Sharing


@noticed_by("test_clear_leaves_other_namespaces_alone")
class ClearsAll(Sharing):
    def _clear(self) -> None:
        self._common.clear()


@noticed_by("test_clear_leaves_other_namespaces_alone")
class ClearsByPattern(Sharing):
    def _clear(self) -> None:
        for key in fnmatch.filter(list(self._common), f"{self._prefix}*"):
            self._common.pop(key, None)


@noticed_by("test_namespaces_never_meet", "test_clear_leaves_other_namespaces_alone")
class JoinsWithoutColon(Sharing):
    joint = ""


@noticed_by("test_a_counter_keeps_its_expiry", LOCKSTEP)
class CountsProlong(DictBackend):
    def incr(self, key: str, amount: int = 1, ttl: Any = None) -> int:
        count = super().incr(key, amount, ttl)
        self.touch(key, ttl)
        return count


@noticed_by("test_what_is_no_int_is_not_counted", LOCKSTEP)
class CountsText(DictBackend):
    def incr(self, key: str, amount: int = 1, ttl: Any = None) -> int:
        held = self.get(key, 0)
        if isinstance(held, str) and held.isdecimal():
            self.set(key, int(held), ttl)
        return super().incr(key, amount, ttl)


@noticed_by("test_counting_stays_within_64_bits")
class CountsFurther(DictBackend):
    def incr(self, key: str, amount: int = 1, ttl: Any = None) -> int:
        try:
            return super().incr(key, amount, ttl)
        except CacheValueError:
            self.set(key, self.get(key) + amount, ttl)
            return self.get(key)


@noticed_by("test_an_amount_is_an_int")
class CountsFloats(DictBackend):
    def incr(self, key: str, amount: int = 1, ttl: Any = None) -> int:
        return super().incr(key, int(amount), ttl)


class Timing(DictBackend):
    """Changes how long entries live."""

    def _seconds(self, ttl: Any) -> float:
        return self.changed(super()._seconds(ttl))

    def changed(self, seconds: float) -> float:
        return seconds


@noticed_by("test_a_ttl_below_a_second_is_kept", LOCKSTEP)
class RoundsSeconds(Timing):
    def changed(self, seconds: float) -> float:
        return seconds if math.isinf(seconds) else float(int(seconds))


@noticed_by("test_an_entry_is_expired_at_its_deadline")
class ExpiresTooLate(Timing):
    def changed(self, seconds: float) -> float:
        return seconds + 1e-9 if seconds else seconds


@noticed_by("test_a_ttl_of_zero_or_less_removes", LOCKSTEP)
class ZeroIsForever(Timing):
    def changed(self, seconds: float) -> float:
        return seconds or math.inf


@noticed_by("test_infinity_overrides_the_default_ttl", LOCKSTEP)
class InfinityIsTheDefault(DictBackend):
    def _seconds(self, ttl: Any) -> float:
        return super()._seconds(None if ttl == math.inf else ttl)


@noticed_by("test_what_is_no_duration_is_refused")
class TakesAnyTtl(DictBackend):
    def set(self, key: str, value: object, ttl: Any = None) -> None:
        super().set(key, value, float(ttl) if isinstance(ttl, (str, bool)) else ttl)


@noticed_by("test_set_replaces_the_ttl", LOCKSTEP)
class SetKeepsTheTtl(DictBackend):
    def set(self, key: str, value: object, ttl: Any = None) -> None:
        super().set(key, value, (self.ttl(key) or None) if ttl is None else ttl)


@noticed_by("test_an_expired_entry_is_gone_for_each_operation", LOCKSTEP)
class TouchRevives(DictBackend):
    def touch(self, key: str, ttl: Any) -> bool:
        record = self._records.get(key)
        if record is not None:
            self._records[key] = attrs.evolve(record, deadline=math.inf)
        return super().touch(key, ttl)


@noticed_by("test_reading_does_not_prolong", LOCKSTEP)
class ReadingProlongs(DictBackend):
    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        left = self.ttl(key)
        if left is not None and left < 1000:
            self.touch(key, left + 10)
        return super().get(key, *args, **kwargs)


class ByReference(DictBackend):
    """Keeps the objects themselves."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.objects: dict[str, Any] = {}

    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        stored = super().get(key, *args, **kwargs)
        return self.objects.setdefault(key, stored) if isinstance(stored, dict) else stored


@noticed_by("test_changing_a_returned_object_changes_nothing")
class ReturnsOneObject(ByReference):
    pass


@noticed_by("test_changing_an_object_after_storing_it_changes_nothing")
class StoresTheObject(ByReference):
    def set(self, key: str, value: object, ttl: Any = None) -> None:
        super().set(key, value, ttl)
        self.objects[key] = value

    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        return {key: self.get(key, default) for key in keys}


@noticed_by(
    "test_set_many_writes_nothing_when_a_key_is_bad",
    "test_set_many_writes_nothing_when_a_value_is_bad",
)
class SetsOneByOne(DictBackend):
    def set_many(self, items: Mapping[str, object], ttl: Any = None) -> None:
        for key, value in items.items():
            self.set(key, value, ttl)


@noticed_by("test_get_many_carries_every_key", LOCKSTEP)
class OmitsMisses(DictBackend):
    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        found = super().get_many(keys, MISSING)
        return {key: value for key, value in found.items() if value is not MISSING}


@noticed_by("test_one_str_is_not_several_keys")
class TakesOneStr(DictBackend):
    def get_many(self, keys: Iterable[str], default: object = None) -> dict[str, Any]:
        return super().get_many(list(keys), default)


@noticed_by("test_delete_many_counts_live_entries", LOCKSTEP)
class CountsExpiredRemovals(DictBackend):
    def delete_many(self, keys: Iterable[str]) -> int:
        wanted = [key for key in dict.fromkeys(keys) if key in self._records]
        super().delete_many(wanted)
        return len(wanted)


@noticed_by("test_falsy_values_are_hits")
class FalsyIsAMiss(DictBackend):
    def get(self, key: str, default: object = None, **kwargs: Any) -> Any:
        return super().get(key, default, **kwargs) or default


@noticed_by("test_falsy_values_are_hits")
class AsyncFalsyIsAMiss(DictBackend):
    async def aget(self, key: str, default: object = None, **kwargs: Any) -> Any:
        return await super().aget(key, default, **kwargs) or default


@noticed_by("test_add_stores_only_what_is_absent", LOCKSTEP)
class AddReplaces(DictBackend):
    def add(self, key: str, value: object, ttl: Any = None) -> bool:
        absent = super().add(key, value, ttl)
        self.set(key, value, ttl)
        return absent


@noticed_by("test_a_refused_value_leaves_the_old_one")
class RemovesBeforeItEncodes(DictBackend):
    def set(self, key: str, value: object, ttl: Any = None) -> None:
        self.delete(key)
        super().set(key, value, ttl)


@noticed_by("test_other_values_come_back_exactly_or_not_at_all")
class StoresTheRepr(DictBackend):
    def set(self, key: str, value: object, ttl: Any = None) -> None:
        try:
            super().set(key, value, ttl)
        except CacheException:
            super().set(key, str(value), ttl)


@noticed_by("test_required_values_come_back_exactly")
class TuplesBecomeLists(DictBackend):
    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        value = super().get(key, *args, **kwargs)
        return list(value) if isinstance(value, tuple) else value


@noticed_by("test_a_type_does_not_coerce")
class Coerces(DictBackend):
    def get(self, key: str, default: object = None, *, type: Any = None) -> Any:
        value = super().get(key, default)
        return type(value) if type in {int, str} and value is not default else value


@noticed_by("test_foreign_bytes_are_an_error_not_a_value")
class ReadsAnything(DictBackend):
    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().get(key, *args, **kwargs)
        except CacheException:
            record = self._records.get(key)
            return record.payload if record else None


@noticed_by("test_what_a_newer_release_wrote_is_a_miss_and_stays")
class DiscardsWhatItCannotRead(DictBackend):
    def get(self, key: str, default: object = None, **kwargs: Any) -> Any:
        value = super().get(key, MISSING, **kwargs)
        if value is MISSING:
            self.delete(key)
        return default if value is MISSING else value


@noticed_by(
    "test_a_serializer_may_use_the_cache",
    "test_a_slow_serializer_keeps_nobody_waiting",
    patience=0.5,
)
class EncodesInsideTheLock(DictBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.encoding = threading.Lock()

    def set(self, key: str, value: object, ttl: Any = None) -> None:
        entered = self.encoding.acquire(timeout=2)  # so that this process ends in spite of it
        super().set(key, value, ttl)
        if entered:
            self.encoding.release()


@noticed_by("test_a_closed_cache_refuses_every_operation")
class Reopens(DictBackend):
    def exists(self, key: str) -> bool:
        return self._records.get(key) is not None


@noticed_by("test_closing_again_does_nothing", "test_closing_from_many_threads_at_once")
class ClosesOnce(DictBackend):
    def close(self) -> None:
        if self.closed:
            message = "closed already"
            raise CacheBackendError(message)
        super().close()


@noticed_by("test_closing_under_way_lets_operations_finish_or_refuses_them")
class BreaksWhenClosed(DictBackend):
    def _opened(self) -> "BreaksWhenClosed":
        if self._closed:
            message = "the store is gone"
            raise CacheBackendError(message)
        return self


@noticed_by("test_a_healthy_cache_says_so_and_is_left_as_it_is")
class HealthWrites(DictBackend):
    def _probe(self) -> bool:
        self.set("health", True)
        return True


@noticed_by("test_an_error_knows_its_place")
class ErrorsWithoutContext(DictBackend):
    def incr(self, key: str, amount: int = 1, ttl: Any = None) -> int:
        try:
            return super().incr(key, amount, ttl)
        except CacheValueError as error:
            raise CacheValueError(error.message) from error


@noticed_by("test_a_secret_is_seen_nowhere")
class ShowsItsSecret(DictBackend):
    def __repr__(self) -> str:
        secret = self.config.secret
        return f"<{type(self).__name__} {self.name!r} secret={secret and secret.reveal()!r}>"


@noticed_by("test_the_repr_names_the_cache_and_shows_no_value")
class ShowsItsValues(DictBackend):
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {self._records} {self._values_shown()}>"

    def _values_shown(self) -> list[Any]:
        return [record.payload for record in self._records.values()]


@noticed_by("test_a_cancelled_write_leaves_an_old_or_a_new_value")
class WritesInTwoSteps(DictBackend):
    async def aset(self, key: str, value: object, ttl: Any = None) -> None:
        self.delete(key)
        await asyncio.sleep(0)
        self.set(key, value, ttl)


@noticed_by("test_synchronous_calls_work_inside_a_running_loop")
class RunsALoopInSyncCalls(DictBackend):
    def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        asyncio.run(asyncio.sleep(0))
        return super().get(key, *args, **kwargs)


@noticed_by("test_no_count_is_lost_between_the_halves", "test_a_cache_outlives_event_loops")
class BoundToOneLoop(DictBackend):
    lock: asyncio.Lock | None = None
    loop: Any = None

    async def _run(self, call: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop():
            message = "bound to a different event loop"
            raise RuntimeError(message)
        return await super()._run(call, *args, **kwargs)


@noticed_by("test_a_value_over_the_limit_is_refused")
class CutsLargeValues(DictBackend):
    def set(self, key: str, value: Any, ttl: Any = None) -> None:
        try:
            super().set(key, value, ttl)
        except CacheValueError as error:
            if "max_value_bytes" not in str(error) and "bytes" not in str(error):
                raise
            super().set(key, value[:100], ttl)


@noticed_by("test_closing_gives_back_threads_and_files")
class KeepsAFileOpen(DictBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.descriptor = os.open(os.devnull, os.O_RDONLY)


@noticed_by("test_closing_gives_back_threads_and_files")
class KeepsItsThreads(DictBackend):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        threading.Thread(target=threading.Event().wait, daemon=True).start()
