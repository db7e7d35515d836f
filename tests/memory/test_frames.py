"""What a call costs: Python frames of ours between the caller and the value."""

from jinpy_cache_core import cached
from jinpy_cache_memory import compiled
from jinpy_cache_testing.diagnosis import frames_of


def test_a_hit_is_the_engine_alone(make) -> None:
    """`get` of a backend, and of a facade, is the engine's own; no frame at all when compiled."""
    cache = make()
    cache.set("key", 1)

    assert ([] if compiled else ["Engine.get"]) == frames_of(lambda: cache.get("key"))


def test_a_hit_of_a_decorated_function_adds_its_wrapper_alone(make) -> None:
    """The wrapper, written for its function, looks the value up itself; it is no frame of ours."""

    @cached(backend=make())
    def double(number: int) -> int:
        return 2 * number

    assert ([] if compiled else ["Engine.get"]) == frames_of(lambda: double(2))
