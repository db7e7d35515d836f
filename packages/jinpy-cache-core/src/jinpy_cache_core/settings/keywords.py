"""A misspelt keyword of a configuration class, refused with the sentence of misspelt data."""

from typing import Any, Self, cast

import attrs

from jinpy_cache_core.exceptions import CacheConfigurationTypeError
from jinpy_cache_core.structuring import Problems, unknown


class KnownKeywords:
    """What attrs classes of settings derive from, so that an unknown keyword gets a suggestion."""

    __slots__ = ()

    def __new__(cls, *_args: Any, **settings: Any) -> Self:
        """Refuse what is no setting; the rest is for `__init__` to judge."""
        known = [field.alias for field in attrs.fields(cast("Any", cls)) if field.init]
        problems = Problems()
        for name in settings:
            if name not in known:
                problems.add(name, unknown(name, known))
        problems.raise_if_any(cls.__name__, CacheConfigurationTypeError)
        return super().__new__(cls)
