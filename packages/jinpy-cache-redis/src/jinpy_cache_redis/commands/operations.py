"""Every operation, written once: which commands it sends and what their replies mean.

A plan yields requests and is sent replies; a driver, synchronous or not, does the rest. No plan
needs a script on the server: counters with a lifetime and everything that must be decided by the
client are transactions (`MULTI`), the latter guarded by `WATCH`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from jinpy_cache_core import (
    MISSING,
    UNCHANGED,
    CacheException,
    Decision,
    Record,
)
from jinpy_cache_core.backend import (
    HEAVY_BYTES,
    NEVER,
    Claim,
    Claiming,
    Codec,
    Filling,
    NewerEnvelopeError,
    decisions,
    live,
    unread,
)
from jinpy_cache_core.exceptions import UNREADABLE
from jinpy_cache_redis.commands.leases import LAYERED, deadline_of, has_layers, head_of, shows
from jinpy_cache_redis.commands.replies import (
    all_done,
    answer_told,
    count,
    done,
    executed,
    head,
    listed,
    raise_counter_error,
    raise_refusals,
    refuse_unless_bytes,
    text,
    whole,
    without_foreign,
)
from jinpy_cache_redis.protocol.failures import ServerError
from jinpy_cache_redis.protocol.requests import (
    Finish,
    Hold,
    Plan,
    Request,
    Several,
    pack,
    pack_transaction,
)

T = TypeVar("T")

NO_KEY = -2
NO_EXPIRY = -1
"""What `PTTL` says of a key that is not there, and of one that does not expire."""

_UNWATCH = Request(pack(b"UNWATCH"))


class Encoded(NamedTuple):
    """A value that was encoded already, in a worker thread."""

    data: bytes


class Undecoded(NamedTuple):
    """A value that is still to be decoded, in a worker thread."""

    payload: bytes
    left: int


class Commands:
    """The operations on one namespace.

    Args:
        codec: Turns values into bytes and back.
        namespace: What storage keys begin with; `None` for raw keys.
        sharded: Whether one command must not name several keys.
        now: Tells the time to decisions; deadlines are relative to it.
    """

    def __init__(
        self, codec: Codec, namespace: str | None, *, sharded: bool, now: Callable[[], float]
    ) -> None:
        self._codec = codec
        self.prefix = b"" if namespace is None else namespace.encode() + b":"
        self._namespace = namespace
        self._sharded = sharded
        self._now = now
        self._has_seen_layers = False

    def key_of(self, stored: bytes) -> str | None:
        """The key of a storage key; `None` if it is none that this cache could have written."""
        try:
            return stored[len(self.prefix) :].decode() or None
        except UnicodeDecodeError:
            return None

    def read(self, key: str, *, once: bool = False) -> Plan[Record | None]:
        """`GET` and `PTTL`."""
        stored = self.prefix + key.encode()
        payload, left = yield from _together(
            stored, [(b"GET", stored), (b"PTTL", stored)], once=once
        )
        if isinstance(payload, ServerError):
            raise payload.told() from payload
        if text("GET", payload) is None or whole("PTTL", left) == NO_KEY:
            return None
        return Record(payload, self._now() + _seconds_left(left))

    def reach(self) -> Plan[None]:
        """Ask anything, to see whether there is an answer."""
        stored = self.prefix + b"jinpy-cache:health"
        count("EXISTS", (yield Request(pack(b"EXISTS", stored), stored, once=True)))

    # -- One entry --------------------------------------------------------------------------------

    def get(
        self,
        key: str,
        default: object,
        kind: type[Any] | None,
        *,
        once: bool = False,
        large: bool = False,
    ) -> Plan[Any]:
        """`GET`; with `PTTL` for an entry with layers, whose times are the server's."""
        stored = self.prefix + key.encode()
        payload: Any = None
        try:
            if self._has_seen_layers:
                payload, left = yield from _together(
                    stored, [(b"GET", stored), (b"PTTL", stored)], once=once
                )
                if isinstance(payload, ServerError):
                    raise answer_told(payload)
            else:
                payload = yield Request(pack(b"GET", stored), stored, once=once)
                left = NO_EXPIRY
                if payload is not None and payload[:1] == LAYERED and has_layers(payload):
                    self._has_seen_layers = True
                    left = yield Request(pack(b"PTTL", stored), stored, once=once)
            if payload is None:
                return default
            if large and len(payload) > HEAVY_BYTES:
                return Undecoded(payload, left)
            value = self.value(key, payload, kind, left)
        except (TypeError, LookupError):
            refuse_unless_bytes(payload)
            raise
        return default if value is MISSING else value

    def value(
        self, key: str, payload: bytes, kind: type[Any] | None = None, left: int = NO_EXPIRY
    ) -> Any:
        """The stored value; `MISSING` for a mark of a computation or for a newer format.

        Args:
            key: The key.
            payload: What is stored.
            kind: The class to structure it into.
            left: What `PTTL` says of it.
        """
        if payload[:1] == LAYERED:
            now = self._now()
            record = live(Record(payload, now + _seconds_left(left)), now)
            if record is None:
                return MISSING
            payload = record.payload
        try:
            if kind is None:
                return self._codec.decode(key, payload)
            return self._codec.decode_as(key, payload, kind)
        except NewerEnvelopeError:
            return MISSING

    def set(self, key: str, value: object, seconds: float) -> Plan[None]:
        """`SET` with the lifetime in milliseconds, or `UNLINK` when that is zero."""
        payload = value.data if type(value) is Encoded else self._codec.encode(key, value)
        stored = self.prefix + key.encode()
        reply = yield Request(_storing(stored, payload, seconds), stored)
        if reply == b"OK":
            return
        if seconds:
            all_done("SET", reply, 1)
        else:
            count("UNLINK", reply)

    def add(self, key: str, value: object, seconds: float) -> Plan[bool]:
        """`SET NX`; not repeatable, as a second attempt would find what the first one stored."""
        payload = value.data if type(value) is Encoded else self._codec.encode(key, value)
        if not seconds:
            return not (yield from self.exists(key))
        stored = self.prefix + key.encode()
        store = (b"SET", stored, payload, b"NX", *_lifetime(seconds))
        reply, there = yield from _together(stored, [store, head_of(stored)], repeatable=False)
        added = done("SET", reply)
        if not added and not shows(head(there), self._now()):
            return (yield from self.update(key, decisions.adding(payload, seconds)))
        return added

    def delete(self, key: str) -> Plan[bool]:
        """`UNLINK`, with a look at what it removes."""
        stored = self.prefix + key.encode()
        there, removed = yield from _together(stored, _removing(stored))
        return count("UNLINK", removed) > 0 and shows(head(there), self._now())

    def exists(self, key: str) -> Plan[bool]:
        """`EXISTS`, with a look at what there is."""
        stored = self.prefix + key.encode()
        commands = [(b"EXISTS", stored), head_of(stored), (b"PTTL", stored)]
        found, there, left = yield from _together(stored, commands)
        now = self._now()
        deadline = now + _seconds_left(left)
        return count("EXISTS", found) > 0 and shows(head(there), now, deadline)

    def ttl(self, key: str) -> Plan[float | None]:
        """`PTTL`, with a look at what there is."""
        stored = self.prefix + key.encode()
        left, there = yield from _together(stored, [(b"PTTL", stored), head_of(stored)])
        seconds = _seconds_left(left)
        if left == NO_KEY:
            return None
        if not has_layers(head(there)):
            return seconds
        now = self._now()
        deadline = deadline_of(there, now, now + seconds)
        return None if deadline is None else deadline - now

    def touch(self, key: str, seconds: float) -> Plan[bool]:
        """`PEXPIRE` or `PERSIST`, guarded: an entry with grace has a deadline of its own inside."""
        if not seconds:
            return (yield from self.delete(key))
        stored = self.prefix + key.encode()
        look = pack(b"WATCH", stored) + pack(*head_of(stored))
        again = (b"PERSIST", stored) if seconds == NEVER else _expiring(stored, seconds)
        data, replies = pack_transaction([(b"EXISTS", stored), again])
        while True:
            watched, there = yield Hold(Request(look, stored, 2))
            all_done("WATCH", watched, 1)
            if has_layers(head(there)):
                yield Finish(_UNWATCH)
                return (yield from self.update(key, decisions.touching(seconds)))
            changed = executed((yield Finish(Request(data, stored, replies, repeatable=False))))
            if changed is not None:
                return count("EXISTS", changed[0]) > 0

    def incr(self, key: str, amount: int, seconds: float) -> Plan[int]:
        """`INCRBY`, in a transaction with the `SET NX PX` that creates the counter."""
        count_here = decisions.counting(amount, seconds, self._codec.integer_form(key))
        if not seconds or self._codec.seals:  # the server cannot sign
            return (yield from self.update(key, count_here))
        stored = self.prefix + key.encode()
        counting = (b"INCRBY", stored, b"%d" % amount)
        if seconds == NEVER:
            request = Request(pack(*counting), stored, repeatable=False)
        else:
            create = (b"SET", stored, b"0", b"PX", _milliseconds(seconds), b"NX")
            data, replies = pack_transaction([create, counting])
            request = Request(data, stored, replies, repeatable=False)
        try:
            reply = yield request
            total = (executed(reply) or [None])[-1] if request.replies > 1 else reply
            if not isinstance(total, ServerError):
                return whole("INCRBY", total)
            raise total.told() from total
        except CacheException as error:
            if "not an integer" not in error.message:
                raise_counter_error(error)
        return (yield from self.update(key, count_here))

    def pop(self, key: str, default: object) -> Plan[Any]:
        """Read, decode and remove in a guarded transaction, so that what cannot be read stays."""

        def decide(record: Record | None, now: float) -> tuple[Any, Any]:
            seen = live(record, now)
            value = MISSING if seen is None else self.value(key, seen.payload)
            return (UNCHANGED, default) if value is MISSING else (None, value)

        return (yield from self.update(key, decide))

    def update(self, key: str, decide: Decision[T], *, once: bool = False) -> Plan[T]:
        """Read with `WATCH`, decide, and write with `MULTI`; again whenever someone was faster."""
        stored = self.prefix + key.encode()
        look = pack(b"WATCH", stored) + pack(b"GET", stored) + pack(b"PTTL", stored)
        while True:
            watched, payload, left = yield Hold(Request(look, stored, 3, once=once))
            all_done("WATCH", watched, 1)
            now = self._now()
            record = None
            if text("GET", payload) is not None:
                record = Record(payload, now + _seconds_left(left))
            change, result = decide(record, now)
            if change is UNCHANGED:
                yield Finish(_UNWATCH)
                return result
            data, replies = pack_transaction([_changing(stored, record, change, now)])
            changed = executed((yield Finish(Request(data, stored, replies, repeatable=False))))
            if changed is None:
                continue
            if change is None and record is not None and not changed[0]:
                continue  # it expired between the look and the removal: nobody got it
            return result

    # -- Many entries -----------------------------------------------------------------------------

    def get_many(
        self,
        keys: list[str],
        default: object,
        kind: type[Any] | None = None,
        *,
        once: bool = False,
    ) -> Plan[dict[str, Any]]:
        """`MGET`, or a `GET` for each key of a cluster; what is no string is a miss."""
        if len(keys) > BATCH:
            return (yield from self._get_in_batches(keys, default, kind, once=once))
        if not keys:
            return {}
        prefix = self.prefix
        payloads = yield from self._payloads([prefix + key.encode() for key in keys], once=once)
        decode = self._codec.decode if kind is None else self._codec.decoder_as(kind)
        values: dict[str, Any] = dict.fromkeys(keys, default)
        failure: CacheException | None = None
        try:
            left = yield from self._left_of_layered(keys, payloads, once=once)
            for key, payload in zip(keys, payloads, strict=True):
                if payload is None:
                    continue
                try:
                    if payload[:1] == LAYERED:
                        value = self.value(key, payload, kind, left.get(key, NO_EXPIRY))
                    else:
                        value = decode(key, payload)
                except UNREADABLE as error:
                    failure = unread(failure, error, key, values)
                    continue
                if value is not MISSING:
                    values[key] = value
        except (TypeError, LookupError):
            for payload in payloads:
                refuse_unless_bytes(payload)
            raise
        if failure is not None:
            raise failure
        return values

    def _payloads(self, stored: list[bytes], *, once: bool) -> Plan[list[bytes | None]]:
        """What is under storage keys; `None` for nothing, and for what is no string."""
        if self._sharded:
            requests = [Request(pack(b"GET", one), one, once=once) for one in stored]
            return without_foreign((yield Several(requests)))
        reply = yield Request(pack(b"MGET", *stored), stored[0], once=once)
        return listed("MGET", reply, len(stored))

    def _get_in_batches(
        self, keys: list[str], default: object, kind: type[Any] | None, *, once: bool
    ) -> Plan[dict[str, Any]]:
        values: dict[str, Any] = {}
        failure: CacheException | None = None
        for at in range(0, len(keys), BATCH):
            batch = keys[at : at + BATCH]
            try:
                found = yield from self.get_many(batch, default, kind, once=once)
            except UNREADABLE as error:
                if error.partial is None:
                    raise
                failure, found = failure or error, error.partial
            values.update(found)
        if failure is not None:
            failure.partial = values
            raise failure
        return values

    def _left_of_layered(
        self, keys: list[str], payloads: list[bytes | None], *, once: bool
    ) -> Plan[dict[str, int]]:
        """What `PTTL` says of the entries with layers: one more round trip, if there are any."""
        layered = [
            key
            for key, payload in zip(keys, payloads, strict=True)
            if payload is not None and payload[:1] == LAYERED and has_layers(payload)
        ]
        if not layered:
            return {}
        stored = [self.prefix + key.encode() for key in layered]
        answers = yield Several([Request(pack(b"PTTL", one), one, once=once) for one in stored])
        raise_refusals(answers)
        return dict(zip(layered, answers, strict=True))

    def set_many(self, payloads: dict[str, bytes], seconds: float) -> Plan[None]:
        """A `SET` for each entry, written at once, a megabyte at a time."""
        if not payloads:
            return
        if not seconds:
            yield from self.delete_many(list(payloads))
            return
        prefix = self.prefix
        lifetime = _lifetime(seconds)
        if self._sharded:
            requests: list[Request] = []
            for key, payload in payloads.items():
                stored = prefix + key.encode()
                requests.append(Request(pack(b"SET", stored, payload, *lifetime), stored))
            answers = yield from _in_batches(requests)
            raise_refusals(answers)
            for answer in answers:
                all_done("SET", answer, 1)
            return
        data: list[bytes] = []
        size = 0
        for key, payload in payloads.items():
            data.append(pack(b"SET", prefix + key.encode(), payload, *lifetime))
            size += len(payload)
            if size > BATCH_BYTES or len(data) >= BATCH:
                replies = yield Request(b"".join(data), prefix, len(data))
                all_done("SET", replies, len(data))
                data, size = [], 0
        if data:
            replies = yield Request(b"".join(data), prefix, len(data))
            all_done("SET", replies, len(data))

    def delete_many(self, keys: list[str]) -> Plan[int]:
        """`UNLINK`, with a look at what it removes."""
        if not keys:
            return 0
        stored = [self.prefix + key.encode() for key in keys]
        now = self._now()
        if not self._sharded:
            commands = [*map(head_of, stored), (b"UNLINK", *stored)]
            *heads, removed = yield from _together(stored[0], commands)
            return count("UNLINK", removed) - sum(not shows(head(one), now) for one in heads)
        requests: list[Request] = []
        for one in stored:
            data = b"".join([pack(*command) for command in _removing(one)])
            requests.append(Request(data, one, 2, tolerant=True))
        answers = yield Several(requests)
        raise_refusals(answers)
        return sum(
            count("UNLINK", removed) > 0 and shows(head(there), now) for there, removed in answers
        )

    # -- Leases -----------------------------------------------------------------------------------

    def claim(self, key: str, claiming: Claiming) -> Plan[Claim]:
        """`SET NX` of the lease with a look at what is there instead: one round trip.

        Only a lease that is taken over, or put around a value, needs a guarded transaction. It may
        be sent again: a lease with our own token is ours.
        """
        if not claiming.plain:
            return (yield from self.update(key, claiming, once=True))
        stored = self.prefix + key.encode()
        taken = self._leased(claiming)
        answers = yield from _together(stored, _claiming(stored, taken), once=True)
        claim = self._claimed(answers, claiming)
        if claim is None:
            return (yield from self.update(key, claiming, once=True))
        return claim

    def claim_many(self, claimings: Mapping[str, Claiming]) -> Plan[dict[str, Claim]]:
        """Same as `claim` for each key, one round trip to each server."""
        claims: dict[str, Claim] = {}
        requests: dict[str, Request] = {}
        for key, claiming in claimings.items():
            if claiming.plain:
                stored = self.prefix + key.encode()
                data = b"".join(
                    [pack(*command) for command in _claiming(stored, self._leased(claiming))]
                )
                requests[key] = Request(data, stored, 3, tolerant=True, once=True)
        answers = yield from _in_batches(list(requests.values()))
        for key, answer in zip(requests, answers, strict=True):
            claim = self._claimed(answer, claimings[key])
            if claim is not None:
                claims[key] = claim
        others = {key: one for key, one in claimings.items() if key not in claims}
        if others:
            claims.update((yield from self.update_many(others)))
        return {key: claims[key] for key in claimings}

    def _leased(self, claiming: Claiming) -> tuple[bytes, float]:
        """What the place of an absent key holds once it is claimed, and for how long."""
        now = self._now()
        change, _ = claiming(None, now)
        if not isinstance(change, Record):  # pragma: no cover - an absent key is always claimed
            raise TypeError(change)
        return change.payload, change.deadline - now

    def _claimed(self, answers: Any, claiming: Claiming) -> Claim | None:
        """What a claim came to; `None` if it takes more than one look."""
        if isinstance(answers, ServerError):
            raise answer_told(answers)
        reply, payload, left = answers
        now = self._now()
        claimed = done("SET", reply)
        if isinstance(payload, ServerError):
            raise answer_told(payload)
        if claimed:
            return claiming(None, now)[1]
        if text("GET", payload) is None:
            return None
        change, claim = claiming(Record(payload, now + _seconds_left(left)), now)
        return claim if change is UNCHANGED else None

    def update_many(self, decisions: Mapping[str, Decision[T]]) -> Plan[dict[str, T]]:
        """Same as `update` for each key: one guarded transaction for all, where there can be one.

        No more than a megabyte is sent at once, so that one command's time is enough for it. When
        somebody else is faster with one of them, all are looked at again; a few times, and then one
        by one. In a cluster a transaction is about one slot, so each key has its own.
        """
        results: dict[str, T] = {}
        keys = list(decisions)
        if not self._sharded:
            for batch in _parted(decisions):
                results.update((yield from self._update_together(batch)))
        for key in keys:
            if key not in results:
                results[key] = yield from self.update(key, decisions[key], once=True)
        return results

    def _update_together(self, decisions: Mapping[str, Decision[T]]) -> Plan[dict[str, T]]:
        """The results of those that could be changed together: all or none."""
        stored = {key: self.prefix + key.encode() for key in decisions}
        look = pack(b"WATCH", *stored.values()) + b"".join(
            [pack(b"GET", one) + pack(b"PTTL", one) for one in stored.values()]
        )
        first = next(iter(stored.values()))
        asking = Request(look, first, 1 + 2 * len(stored), tolerant=True, once=True)
        for _ in range(TRIES):
            watched, *found = yield Hold(asking)
            all_done("WATCH", watched, 1)
            now = self._now()
            results: dict[str, T] = {}
            commands: list[tuple[bytes, ...]] = []
            removals: list[int] = []
            for (key, decide), payload, left in zip(
                decisions.items(), found[::2], found[1::2], strict=True
            ):
                if isinstance(payload, ServerError):
                    continue  # a foreign type, for `update` to say so
                record = None
                if text("GET", payload) is not None:
                    record = Record(payload, now + _seconds_left(left))
                change, results[key] = decide(record, now)
                if change is UNCHANGED:
                    continue
                if change is None and record is not None:
                    removals.append(len(commands))
                commands.append(_changing(stored[key], record, change, now))
            if not commands:
                yield Finish(_UNWATCH)
                return results
            data, replies = pack_transaction(commands)
            changed = executed((yield Finish(Request(data, first, replies, repeatable=False))))
            if changed is not None and all(changed[place] for place in removals):
                return results
        return {}


