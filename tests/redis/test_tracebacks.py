"""What a user sees when the server fails: their own line, the operation, and one cause."""

import pytest
from tests.redis.servers import free_port

from jinpy_cache_core import CacheConnectionError
from jinpy_cache_testing.diagnosis import ashown, shown
from jinpy_cache_testing.sync_view import new_runner

MOST_LINES = 25


@pytest.fixture(params=["refused", "wrong password"])
def failing(request, make, start_server):
    """A backend whose server cannot be reached, or does not let it in."""
    if request.param == "refused":
        return make(f"redis://127.0.0.1:{free_port()}/0")
    server = start_server(requirepass="right")
    return make(f"redis://:wrong@127.0.0.1:{server.port}/0")


@pytest.mark.parametrize(
    "call",
    [
        lambda cache: cache.get("key"),
        lambda cache: cache.set("key", 1),
        lambda cache: cache.delete("key"),
        lambda cache: cache.get_many(["key"]),
        lambda cache: list(cache.scan()),
    ],
)
def test_a_server_that_fails_is_told_in_a_few_lines(failing, call) -> None:
    """Their line, our operation, and the last frame of what failed, at most once."""
    said = shown(lambda: call(failing))

    assert len(said) <= MOST_LINES, "\n".join(said)
    assert said[-1].startswith("jinpy_cache_core.exceptions.CacheConnectionError: ")
    assert "\n".join(said).count("The above exception was the direct cause") <= 1


@pytest.mark.parametrize(
    "call",
    [
        lambda cache: cache.aget("key"),
        lambda cache: cache.aset("key", 1),
        lambda cache: cache.aget_many(["key"]),
    ],
)
def test_a_server_that_fails_is_told_in_a_few_lines_asynchronously(failing, call) -> None:
    """The same, awaited."""
    with new_runner() as runner:
        said = runner.run(ashown(lambda: call(failing)))

    assert len(said) <= MOST_LINES, "\n".join(said)
    assert CacheConnectionError.__name__ in said[-1]


def test_an_error_of_the_loading_layer_is_as_short(failing) -> None:
    """The plan that was being run, and its driver, are not shown."""
    said = shown(lambda: failing.get_or_set("key", int, grace=60, on_error="raise"))

    assert len(said) <= MOST_LINES, "\n".join(said)
