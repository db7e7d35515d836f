"""`EntryOptions`: how an entry is computed, kept and renewed; defaults at three levels.

A manager, a backend and a call may each say something about an entry. What a level leaves at `None`
the level above decides; each option has a value that switches it off, so that a call can undo what
its backend says. The levels are laid over each other once, into a `Policy` without gaps, and not on
every hit.
"""

import functools
import math
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypedDict, Unpack, cast

import attrs

from jinpy_cache_core.entries.ttl import LONGEST, NEVER, TTL, ttl_seconds
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.settings.validation import to_seconds

CacheIf = Callable[[Any], bool]
"""Whether a computed value is worth storing."""

DEFAULT_GRACE_BACKOFF = 10.0
"""Seconds for which a stale value is served without asking a factory that has just failed."""

ON_ERROR = ("compute", "raise")
"""What a call of a function may do when the store fails."""

DEFAULT_LOCK_TIMEOUT = 10.0
"""Seconds that a caller waits for somebody else's computation before it computes itself."""


def _seconds(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is None:
        return
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if not good:
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be seconds of 0 or more, a "
            "timedelta, math.inf for no limit, or None for what the backend says."
        )
        raise CacheConfigurationError(message)


def _share(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be a fraction of the ttl, from 0 "
            "to 1, or None for what the backend says."
        )
        raise CacheConfigurationError(message)


def _factor(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= cast("float", value) < math.inf:
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be a number of 0 or more, 0 for "
            "no early refresh, or None for what the backend says."
        )
        raise CacheConfigurationError(message)


def _legal_ttl(_instance: object, _attribute: object, value: TTL) -> None:
    ttl_seconds(value)


def _condition(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not callable(value):
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be a function that takes the "
            "value and returns whether to store it, or None for what the backend says."
        )
        raise CacheConfigurationError(message)


def _on_error(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and value not in ON_ERROR:
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be 'compute' to go on without a "
            "store that fails, 'raise' for its error, or None for what the backend says."
        )
        raise CacheConfigurationError(message)