BATCH_BYTES = 1 << 20
"""How many bytes of values are sent at once, each time with the time of one command."""

BATCH = 1000
"""How many keys one round trip is about at most."""

TRIES = 3
"""How often keys are tried together before each is tried alone."""


def _claiming(stored: bytes, taken: tuple[bytes, float]) -> list[tuple[bytes, ...]]:
    payload, seconds = taken
    return [
        (b"SET", stored, payload, b"NX", *_lifetime(seconds)),
        (b"GET", stored),
        (b"PTTL", stored),
    ]


def _parted(decisions: Mapping[str, Decision[T]]) -> Iterator[dict[str, Decision[T]]]:
    """Decisions in batches that are neither about too many keys nor about too many bytes."""
    batch: dict[str, Decision[T]] = {}
    size = 0
    for key, decide in decisions.items():
        more = _bytes_of(decide)
        if batch and (size + more > BATCH_BYTES or len(batch) >= BATCH):
            yield batch
            batch, size = {}, 0
        batch[key] = decide
        size += more
    if batch:
        yield batch


def _bytes_of(decision: object) -> int:
    """How many bytes a decision is going to write, as far as that is known before."""
    filled = decision.cached if isinstance(decision, Filling) else None
    return 0 if filled is None else len(filled.payload)


def _in_batches(requests: list[Request]) -> Plan[list[Any]]:
    """The answers to any number of requests, so many at a time that nobody has to wait long."""
    answers: list[Any] = []
    for at in range(0, len(requests), BATCH):
        answers += yield Several(requests[at : at + BATCH])
    for answer in answers:
        if isinstance(answer, ServerError) and answer.code != "WRONGTYPE":
            raise answer_told(answer)
    return answers


