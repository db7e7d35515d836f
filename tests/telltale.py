"""Values that tell whether they are read whole, and under the key they were stored by."""

import random
from typing import Any


def value_of(key: str, chance: random.Random) -> dict[str, Any]:
    """A value that tells its key and whether it is whole."""
    body = bytes([chance.randrange(256)]) * chance.choice([0, 10, 500, 1900, 2500, 40_000])
    return {"k": key, "size": len(body), "sum": sum(body), "body": body}


def assert_whole(key: str, value: Any) -> None:
    """What is read was stored under exactly this key, and is not torn."""
    if value is not None:
        body = value["body"]
        assert (value["k"], value["size"], value["sum"]) == (key, len(body), sum(body)), key
