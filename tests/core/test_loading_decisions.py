"""The pure decisions: what a state holds, who leads, what is stored, when it is renewed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import CacheConfigurationError, CacheValueError, EntryOptions, Record
from jinpy_cache_core.entries.decisions import live, touching
from jinpy_cache_core.entries.envelope import Envelope
from jinpy_cache_core.entries.records import UNCHANGED
from jinpy_cache_core.entries.state import EMPTY, CachedValue, EntryState, Lease, state_of
from jinpy_cache_core.loading.background import Background
from jinpy_cache_core.loading.freshness import early_by, is_due, shortened
from jinpy_cache_core.loading.leases import Claiming, Filling, Reason, Releasing, Standing
from jinpy_cache_core.loading.options import NO_OPTIONS, Policy, policy_of, to_options
from jinpy_cache_core.loading.waiting import Waiting, pauses

MOMENTS = st.integers(0, 10_000).map(float)
SPANS = st.integers(1, 5_000).map(float)
CHANCES = st.floats(0, 1, exclude_max=True)
PAYLOADS = st.sampled_from(
    [b"", b"1", b"value", Envelope(payload=b"1").pack(), b"\xc1", b"\xc1\x01\x01"]
)
TOKENS = st.sampled_from([bytes([n]) * 16 for n in range(3)])
HELD = st.builds(
    CachedValue,
    PAYLOADS,
    MOMENTS | st.just(math.inf),
    st.just(0.0) | SPANS,
    st.none() | MOMENTS,
).map(
    lambda cached: (
        cached if cached.start is None else CachedValue(*_args(cached), cached.start, 1.5)
    )
)
LEASES = st.builds(Lease, TOKENS, MOMENTS)
SLOTS = st.builds(EntryState, st.none() | HELD, st.none() | LEASES)


def _args(cached):
    return cached.payload, cached.soft_deadline, cached.grace


@given(SLOTS, MOMENTS)
def test_a_slot_is_read_as_it_was_written(state, now):
    """Packing into a record and reading it back changes nothing that still means something."""
    record = state.record()

    read = state_of(record, now)

    if record is not None and now < record.deadline:
        assert state.at(now) == read
    else:
        assert EMPTY == read


@given(SLOTS, MOMENTS)
def test_operations_see_a_fresh_value_or_nothing(state, now):
    """`live` shows the codec's payload until the soft deadline, and never a lease."""
    seen = live(state.record(), now)

    fresh = state.cached is not None and now < state.cached.soft_deadline
    assert (Record(state.cached.payload, state.cached.soft_deadline) if fresh else None) == seen


@given(SLOTS, MOMENTS, SPANS)
def test_touching_keeps_grace_and_lease(state, now, seconds):
    """Only a fresh value is touched; its new soft deadline counts from now."""
    change, touched = touching(seconds)(state.record(), now)

    if touched:
        after = state_of(change, now)
        assert (now + seconds, state.cached.grace, state.at(now).lease) == (
            after.cached.soft_deadline,
            after.cached.grace,
            after.lease,
        )
    else:
        assert state.fresh(now) is None


@given(SLOTS, TOKENS, MOMENTS, SPANS, st.sampled_from(Reason))
def test_a_claim_finds_leads_or_follows(state, token, now, age, reason):
    """A claim never touches the value, and leads if nobody else does, or has for too long."""
    change, claim = Claiming(token, age, reason)(state.record(), now)
    before = state_of(state.record(), now)

    if claim.standing is Standing.LEAD:
        after = state_of(change, now)
        assert (before.cached, Lease(claim.token, now)) == (after.cached, after.lease)
        taken_over = before.lease is not None and reason is not Reason.FORCE
        assert (before.lease.token if taken_over else token) == claim.token
        own = taken_over and before.lease.token == token
        assert not taken_over or own or abs(now - before.lease.since) >= age
    else:
        assert change is UNCHANGED
    if claim.standing is Standing.FOLLOW:
        assert before.lease.token == claim.token
        assert abs(now - before.lease.since) < age
    if claim.standing is Standing.FOUND:
        assert before.fresh(now) == claim.cached
        assert claim.cached is not None


@given(SLOTS, TOKENS, MOMENTS, st.sampled_from(Reason))
def test_a_caller_that_has_waited_enough_follows_nobody(state, token, now, reason):
    """With an age of 0, whatever time a lease claims to be from: there is a value, or we lead."""
    _, claim = Claiming(token, 0.0, reason)(state.record(), now)

    assert claim.standing is not Standing.FOLLOW


