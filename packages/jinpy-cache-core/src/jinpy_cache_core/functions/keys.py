"""From a function and its arguments to the key of its value, built once for each function.

An automatic key is `module.qualname(arguments)`, with the arguments bound to their parameters, so
that `f(1)`, `f(x=1)` and `f(1, default)` are one. A template is `"user:{user_id}"`, filled with the
arguments by name, quoted where needed so that no two sets of arguments meet.
"""

import hashlib
import inspect
import re
import string
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from jinpy_cache_core.entries.keys import MAX_KEY_BYTES, check_key
from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.functions.arguments import text_of

MakeKey: TypeAlias = Callable[..., str]
"""From arguments to a key."""

LONGEST: Final = MAX_KEY_BYTES // 4
"""The most characters of an automatic key; whatever they are, they fit into its bytes."""

_SEPARATORS: Final = frozenset(":/|;,@#!?&= ")
"""Characters that neither a bare word nor any other text holds outside of quotes and brackets."""

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_OTHER_WORDS: Final = frozenset(("None", "True", "False", "Ellipsis", "nan", "inf", "nanj", "infj"))
"""Texts of values that are no str; those of enums and classes have dots or brackets."""


@attrs.frozen
class Keying:
    """How the keys of one function are made.

    Attributes:
        make: From the arguments of a call to its key.
        prefix: What all its keys begin with, and no other function's; `None` if that is not known.
        names: The parameters whose text is the key, if the key is `prefix` and their texts and a
            call by position needs no more: only for automatic keys.
    """

    make: MakeKey
    prefix: str | None
    names: tuple[str, ...] | None = None


def keying_of(function: Callable[..., Any], key: "str | MakeKey | None") -> Keying:
    """How to make the keys of a function.

    Args:
        function: The function that is decorated.
        key: A template, a function of the same arguments that returns the key, or `None`.

    Raises:
        CacheConfigurationError: The template names no parameter, or an automatic key would leave
            out something that the function depends on.
    """
    signature = inspect.signature(function)
    if callable(key):
        given = key
        return Keying(lambda *args, **kwargs: check_key(given(*args, **kwargs)), None)
    if key is not None:
        return _from_template(function, signature, key)
    return _automatic(function, signature)


def name_of(function: Callable[..., Any]) -> str:
    """The module and the qualified name of a function."""
    return f"{function.__module__}.{function.__qualname__}"


def _automatic(function: Callable[..., Any], signature: inspect.Signature) -> Keying:
    _refuse_hidden_inputs(function)
    prefix = f"{name_of(function)}("
    parameters = list(signature.parameters.values())
    simple = all(one.kind is one.POSITIONAL_OR_KEYWORD for one in parameters)

    def make(*args: Any, **kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        parts: list[str] = []
        for one in parameters:
            value = bound.arguments[one.name]
            text = text_of(value, repr(one.name))
            parts.append(text if one.kind is one.POSITIONAL_OR_KEYWORD else f"{one.name}={text}")
        return shortened(prefix, ", ".join(parts))

    names = tuple(one.name for one in parameters) if simple else None
    return Keying(make, prefix, names)


def shortened(prefix: str, text: str) -> str:
    """The key of a prefix and the text of arguments; a digest stands for a long one."""
    if len(prefix) + len(text) < LONGEST:
        return f"{prefix}{text})"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return check_key(f"{prefix}#{digest})")


def _refuse_hidden_inputs(function: Callable[..., Any]) -> None:
    code = getattr(function, "__code__", None)
    hidden = [name for name in getattr(code, "co_freevars", ()) if name != function.__name__]
    hidden = [name for name in hidden if name != "__class__"]
    if hidden or function.__name__ == "<lambda>":
        what = "is a lambda" if not hidden else f"reads {hidden[0]!r} of the function around it"
        message = (
            f"{name_of(function)} {what}, which an automatic key would not tell apart from "
            "another function of that name. Pass key='...{name}...' or a function as key=."
        )
        raise CacheConfigurationError(message)


def _from_template(
    function: Callable[..., Any], signature: inspect.Signature, template: str
) -> Keying:
    parts = list(string.Formatter().parse(template))
    names = [name for _, name, _, _ in parts if name is not None]
    for _, name, spec, conversion in parts:
        if name is not None and (name not in signature.parameters or spec or conversion):
            known = ", ".join(signature.parameters) or "none"
            message = (
                f"key={template!r} of {name_of(function)}: {{{name}}} is not the name of a "
                f"parameter; there are {known}. Write names alone, without formats."
            )
            raise CacheConfigurationError(message)
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

    prefix = parts[0][0] if parts else ""
    return Keying(make, prefix if names and prefix else None)


def _filled(value: object, name: str) -> str:
    """An argument in a template: a word bare, everything else as in an automatic key."""
    if type(value) is str and _WORD.fullmatch(value) and value not in _OTHER_WORDS:
        return value
    return text_of(value, repr(name))