def _switch(_instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    if value is not None and not isinstance(value, bool):
        message = (
            f"{attribute.name}={value!r} is not allowed: it must be True, False, or None for what "
            "the backend says."
        )
        raise CacheConfigurationError(message)


class EntryOverrides(TypedDict, total=False):
    """The options that a single call may give by keyword; `EntryOptions` explains them."""

    grace: float | timedelta | None
    grace_backoff: float | timedelta | None
    soft_timeout: float | timedelta | None
    hard_timeout: float | timedelta | None
    lock_timeout: float | timedelta | None
    refresh_ahead: float | None
    beta: float | None
    jitter: float | None
    cache_if: CacheIf | None
    on_error: str | None
    share_errors: bool | None
    failure_ttl: float | timedelta | None


@attrs.frozen(kw_only=True)
class EntryOptions:
    """How an entry is computed, kept and renewed; `None` leaves an option to the level above.

    Attributes:
        ttl: Seconds or a `timedelta` that a value is fresh; by default the backend's
            `default_ttl`.
        grace: Seconds past its ttl for which a stale value may stand in for a factory that fails
            or is slow (*fail-safe*, *stale-if-error*); 0, the default, for never.
        grace_backoff: Seconds for which a stale value that stood in is served as if it were fresh,
            so that a factory in trouble is left alone; 10 by default.
        soft_timeout: Seconds of waiting for a factory, one's own or somebody else's, after which
            a stale value is served while the factory goes on in the background and stores its
            value; `math.inf`, the default, for no limit. 0 serves a stale value at once
            (*stale-while-revalidate*).
        hard_timeout: Seconds of waiting for a factory, one's own or somebody else's, after which a
            caller without a stale value gets a `CacheTimeoutError`; the factory goes on in the
            background. `math.inf`, the default, for no limit. What the store takes does not count.
        lock_timeout: Seconds that a caller waits for another one that is computing the same key,
            and the age from which that one's lead may be taken over; 10 by default. Choose it
            longer than the computation usually takes.
        refresh_ahead: The fraction of the ttl after which one caller has the value computed anew in
            the background while everyone is served; 1, the default, for never before the ttl.
        beta: How eagerly values that took long to compute are computed anew before their ttl is
            over, by chance: 1 is a good value, 0, the default, for never. See `freshness`.
        jitter: The fraction of the ttl by which it is shortened at most, by chance, so that what
            was computed together does not become stale together; 0 by default.
        cache_if: A function of the value that tells whether to store it; by default always.
        on_error: `"compute"`, the default: a store that cannot be read is a miss, and one that
            cannot take the value costs nothing but the next hit. `"raise"`: its error is raised,
            and the computed value is lost.
        share_errors: Whether callers who already waited for a computation that failed get its
            error, the default, or each ask their own factory, one after the other.
        failure_ttl: Seconds for which a factory that failed is not asked again by this process:
            its error is raised instead; 0, the default, for never.
    """

    ttl: TTL = attrs.field(default=None, converter=to_seconds, validator=_legal_ttl)
    grace: float | None = attrs.field(default=None, converter=to_seconds, validator=_seconds)
    grace_backoff: float | None = attrs.field(
        default=None, converter=to_seconds, validator=_seconds
    )
    soft_timeout: float | None = attrs.field(default=None, converter=to_seconds, validator=_seconds)
    hard_timeout: float | None = attrs.field(default=None, converter=to_seconds, validator=_seconds)
    lock_timeout: float | None = attrs.field(default=None, converter=to_seconds, validator=_seconds)
    refresh_ahead: float | None = attrs.field(default=None, validator=_share)
    beta: float | None = attrs.field(default=None, validator=_factor)
    jitter: float | None = attrs.field(default=None, validator=_share)
    cache_if: CacheIf | None = attrs.field(default=None, validator=_condition)
    on_error: str | None = attrs.field(default=None, validator=_on_error)
    share_errors: bool | None = attrs.field(default=None, validator=_switch)
    failure_ttl: float | None = attrs.field(default=None, converter=to_seconds, validator=_seconds)

    def over(self, defaults: "EntryOptions") -> "EntryOptions":
        """These options, and what `defaults` say where these say nothing."""
        said = {name: value for name, value in _fields(self).items() if value is not None}
        return attrs.evolve(defaults, **said) if said else defaults

    def with_overrides(self, **overrides: Unpack[EntryOverrides]) -> "EntryOptions":
        """These options with some changed; a misspelt one is an error.

        Raises:
            CacheConfigurationError: A value is illegal, or there is no such option.
        """
        unknown = overrides.keys() - _NAMES
        if unknown:
            message = (
                f"{min(unknown)!r} is no option of an entry; there are {', '.join(sorted(_NAMES))}."
            )
            raise CacheConfigurationError(message)
        return EntryOptions(**overrides).over(self)


_NAMES = frozenset(field.name for field in attrs.fields(EntryOptions))


def _fields(options: EntryOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in _NAMES}


NO_OPTIONS = EntryOptions()
"""Says nothing."""


def to_options(value: object) -> EntryOptions:
    """Options, or a table of them, as options; for the fields of configurations.

    Raises:
        CacheConfigurationError: It is neither, or names or holds something illegal.
    """
    if isinstance(value, EntryOptions):
        return value
    if isinstance(value, Mapping):
        return NO_OPTIONS.with_overrides(**cast("EntryOverrides", value))
    message = f"options={value!r} is not allowed: it must be an EntryOptions or a table of them."
    raise CacheConfigurationError(message)


@attrs.frozen(kw_only=True)
class Policy:
    """Options without gaps, in seconds: what one computation goes by.

    Attributes:
        seconds: How long a value is fresh; 0 for not at all.
        plain_hits: Whether a hit needs no look at anything but the value.

    The others are those of `EntryOptions`.
    """

    seconds: float = NEVER
    grace: float = 0.0
    grace_backoff: float = DEFAULT_GRACE_BACKOFF
    soft_timeout: float = math.inf
    hard_timeout: float = math.inf
    lock_timeout: float = DEFAULT_LOCK_TIMEOUT
    refresh_ahead: float = 1.0
    beta: float = 0.0
    jitter: float = 0.0
    cache_if: CacheIf | None = None
    on_error: str = "compute"
    share_errors: bool = True
    failure_ttl: float = 0.0
    plain_hits: bool = True

    def limit(self, *, stale: bool) -> float:
        """Seconds that a caller waits for the factory, with or without a stale value to serve."""
        return min(self.soft_timeout, self.hard_timeout) if stale else self.hard_timeout


@functools.lru_cache(maxsize=256)
def policy_of(options: EntryOptions, default_seconds: float = NEVER) -> Policy:
    """The policy that options make where nothing above them says more.

    Args:
        options: All levels, laid over each other.
        default_seconds: The backend's `default_ttl`.
    """
    said = {name: value for name, value in _fields(options).items() if value is not None}
    said["seconds"] = ttl_seconds(said.pop("ttl", None), default_seconds)
    if "grace" in said:
        said["grace"] = min(said["grace"], LONGEST)
    policy = Policy(**said)
    plain = policy.refresh_ahead >= 1 and policy.beta == 0
    return policy if plain else attrs.evolve(policy, plain_hits=False)