@pytest.mark.parametrize("since", [1e300, -1e300, 1e12, 4000.0])
@pytest.mark.parametrize("cached", [None, CachedValue(b"v", 100.0, 50.0)])
def test_a_lease_that_no_clock_can_have_written_is_nobodys(since, cached):
    """It is not followed, and not written again by what keeps a lease."""
    record = EntryState(cached, Lease(b"f" * 16, since)).record()
    record = Record(record.payload, math.inf)
    now = 50.0

    _, claim = Claiming(b"t" * 16, 30.0, Reason.FORCE if cached else Reason.MISS)(record, now)
    change, touched = touching(20.0)(record, now)

    assert Standing.LEAD is claim.standing
    assert (cached is not None) == touched
    if touched:
        assert change.deadline < now + 2 * 3600


@given(SLOTS, TOKENS, MOMENTS, st.none() | HELD)
def test_a_value_is_stored_only_under_a_standing_token(state, token, now, cached):
    """Whatever has happened to the place: without the lease of that token nothing changes."""
    change, stored = Filling(token, cached)(state.record(), now)
    before = state_of(state.record(), now)

    assert (before.lease is not None and before.lease.token == token) == stored
    if stored:
        expected = (
            EMPTY
            if cached is None
            else EntryState(cached.moved(now + cached.soft_deadline)).at(now)
        )
        assert expected == state_of(change, now)
    else:
        assert change is UNCHANGED


@given(SLOTS, TOKENS, MOMENTS, st.just(0.0) | SPANS)
def test_giving_up_leaves_the_value_and_never_prolongs_its_life(state, token, now, backoff):
    """A released place has no lease; a stale value may pass for fresh, but not past its grace."""
    change, released = Releasing(token, backoff)(state.record(), now)
    before = state_of(state.record(), now)

    if not released:
        assert change is UNCHANGED
        return
    after = state_of(change, now)
    assert after.lease is None
    if before.cached is None:
        assert EMPTY == after
    else:
        assert before.cached.payload == after.cached.payload
        assert before.cached.deadline == pytest.approx(after.cached.deadline)
        if backoff and not before.cached.fresh(now):
            until = min(now + backoff, before.cached.deadline)
            assert until == after.cached.soft_deadline
        else:
            assert before.cached == after.cached


@given(SLOTS, TOKENS, TOKENS, MOMENTS)
def test_a_takeover_does_not_cost_the_first_leader_its_value(state, first, second, now):
    """Both compute under one token: whoever is first stores.

    A lease is too old at once here, so the second one leads as well, unless it finds a value.
    """
    led, claim = Claiming(first, 0.0, Reason.FORCE)(state.record(), now)
    taken, other = Claiming(second, 0.0)(led, now)
    assert (Standing.LEAD if state.fresh(now) is None else Standing.FOUND) is other.standing
    if other.standing is Standing.LEAD:
        assert claim.token == other.token
        assert Filling(claim.token, CachedValue(b"v", 10.0))(taken, now)[1]


@given(SLOTS, MOMENTS, MOMENTS)
def test_freshness_only_ever_ends(state, earlier, later):
    """A value that is stale, or gone, stays so."""
    first, second = sorted((earlier, later))
    if state.fresh(first) is None:
        assert state.fresh(second) is None
    if state_of(state.record(), first).cached is None:
        assert state_of(state.record(), second).cached is None


@given(MOMENTS, SPANS, st.floats(0, 1), MOMENTS)
def test_a_value_is_due_from_a_fraction_of_its_ttl_on(created, ttl, fraction, now):
    """`refresh_ahead` compares with the moment that lies at that fraction."""
    cached = CachedValue(b"v", created + ttl, 0.0, created - 2.0, 2.0)
    due = is_due(cached, now, Policy(refresh_ahead=fraction), lambda: 0.0)

    assert (fraction < 1 and now >= created + fraction * ttl) == due


@given(SPANS, st.floats(0.01, 10), CHANCES, CHANCES)
def test_an_early_renewal_is_the_likelier_the_costlier(cost, beta, one, other):
    """XFetch's lead is never negative and grows with cost, beta and chance."""
    low, high = sorted((one, other))

    assert 0 <= early_by(cost, beta, lambda: low) <= early_by(cost, beta, lambda: high)
    assert early_by(cost, beta, lambda: low) <= early_by(2 * cost, beta, lambda: low)
    assert 0 == early_by(cost, beta, lambda: 0.0)


