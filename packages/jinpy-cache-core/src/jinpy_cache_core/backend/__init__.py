"""The door for authors of backends: what to subclass, what it works on, and how errors are mapped.

See the guide "Writing a backend" of the documentation. What is listed here keeps its meaning
between releases; the modules behind this door do not promise to.
"""

from jinpy_cache_core.backend import substitutes
from jinpy_cache_core.backend.base import BaseBackend
from jinpy_cache_core.backend.direct import DirectBackend
from jinpy_cache_core.backend.errors import (
    REFUSES,
    afalse_on_failure,
    false_on_failure,
    mapped_errors,
    unread,
)
from jinpy_cache_core.backend.heavy import HEAVY_BATCH, HEAVY_BYTES, is_heavy
from jinpy_cache_core.backend.sharing import note_unchosen_namespace
from jinpy_cache_core.clock import MONOTONIC, WALL
from jinpy_cache_core.codec import Codec
from jinpy_cache_core.declarations import signature_of
from jinpy_cache_core.entries import decisions
from jinpy_cache_core.entries.decisions import live
from jinpy_cache_core.entries.envelope import NewerEnvelopeError
from jinpy_cache_core.entries.integers import (
    add_int64,
    check_amount,
    negated,
    not_a_counter,
    parse_integer,
)
from jinpy_cache_core.entries.keys import check_key, check_keys, check_prefix
from jinpy_cache_core.entries.records import UNCHANGED, Change, Decision, Record, Unchanged
from jinpy_cache_core.entries.state import (
    EMPTY,
    CachedValue,
    EntryState,
    Lease,
    is_layered,
    state_of,
)
from jinpy_cache_core.entries.ttl import NEVER, is_expired
from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.loading.leases import (
    Claim,
    Claiming,
    Filling,
    NextState,
    Releasing,
    Standing,
)
from jinpy_cache_core.sentinels import Missing

__all__ = [
    "EMPTY",
    "HEAVY_BATCH",
    "HEAVY_BYTES",
    "MONOTONIC",
    "NEVER",
    "REFUSES",
    "UNCHANGED",
    "WALL",
    "BaseBackend",
    "CachedValue",
    "Change",
    "Claim",
    "Claiming",
    "Codec",
    "Decision",
    "DirectBackend",
    "EntryState",
    "Filling",
    "Lease",
    "Missing",
    "NewerEnvelopeError",
    "NextState",
    "Record",
    "Releasing",
    "Standing",
    "Unchanged",
    "add_int64",
    "afalse_on_failure",
    "call_in_children",
    "check_amount",
    "check_key",
    "check_keys",
    "check_prefix",
    "decisions",
    "false_on_failure",
    "is_expired",
    "is_heavy",
    "is_layered",
    "live",
    "mapped_errors",
    "negated",
    "not_a_counter",
    "note_unchosen_namespace",
    "parse_integer",
    "signature_of",
    "state_of",
    "substitutes",
    "unread",
]