def _together(
    stored: bytes,
    commands: list[tuple[bytes, ...]],
    *,
    repeatable: bool = True,
    once: bool = False,
) -> Plan[list[Any]]:
    """The replies of commands that are sent at once.

    They are no transaction: in one, a server that is out of memory refuses even to read and delete.
    """
    data = b"".join([pack(*command) for command in commands])
    request = Request(data, stored, len(commands), repeatable=repeatable, tolerant=True, once=once)
    answers: list[Any] = yield request
    return answers


def _removing(stored: bytes) -> list[tuple[bytes, ...]]:
    return [head_of(stored), (b"UNLINK", stored)]


def _expiring(stored: bytes, seconds: float) -> tuple[bytes, ...]:
    return (b"PEXPIRE", stored, _milliseconds(seconds))


def _storing(stored: bytes, payload: bytes, seconds: float) -> bytes:
    if seconds == NEVER:
        return pack(b"SET", stored, payload)
    if not seconds:
        return pack(b"UNLINK", stored)
    return pack(b"SET", stored, payload, b"PX", _milliseconds(seconds))


def _changing(
    stored: bytes, record: Record | None, change: Record | None, now: float
) -> tuple[bytes, ...]:
    """The command that makes a change."""
    if change is None:
        return (b"UNLINK", stored)
    if record is not None and change.deadline == record.deadline:
        return (b"SET", stored, change.payload, b"KEEPTTL")
    return (b"SET", stored, change.payload, *_lifetime(change.deadline - now))


def _lifetime(seconds: float) -> tuple[bytes, ...]:
    """What `SET` takes for a lifetime."""
    return () if seconds == NEVER else (b"PX", _milliseconds(seconds))


def _milliseconds(seconds: float) -> bytes:
    """A lifetime for the server: whole milliseconds, rounded up, so never none at all."""
    return b"%d" % max(1, math.ceil(seconds * 1000))


def _seconds_left(milliseconds: int) -> float:
    """What `PTTL` says."""
    if milliseconds == NO_EXPIRY:
        return NEVER
    return max(0, whole("PTTL", milliseconds)) / 1000
