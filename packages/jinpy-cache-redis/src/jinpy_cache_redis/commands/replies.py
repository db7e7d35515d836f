"""What replies must be, and what they are told as otherwise.

What answers a question with something that no server says is not the server it pretends to be: a
proxy, another protocol, or replies out of step. It is not believed, whatever the operation.
"""

from typing import Any, NoReturn

from jinpy_cache_core import CacheConnectionError, CacheException, CacheValueError
from jinpy_cache_core.backend import not_a_counter
from jinpy_cache_redis.protocol.failures import ServerError


def not_believed(reply: object, command: str) -> CacheConnectionError:
    """The error of a reply that no server gives to a command."""
    kind = type(reply).__name__
    message = (
        f"Redis answered {command} with {kind}, which no server does: correct the host or the port."
    )
    return CacheConnectionError(message)


def whole(command: str, reply: object) -> int:
    """An integer reply."""
    if type(reply) is int:
        return reply
    raise not_believed(reply, command)


def count(command: str, reply: object) -> int:
    """How many there were."""
    if type(reply) is int and reply >= 0:
        return reply
    raise not_believed(reply, command)


def text(command: str, reply: object) -> bytes | None:
    """A string or nothing."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise not_believed(reply, command)


def head(reply: object) -> object:
    """The beginning of an entry, or the error that says that it is of a foreign type."""
    if isinstance(reply, (bytes, ServerError)):
        return reply
    raise not_believed(reply, "GETRANGE")


def done(command: str, reply: object) -> bool:
    """Whether what was asked was done: OK, or nothing where a condition did not hold."""
    if reply in {b"OK", "OK"} if isinstance(reply, (bytes, str)) else reply is None:
        return reply is not None
    raise not_believed(reply, command)


def all_done(command: str, replies: Any, due: int) -> None:
    """So many replies, each of which says OK."""
    if due == 1:
        replies = [replies]
    if replies.count(b"OK") != due:
        for reply in replies:
            if not done(command, reply):
                raise not_believed(reply, command)


def listed(command: str, reply: object, due: int) -> list[Any]:
    """An array of so many elements."""
    if not isinstance(reply, list):
        raise not_believed(reply, command)
    items: list[Any] = reply  # pyright: ignore[reportUnknownVariableType]
    if len(items) != due:
        raise not_believed(items, command)
    return items


def executed(answers: Any) -> list[Any] | None:
    """What the commands of a transaction came to; `None` if somebody else was faster."""
    last: Any = answers[-1]
    return None if last is None else listed("EXEC", last, len(answers) - 2)


def refuse_unless_bytes(payload: object) -> None:
    """Consulted only once reading a payload has failed.

    Raises:
        CacheConnectionError: It is none: what answers is not the server it pretends to be.
    """
    if payload is not None and not isinstance(payload, bytes):
        raise not_believed(payload, "GET")


def answer_told(error: ServerError) -> CacheException:
    """An error reply as the caller's error, with the reply behind it."""
    told = error.told()
    told.__cause__ = error
    return told


def raise_refusals(answers: list[Any]) -> None:
    """Raise the first error among the answers to several requests."""
    for answer in answers:
        if isinstance(answer, ServerError):
            raise answer.told() from answer


def without_foreign(payloads: list[Any]) -> list[bytes | None]:
    """The payloads, where a key of a foreign type is a miss as `MGET` has it."""
    for position, payload in enumerate(payloads):
        if isinstance(payload, ServerError):
            if payload.code != "WRONGTYPE":
                raise payload.told() from payload
            payloads[position] = None
    return payloads


def raise_counter_error(error: CacheException) -> NoReturn:
    """Raise what a refused `INCRBY` means: the server words it, the code is only `ERR`."""
    told: CacheException = error
    if error.server_code == "WRONGTYPE":
        told = not_a_counter()
    elif "overflow" in error.message:
        message = (
            "The counter's new value does not fit in a signed 64-bit integer; the stored value "
            "was left as it is."
        )
        told = CacheValueError(message)
    raise told from error.__cause__
