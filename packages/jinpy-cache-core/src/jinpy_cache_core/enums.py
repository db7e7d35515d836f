"""The words that errors, configuration and logs share."""

from enum import StrEnum


class CacheBackendType(StrEnum):
    """The backends that ship with the project; a third party's type is its own string."""

    MEMORY = "memory"
    FILE = "file"
    REDIS = "redis"


class CacheOperation(StrEnum):
    """What was being done when an error was raised."""

    GET = "get"
    SET = "set"
    ADD = "add"
    DELETE = "delete"
    POP = "pop"
    SCAN = "scan"
    EXISTS = "exists"
    CLEAR = "clear"
    GET_MANY = "get_many"
    SET_MANY = "set_many"
    DELETE_MANY = "delete_many"
    INCR = "incr"
    DECR = "decr"
    TTL = "ttl"
    TOUCH = "touch"
    GET_OR_SET = "get_or_set"
    GET_OR_SET_MANY = "get_or_set_many"
    IS_HEALTHY = "is_healthy"
    CLOSE = "close"
    CONFIGURE = "configure"


class CacheErrorType(StrEnum):
    """The machine-readable code that each `CacheException` carries."""

    UNKNOWN = "unknown"
    CONFIGURATION = "configuration"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    SERIALIZATION = "serialization"
    KEY = "key"
    VALUE = "value"
    BACKEND = "backend"
    CLOSED = "closed"
    REENTRY = "reentry"