@given(SPANS, st.floats(0, 1), CHANCES)
def test_jitter_never_lengthens_a_ttl(seconds, jitter, chance):
    """What remains lies between the fraction that jitter leaves and the whole."""
    left = shortened(seconds, jitter, lambda: chance)

    assert seconds * (1 - jitter) <= left <= seconds
    assert math.inf == shortened(math.inf, jitter, lambda: chance)


def test_what_was_not_noted_is_never_due():
    """A value without start, cost or end is not renewed early."""
    policy = Policy(refresh_ahead=0.0, beta=10.0)

    for cached in (CachedValue(b"v", 10.0), CachedValue(b"v", math.inf, 0.0, 1.0, 1.0)):
        assert not is_due(cached, 9.0, policy, lambda: 0.999)


def test_a_damaged_envelope_is_left_to_the_codec():
    """What cannot be understood is a plain payload, so that reading it is an error as ever."""
    damaged = b"\xc1\x01\x01\x00"

    assert EntryState(CachedValue(damaged, 5.0)) == state_of(Record(damaged, 5.0), 1.0)


def test_options_are_laid_over_each_other():
    """A level's `None` leaves an option to the level above; a zero switches it off."""
    manager = EntryOptions(ttl=60, grace=10, beta=1)
    backend = EntryOptions(grace=0, lock_timeout=3).over(manager)
    call = backend.with_overrides(beta=0, soft_timeout=1)

    assert EntryOptions(ttl=60, grace=0, lock_timeout=3, beta=1) == backend
    policy = policy_of(call)
    assert (60, 0, 3, 0, 1) == (
        policy.seconds,
        policy.grace,
        policy.lock_timeout,
        policy.beta,
        policy.soft_timeout,
    )
    assert policy.plain_hits
    assert not policy_of(backend).plain_hits
    assert 5 == policy_of(NO_OPTIONS, 5.0).seconds


@pytest.mark.parametrize(
    "options",
    [
        {"grace": -1},
        {"grace": math.nan},
        {"soft_timeout": True},
        {"hard_timeout": "1"},
        {"refresh_ahead": 1.5},
        {"beta": math.inf},
        {"jitter": -0.1},
        {"cache_if": 1},
    ],
)
def test_an_illegal_option_is_refused(options):
    """The error names the option and what it may be."""
    (name,) = options
    with pytest.raises(CacheConfigurationError, match=f"{name}="):
        EntryOptions(**options)


def test_an_illegal_ttl_or_a_misspelt_option_is_refused():
    """As everywhere else in the library."""
    with pytest.raises(CacheValueError):
        EntryOptions(ttl="60")
    with pytest.raises(CacheConfigurationError, match="'grase' is no option"):
        to_options({"grase": 1})
    with pytest.raises(CacheConfigurationError, match="an EntryOptions or a table"):
        to_options("grace=1")


@given(st.floats(0, 0.999))
def test_pauses_grow_up_to_a_bound(chance):
    """No busy polling, and no long sleep either."""
    sequence = pauses(lambda: chance)
    taken = [next(sequence) for _ in range(20)]

    assert sorted(taken) == taken
    assert 0.0025 <= taken[0]
    assert taken[-1] <= 0.375


def test_patience_is_worn_by_two_waits():
    """A caller waits for one leader, then for the one that took over, then computes."""
    now = [0.0]
    waiting = Waiting(10.0, lambda: now[0])
    ages = []
    for _ in range(4):
        ages.append(waiting.takeover_age)
        now[0] += 10
        waiting.next_wait()

    assert [10.0, 10.0, 0.0, 0.0] == ages


def test_leaders_who_follow_upon_each_other_keep_nobody():
    """A wait that is over counts even if no step said so: each look found somebody new."""
    now = [0.0]
    waiting = Waiting(10.0, lambda: now[0])
    ages = []
    for _ in range(60):
        ages.append(waiting.takeover_age)
        now[0] += 1

    assert [10.0] * 20 + [0.0] * 40 == ages


def test_background_work_is_bounded():
    """What does not fit is refused; draining refuses everything."""
    import threading

    leave = threading.Event()
    background = Background("test", most=2)

    started = [background.in_thread(lambda: leave.wait(30) and None) for _ in range(3)]
    assert 2 == background.drain(0.0)
    leave.set()
    assert 0 == background.drain(30)
    assert [True, True, False] == started
    assert not background.in_thread(lambda: None)
