"""What a call costs: Python frames of ours between the caller and the value."""

from jinpy_cache_testing.diagnosis import frames_of


def test_a_hit_takes_four_frames(make) -> None:
    """The error edge, the operation, one look at the store, and decoding."""
    cache = make()
    cache.set("key", {"name": "value"})

    assert 4 == len(frames_of(lambda: cache.get("key")))
