"""Which computation a callable is: its name, and what it depends on besides its arguments.

A module and a qualified name say it for most functions. They do not for a function of `__main__`
(each script and each notebook has one), for one defined inside another, for a second one of the
same name, or for one below other decorators; those carry a digest of what does tell them apart.
What a bound method, a partial or a callable object brings along is listed as inputs, which belong
into the key like arguments.
"""

import functools
import hashlib
import sys
import types
from pathlib import Path
from typing import Any, Final, cast

import attrs

from jinpy_cache_core.exceptions import CacheConfigurationError

_MAIN: Final = frozenset(("__main__", "__mp_main__"))
"""What the program's own module is called, here and in the workers that it spawned."""

_DIGITS: Final = 12

_claimed: dict[str, str] = {}
"""Who came first under a name: the digest of its code. Written by one `setdefault`, atomically."""


@attrs.frozen
class Identity:
    """A computation.

    Attributes:
        name: A text that no other computation has.
        inputs: What it depends on besides its arguments, with a name for each.
    """

    name: str
    inputs: tuple[tuple[str, object], ...] = ()


def name_of(function: Any) -> str:
    """The module and the qualified name of a callable, for messages."""
    if isinstance(function, functools.partial):
        return name_of(function.func)
    kind = cast("Any", type)(function)
    own = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None) or getattr(kind, "__module__", "builtins")
    return f"{module}.{own or kind.__qualname__}"


def identity_of(function: Any) -> Identity:
    """Which computation a callable is.

    Args:
        function: Any callable.

    Raises:
        CacheConfigurationError: It depends on something that no name and no key would tell.
    """
    inputs: list[tuple[str, object]] = []
    layers: list[str] = []
    one: Any = function
    while not _is_innermost(one):
        if _is_partial(one):
            inputs.append(("partial arguments", (one.args, dict(one.keywords))))
            layers.append("partial")
            one = one.func
        elif hasattr(one, "__wrapped__") and not _is_bound(one):
            _add_layer(one, layers, inputs)
            one = one.__wrapped__
        elif _is_bound(one):
            inputs.append(("self", one.__self__))
            below = getattr(one, "__func__", None)
            if below is None:
                return Identity(f"{name_of(type(one.__self__))}.{one.__name__}", tuple(inputs))
            one = below
        elif isinstance(one, (types.BuiltinFunctionType, type)):
            return Identity(name_of(one), tuple(inputs))
        else:
            inputs.append(("self", one))
            one = cast("Any", type(one)).__call__
            if not _is_plain(one):
                message = (
                    f"{name_of(function)} is a callable of a kind whose inputs are not known, so "
                    "it has no automatic key. Pass key='...{name}...' or a function as key=, or "
                    "decorate a function that calls it."
                )
                raise CacheConfigurationError(message)
    _refuse_closures(one)
    return Identity(_named(one, layers), tuple(inputs))


def _is_innermost(one: Any) -> bool:
    return _is_plain(one) and not hasattr(one, "__wrapped__")


def _is_plain(one: Any) -> bool:
    return isinstance(one, types.FunctionType)


def _is_partial(one: Any) -> bool:
    return isinstance(one, functools.partial) and not _is_bound(cast("Any", one))


def _is_bound(one: Any) -> bool:
    owner = getattr(one, "__self__", None)
    return owner is not None and not isinstance(owner, types.ModuleType)


def _is_cached(one: Any) -> bool:
    """Whether it is a function that `cached` made; what copies its attributes is none."""
    owner = getattr(getattr(one, "cache_clear", None), "__self__", None)
    made = getattr(owner, "wrapper", None)
    return made is not None and (made is one or made is getattr(one, "_wrapper", None))


def _add_layer(one: Any, layers: list[str], inputs: list[tuple[str, object]]) -> None:
    """Note a decorator below, by its own name and what it was given."""
    code = getattr(one, "__code__", None)
    if _is_cached(one) or code is None:
        layers.append(type(one).__qualname__)
        return
    module = getattr(one, "__globals__", {}).get("__name__", "")
    layers.append(f"{module}.{code.co_qualname}")
    for name, cell in zip(code.co_freevars, one.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # the variable has no value yet
            continue
        if value is not one.__wrapped__:
            inputs.append((f"{code.co_qualname}'s {name}", value))


def _refuse_closures(function: types.FunctionType) -> None:
    own = (function.__name__, "__class__")
    hidden = [name for name in function.__code__.co_freevars if name not in own]
    if hidden or function.__name__ == "<lambda>":
        what = "is a lambda" if not hidden else f"reads {hidden[0]!r} of the function around it"
        message = (
            f"{name_of(function)} {what}, which an automatic key would not tell apart from "
            "another function of that name. Pass key='...{name}...' or a function as key=."
        )
        raise CacheConfigurationError(message)


def _named(function: types.FunctionType, layers: list[str]) -> str:
    code = digest_of_code(function.__code__)
    module, name = function.__module__ or "", function.__qualname__
    above = f"|{'|'.join(layers)}" if layers else ""
    if module in _MAIN:
        script = script_of(function.__globals__)
        return f"{Path(script).stem or module}-{_digest(script, code, above)}.{name}"
    plain = f"{module}.{name}"
    if "<locals>" in name or function.__name__ == "_":
        return f"{plain}-{_digest(code, above)}"
    first = _claimed.setdefault(plain, f"{function.__code__.co_filename}:{code}")
    second = "" if first == f"{function.__code__.co_filename}:{code}" else code
    return f"{plain}-{_digest(second, above)}" if second or above else plain


def script_of(space: "dict[str, Any] | None" = None) -> str:
    """The resolved path of the program, empty in a notebook and an interactive session."""
    file = vars(sys.modules["__main__"]).get("__file__") if space is None else space.get("__file__")
    return str(Path(file).resolve()) if isinstance(file, str) else ""


def digest_of_code(code: types.CodeType) -> str:
    """What a function does, as far as its own code says so; not where it stands or is explained."""
    return _digest(_text_of_code(code))


def _text_of_code(code: types.CodeType) -> str:
    constants = [_constant(one) for one in code.co_consts[:]]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (
        f"{code.co_code.hex()} {names} {constants} {code.co_flags} {code.co_exceptiontable.hex()}"
    )


def _constant(value: Any) -> str:
    if isinstance(value, types.CodeType):
        return _text_of_code(value)
    if isinstance(value, frozenset):
        return f"frozenset{sorted(_constant(one) for one in cast('Any', value))}"
    if isinstance(value, tuple):
        return f"({', '.join(_constant(one) for one in cast('Any', value))})"
    return f"{type(value).__name__} {value!r}"


def _digest(*texts: str) -> str:
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:_DIGITS]
