"""What a call costs: Python frames of ours between the caller and the value."""

from jinpy_cache_testing.diagnosis import frames_of


def test_a_hit_takes_fifteen_frames(make, standalone) -> None:
    """The error edge, the plan and its driver, one exchange with the server, and decoding."""
    cache = make(standalone.url)
    cache.set("key", {"name": "value"})

    entered = frames_of(lambda: cache.get("key"))

    assert len(entered) <= 15, entered
