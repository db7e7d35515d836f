"""From a function and its arguments to the key of its value, built once for each function.

An automatic key is `module.qualname(arguments)`, with the arguments bound to their parameters, so
that `f(1)`, `f(x=1)` and `f(1, default)` are one. A template is `"user:{user_id}"`, filled with the
arguments by name, quoted where needed so that no two sets of arguments meet.
"""

import hashlib
import inspect
import re
import string
from collections.abc import Callable, Collection
from typing import Any, Final, TypeAlias

import attrs

from jinpy_cache_core.entries.keys import MAX_KEY_BYTES, check_key
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheKeyTypeError
from jinpy_cache_core.functions.arguments import text_of
from jinpy_cache_core.functions.identity import identity_of, name_of

MakeKey: TypeAlias = Callable[..., str]
"""From arguments to a key."""

LONGEST: Final = MAX_KEY_BYTES // 4
"""The most characters of an automatic key; whatever they are, they fit into its bytes."""

_SEPARATORS: Final = frozenset(":/|;,@#!?&= ")
"""Characters that neither a bare word nor any other text holds outside of quotes and brackets."""

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OTHER_WORDS: Final = frozenset(("None", "True", "False", "Ellipsis", "nan", "inf", "nanj", "infj"))
"""Texts of values that are no str; those of enums and classes have dots or brackets."""


