"""From plain data (TOML, JSON, environment, URL) to configuration classes, reporting all problems.

Values are structured field by field with cattrs and checked by the field's own validator, so that
a user sees every problem at once, each with its path. Nothing is coerced in data that has types of
its own; text (environment, URL query) is parsed by the field's type.
"""

import difflib
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, Union, cast, get_args, get_origin

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import BaseValidationError

from jinpy_cache_core.exceptions import (
    CacheConfigurationError,
    CacheConfigurationTypeError,
    CacheException,
)
from jinpy_cache_core.secret import Secret

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})
NONE_WORDS = frozenset({"", "none", "null"})

MAY_HOLD_SECRETS = frozenset({"url"})
"""Fields whose values are not repeated, besides those of the type `Secret`."""


class Problems:
    """The problems found so far, each a sentence that begins with its path."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, path: str, sentence: str) -> None:
        """Note a problem."""
        self.sentences.append(f"{path}: {sentence}" if path else sentence)

    def raise_if_any(
        self, source: str, kind: type[CacheConfigurationError] = CacheConfigurationError
    ) -> None:
        """Raise one error of a kind that lists them all.

        Raises:
            CacheConfigurationError: There are any.
        """
        if self.sentences:
            count = len(self.sentences)
            head = f"{source} has {count} problem{'s' if count > 1 else ''}:"
            raise kind("\n  - ".join([head, *self.sentences]))


_UNREADABLE: tuple[type[Exception], ...] = (
    CacheException,
    BaseValidationError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)
"""What converters and validators raise for data of a shape that they did not expect."""


def _exactly(kind: type, *, also: tuple[type, ...] = ()) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, (kind, *also)) and (kind is bool or not isinstance(value, bool)):
            return value
        message = f"expected {kind.__name__}, not {type(value).__name__} {_shown(value)}"
        raise TypeError(message)

    return structure


def _parsed(kind: type, parse: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    strictly = _exactly(kind, also=(int,) if kind is float else ())

    def structure(value: Any, target: Any) -> Any:
        if not isinstance(value, str):
            return strictly(value, target)
        try:
            return parse(value)
        except ValueError:
            message = f"expected {kind.__name__}, not the text {_shown(value)}"
            raise TypeError(message) from None

    return structure


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError(text)


def _path(value: Any, _: Any) -> Path:
    if isinstance(value, (str, Path)):
        return Path(value)
    message = f"expected a path, not {type(value).__name__} {_shown(value)}"
    raise TypeError(message)


def _as_it_is(value: Any, _: Any) -> Any:
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _typed_converter() -> Converter:
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(float, _exactly(float, also=(int,)))
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(Path, _path)
    converter.register_structure_hook(Secret, _as_it_is)
    return converter


def _text_converter() -> Converter:
    converter = _typed_converter()
    converter.register_structure_hook(bool, _parsed(bool, _truth))
    converter.register_structure_hook(int, _parsed(int, int))
    converter.register_structure_hook(float, _parsed(float, float))
    return converter


_TYPED = _typed_converter()
_TEXT = _text_converter()


def structure_fields(
    config_class: type[Any],
    values: Mapping[str, object],
    *,
    problems: Problems,
    path: str = "",
    text: bool = False,
    ignored: Iterable[str] = (),
) -> dict[str, Any]:
    """The keyword arguments for a configuration class, as far as the values are legal.

    Args:
        config_class: An attrs class.
        values: Plain data by field name.
        problems: Where illegal values and unknown names are noted.
        path: What each noted path begins with.
        text: Whether the values are text, to be parsed by each field's type.
        ignored: Names that are known but are no fields.

    Returns:
        Structured values by field name; the class itself checks how they go together.
    """
    fields = {
        field.name: field for field in attrs.fields(attrs.resolve_types(config_class)) if field.init
    }
    arguments: dict[str, Any] = {}
    for name, value in values.items():
        where = f"{path}.{name}" if path else name
        field = fields.get(name)
        if field is not None:
            try:
                arguments[name] = _structured(field, value, text=text)
            except _UNREADABLE as error:
                for sentence in _sentences(error, where, secret=_is_secret(field)):
                    problems.add(*sentence)
        elif name not in ignored:
            problems.add(where, unknown(name, [*fields, *ignored]))
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in values:
            problems.add(f"{path}.{name}" if path else name, "is missing.")
    return arguments


def unknown(name: object, known: Iterable[str]) -> str:
    """The sentence for a misspelt setting, with the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    if near:
        return f"is no setting. Did you mean {near[0]!r}?"
    return f"is no setting; there are {', '.join(known)}."


def _structured(field: "attrs.Attribute[Any]", value: object, *, text: bool) -> Any:
    kind: Any = field.type
    optional = type(None) in get_args(kind)
    if text and optional and isinstance(value, str) and value.strip().lower() in NONE_WORDS:
        return None
    if _is_union(kind) and value is not None:
        plain = [one for one in get_args(kind) if one is not type(None)]
        # Several alternatives (a name or an object): the field's own validator knows best.
        kind = plain[0] if len(plain) == 1 else object
    if attrs.has(kind) or get_origin(kind) is Callable:  # the field's own checks know best
        kind = object
    converter = _TEXT if text else _TYPED
    unread = kind is object or (value is None and optional)
    structured = value if unread else converter.structure(value, kind)
    convert: Callable[[Any], Any] | None = cast("Any", field).converter
    converted = structured if convert is None else convert(structured)
    if field.validator is not None:
        field.validator(None, field, converted)
    return structured


def _is_secret(field: "attrs.Attribute[Any]") -> bool:
    return field.type is Secret or Secret in get_args(field.type) or field.name in MAY_HOLD_SECRETS


def _sentences(error: Exception, path: str, *, secret: bool) -> list[tuple[str, str]]:
    if secret:
        kind = "URL" if path.endswith("url") else "secret"
        return [(path, f"is not a legal {kind}: it must be a non-empty str.")]
    if isinstance(error, CacheException):
        return [(path, error.message)]
    if isinstance(error, BaseValidationError):
        lines = transform_error(error, path=path, format_exception=lambda one, _: str(one))
        return [
            (where or path, f"{sentence}.")
            for sentence, _, where in (line.rpartition(" @ ") for line in lines)
        ]
    return [(path, f"{error}.")]


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