_FIELD: Final = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\w.+-]|[(\[{<].*[)\]}>])+"""
"""The text of an argument in a template: quoted, a word or number, or something in brackets."""


@attrs.frozen
class Keying:
    """How the keys of one function are made.

    Attributes:
        make: From the arguments of a call to its key.
        prefix: What all its keys begin with, and no other function's; `None` if that is not known.
        names: The parameters whose text is the key, if the key is `prefix` and their texts and a
            call by position needs no more: only for automatic keys.
        pattern: What all its keys match, if more than `prefix` tells them from others.
    """

    make: MakeKey
    prefix: str | None
    names: tuple[str, ...] | None = None
    pattern: "re.Pattern[str] | None" = None

    def is_own(self, key: str) -> bool:
        """Whether a key that begins with the prefix is one that this function could make."""
        return self.pattern is None or self.pattern.fullmatch(key) is not None


def keying_of(
    function: Callable[..., Any],
    key: "str | MakeKey | None",
    version: object = None,
    ignore: Collection[str] = (),
) -> Keying:
    """How to make the keys of a function.

    Args:
        function: The function that is decorated.
        key: A template, a function of the same arguments that returns the key, or `None`.
        version: Part of an automatic key; a changed one leaves the older values behind.
        ignore: The names of parameters that an automatic key leaves out.

    Raises:
        CacheConfigurationError: The template names no parameter, or an automatic key would leave
            out something that the function depends on.
    """
    if key is not None and version is not None:
        message = (
            f"{name_of(function)} has both key= and version=; write the version into the key, "
            f"such as key='user:v{version}:{{user_id}}'."
        )
        raise CacheConfigurationError(message)
    if key is not None and ignore:
        message = (
            f"{name_of(function)} has both key= and ignore=; a key holds what it names, so leave "
            "ignore= out."
        )
        raise CacheConfigurationError(message)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError) as error:
        message = (
            f"The parameters of {name_of(function)} cannot be read, so its calls have no key. "
            "Decorate a function of your own that calls it."
        )
        raise CacheConfigurationError(message) from error
    if callable(key):
        given = key
        return Keying(lambda *args, **kwargs: check_key(given(*args, **kwargs)), None)
    if key is not None:
        return _from_template(function, signature, key)
    return _automatic(function, signature, version, _ignored(function, signature, ignore))


def _ignored(
    function: Callable[..., Any], signature: inspect.Signature, ignore: Collection[str]
) -> frozenset[str]:
    """The names to leave out, each of which must be that of a parameter."""
    names = frozenset((ignore,) if isinstance(ignore, str) else ignore)
    unknown = sorted(names - signature.parameters.keys())
    if unknown:
        opening = f"ignore={unknown[0]!r} of {name_of(function)}"
        raise _no_parameter(opening, signature)
    return names


def _no_parameter(opening: str, signature: inspect.Signature) -> CacheConfigurationError:
    """The error of a name that no parameter has."""
    known = ", ".join(signature.parameters) or "none"
    message = f"{opening} is not the name of a parameter; there are {known}. Write one of these."
    return CacheConfigurationError(message)


def _automatic(
    function: Callable[..., Any],
    signature: inspect.Signature,
    version: object,
    ignored: frozenset[str],
) -> Keying:
    identity = identity_of(function)
    inputs = identity.inputs
    name = identity.name
    if version is not None:
        name += f"@{text_of(version, 'version')}"
    parameters = [one for one in signature.parameters.values() if one.name not in ignored]
    simple = not ignored and all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)

    def prefix() -> str:
        if not inputs:
            return f"{name}("
        # The longest of names must leave room for arguments, so what stands here is a digest.
        texts = [f"{what}={_input_text(what, value, function)}" for what, value in inputs]
        return f"{name}[{hashlib.sha256(_bytes(', '.join(texts))).hexdigest()[:32]}]("

    fixed = prefix()

    def make(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parts: list[str] = []
        for one in parameters:
            text = _argument_text(bound.arguments[one.name], one)
            parts.append(text if one.kind is one.POSITIONAL_OR_KEYWORD else f"{one.name}={text}")
        return shortened(prefix() if inputs else fixed, ", ".join(parts))

    names = tuple(one.name for one in parameters) if simple and not inputs else None
    return Keying(make, fixed, names)


def _argument_text(value: object, parameter: inspect.Parameter) -> str:
    """An argument as text; the default itself may be a sentinel that has no value to go by."""
    try:
        return text_of(value, repr(parameter.name))
    except CacheKeyTypeError:
        if value is not parameter.default:
            raise
        return "<default>"


def _input_text(what: str, value: object, function: Callable[..., Any]) -> str:
    try:
        return text_of(value, what)
    except CacheKeyTypeError as error:
        message = (
            f"{name_of(function)} depends on {what}, a {type(value).__module__}."
            f"{type(value).__qualname__}, which an automatic key would leave out. Pass "
            "key='...{name}...' or a function as key=, or give its class a cache_key attribute."
        )
        raise CacheConfigurationError(message) from error


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def shortened(prefix: str, text: str) -> str:
    """The key of a prefix and the text of arguments; a digest stands for a long one."""
    if len(prefix) + len(text) < LONGEST:
        return f"{prefix}{text})"
    digest = hashlib.sha256(_bytes(text)).hexdigest()
    return check_key(f"{prefix}#{digest})")


def _from_template(
    function: Callable[..., Any], signature: inspect.Signature, template: Any
) -> Keying:
    if not isinstance(template, str):
        message = (
            f"key={template!r} of {name_of(function)} is a {type(template).__name__}; write a "
            "template such as key='user:{user_id}', or a function of the same arguments."
        )
        raise CacheConfigurationError(message)
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        message = (
            f"key={template!r} of {name_of(function)} is no template: {error}. Write parameters "
            "in braces, such as key='user:{user_id}', and a brace itself as '{{' or '}}'."
        )
        raise CacheConfigurationError(message) from error
    names = [name for _, name, _, _ in parts if name is not None]
    for _, name, spec, conversion in parts:
        if name in signature.parameters and (spec or conversion):
            message = (
                f"key={template!r} of {name_of(function)} formats {name!r}, which could make two "
                f"values one key. Write {{{name}}} alone."
            )
            raise CacheConfigurationError(message)
        if name is not None and name not in signature.parameters:
            opening = f"key={template!r} of {name_of(function)}: {{{name}}}"
            raise _no_parameter(opening, signature)
    between = [literal for literal, name, _, _ in parts[1:] if name is not None]
    if not all(set(literal) & _SEPARATORS for literal in between):
        message = (
            f"key={template!r} of {name_of(function)} has two names with nothing between them that "
            "keeps their values apart. Write ':' between them."
        )
        raise CacheConfigurationError(message)

    def make(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        made: list[str] = []
        for literal, name, _, _ in parts:
            made.append(literal)
            if name is not None:
                made.append(_filled(bound.arguments[name], name))
        return check_key("".join(made))

    # A word would go on where a prefix ends in one: "u{id}" could make any key that begins with u.
    prefix = parts[0][0] if parts else ""
    told_apart = bool(names) and bool(prefix) and prefix[-1] in _SEPARATORS
    pattern = re.compile(
        "".join(
            re.escape(literal) + ("" if name is None else _FIELD) for literal, name, _, _ in parts
        ),
        re.DOTALL,
    )
    return Keying(make, prefix if told_apart else None, pattern=pattern)


def _filled(value: object, name: str) -> str:
    """An argument in a template: a word bare, everything else as in an automatic key."""
    if type(value) is str and _WORD.fullmatch(value) and value not in _OTHER_WORDS:
        return value
    return text_of(value, repr(name))
