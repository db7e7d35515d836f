"""`register_type`: which classes untyped reads may bring back, by name.

Nothing named in stored bytes is ever imported or looked up anywhere but here, so whoever can write
to a store chooses among the classes that the program itself allowed.
"""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar, overload

import attrs

from jinpy_cache_core.exceptions import CacheConfigurationError
from jinpy_cache_core.forks import call_in_children
from jinpy_cache_core.serializers.extensions import ENCODERS
from jinpy_cache_core.serializers.families.libraries import library_plan
from jinpy_cache_core.serializers.families.plan import ModelPlan
from jinpy_cache_core.serializers.plans import CustomPlan, Plan, derive_plan, qualified_name
from jinpy_cache_core.serializers.refusal import Refusal, type_name
from jinpy_cache_core.serializers.scalars import SCALARS, late_scalar
from jinpy_cache_core.serializers.standard_library import SHAPES

T = TypeVar("T")
K = TypeVar("K")
Class = TypeVar("Class", bound=type)

_DERIVED_LIMIT: Final = 1024
"""How many classes a process remembers the shape of, so that classes made on the fly can go."""

_BUILT_IN: Final = frozenset(
    (
        *(type(None), bool, int, float, str, bytes, list, dict, tuple, set, frozenset),
        *(*ENCODERS, *SCALARS, *SHAPES),
    )
)


@attrs.frozen
class Family:
    """How a class and all that extend it are stored; `None` for as their own shape implies."""

    encode: Callable[[Any], object] | None = None
    decode: Callable[[Any, Any], object] | None = None


class TypeRegistry:
    """Classes by name and by type; reads take no lock, as a change replaces the maps whole."""

    def __init__(self) -> None:
        self._renew_locks()
        call_in_children(self._renew_locks)
        self._by_type: dict[type, Plan] = {}
        self._by_name: dict[str, Plan] = {}
        self._derived: dict[type, Plan] = {}
        self._families: dict[type, Family] = {}

    def _renew_locks(self) -> None:
        self._lock = threading.RLock()

    def register(self, plan: Plan, *, replace: bool = False) -> None:
        """Allow a class.

        Args:
            plan: How to take it apart and put it together.
            replace: Whether it may take the place of another class of the same name.

        Raises:
            CacheConfigurationError: The name belongs to another class, or the class to another
                name.
        """
        with self._lock:
            holder = self._by_name.get(plan.name)
            if holder is not None and holder.kind is not plan.kind and not replace:
                message = (
                    f"The name {plan.name!r} is already registered for another class, "
                    f"{type_name(holder.kind)}. Pass name='...' to tell them apart, or "
                    "replace=True if the class was defined anew."
                )
                raise CacheConfigurationError(message)
            present = self._by_type.get(plan.kind)
            if present is not None and present != plan and not replace:
                message = (
                    f"{type_name(plan.kind)} is already registered, as {present.name!r} and with "
                    "other functions or another name. Register it once, or pass replace=True."
                )
                raise CacheConfigurationError(message)
            by_type = {**_without(holder, self._by_type), plan.kind: plan}
            by_name = {**_without(present, self._by_name), plan.name: plan}
            self._by_type, self._by_name = by_type, by_name

    def unregister(self, kind: type) -> None:
        """Forget a class; one that is not registered is no error."""
        with self._lock:
            plan = self._by_type.get(kind)
            by_type, by_name = _without(plan, self._by_type), _without(plan, self._by_name)
            self._by_type, self._by_name = by_type, by_name

    def is_registered(self, kind: type) -> bool:
        """Whether a class was allowed, under whatever name."""
        return kind in self._by_type

    def register_family(self, base: type, family: Family, *, replace: bool = False) -> None:
        """Allow a class and all that extend it.

        Raises:
            CacheConfigurationError: It is registered already, with other functions.
        """
        with self._lock:
            if self._families.get(base, family) != family and not replace:
                message = (
                    f"The family of {type_name(base)} is already registered with other functions. "
                    "Register it once, or pass replace=True."
                )
                raise CacheConfigurationError(message)
            self._families = {**self._families, base: family}
            self._derived = {}

    def named(self, name: str) -> Plan | None:
        """The class of this name, if it is registered, or extends a registered family."""
        plan = self._by_name.get(name)
        if plan is None and self._families:
            kind = _member_named(name, self._families)
            return None if kind is None else self.plan_for(kind)
        return plan

    def model(self, kind: type) -> ModelPlan | None:
        """How to store a model of another library; `None` for any other class."""
        try:
            plan = self.plan_for(kind)
        except Refusal:
            return None
        return plan if isinstance(plan, ModelPlan) else None

    def plan_for(self, kind: type) -> Plan | None:
        """How to store a class: as registered, else as its own shape implies.

        Raises:
            Refusal: It is an attrs class or dataclass that holds more than its fields.
        """
        plan = self._by_type.get(kind) or self._derived.get(kind)
        if plan is None:
            plan = self.shape_of(kind, qualified_name(kind))
            if plan is not None:
                if len(self._derived) >= _DERIVED_LIMIT:
                    self._derived = {}
                self._derived[kind] = plan
        return plan

    def shape_of(self, kind: type, name: str) -> Plan | None:
        """How to store a class that is not registered itself.

        Raises:
            Refusal: It is an attrs class or dataclass that holds more than its fields.
        """
        for base in kind.__mro__ if self._families else ():
            family = self._families.get(base)
            if family is not None and family.encode is not None and family.decode is not None:
                return CustomPlan(kind, name, family.encode, partial(family.decode, kind))
        return derive_plan(kind, name) or library_plan(kind, name)


def _member_named(name: str, bases: Iterable[type]) -> type | None:
    """The class of this name among some classes and all that extend them; the newest of several."""
    todo = list(bases)
    found: type | None = None
    seen: set[type] = set()
    for kind in todo:
        if kind not in seen:
            seen.add(kind)
            todo += type.__subclasses__(kind)
            found = kind if qualified_name(kind) == name else found
    return found


def _without(plan: Plan | None, plans: dict[K, Plan]) -> dict[K, Plan]:
    return {key: other for key, other in plans.items() if other is not plan}


TYPES: Final = TypeRegistry()
"""The registry of this process."""


@overload
def register_type(kind: Class, /, *, name: str | None = None, replace: bool = False) -> Class: ...
@overload
def register_type(
    kind: type[T],
    /,
    *,
    encode: Callable[[T], object],
    decode: Callable[[Any], T],
    name: str | None = None,
    replace: bool = False,
) -> type[T]: ...
@overload
def register_type(
    *, name: str | None = None, replace: bool = False
) -> Callable[[Class], Class]: ...
def register_type(
    kind: type | None = None,
    /,
    *,
    encode: Callable[[Any], object] | None = None,
    decode: Callable[[Any], object] | None = None,
    name: str | None = None,
    replace: bool = False,
) -> object:
    """Allow a class to come back from a cache without `type=`, and teach how, if need be.

    attrs classes, dataclasses, enums and named tuples need nothing more; any other class needs
    `encode` and `decode`. Also a decorator, with or without arguments. Process-wide and
    thread-safe; do it where the class is defined, so that every process that reads it has done it.

    Args:
        kind: The class itself; its subclasses are registered on their own.
        encode: From an instance to any storable value, such as a tuple.
        decode: From that value to an equal instance.
        name: What to call it in stored bytes, by default its module and qualified name. Give the
            old name after moving or renaming a class, so that stored entries stay readable.
        replace: Take the place of an earlier registration, as a re-run notebook cell does.

    Returns:
        The class, or a decorator if none was given.

    Raises:
        CacheConfigurationError: The name or the class is taken, `encode` and `decode` do not come
            together, or are missing for a class that needs them.
    """
    if kind is None:
        return partial(_register, encode=encode, decode=decode, name=name, replace=replace)
    return _register(kind, encode, decode, name, replace=replace)


@overload
def register_family(base: Class, /, *, replace: bool = False) -> Class: ...
@overload
def register_family(
    base: type[T],
    encode: Callable[[T], object],
    decode: Callable[[type[T], Any], T],
    *,
    replace: bool = False,
) -> type[T]: ...
def register_family(
    base: Any,
    encode: Callable[[Any], object] | None = None,
    decode: Callable[[Any, Any], object] | None = None,
    *,
    replace: bool = False,
) -> object:
    """Allow a class and every class that extends it to come back without `type=`.

    Process-wide and thread-safe. A class of the family is found by its name when a value of it is
    read, so its module must be imported by then; classes of one name are told apart by
    `register_type(T, name=...)`.

    Args:
        base: The class that all extend.
        encode: From an instance to any storable value; by default as the class itself implies,
            for attrs classes, dataclasses, named tuples, Pydantic models and msgspec Structs.
        decode: From the class of the instance and that value to an equal instance.
        replace: Take the place of an earlier registration.

    Returns:
        The class.

    Raises:
        CacheConfigurationError: The family is registered with other functions, or `encode` and
            `decode` do not come together.
    """
    if not isinstance(base, type):
        message = f"register_family takes a class, not {base!r:.80}."
        raise CacheConfigurationError(message)
    if base in _BUILT_IN or base is object:
        message = f"register_family takes a class of yours, not {type_name(base)}."
        raise CacheConfigurationError(message)
    if (encode is None) != (decode is None):
        given = "encode" if decode is None else "decode"
        message = f"register_family({type_name(base)}) got only {given}=; it takes both or neither."
        raise CacheConfigurationError(message)
    TYPES.register_family(base, Family(encode, decode), replace=replace)
    return base


def _register(
    kind: Any,
    encode: Callable[[Any], object] | None,
    decode: Callable[[Any], object] | None,
    name: str | None,
    *,
    replace: bool,
) -> type:
    if not isinstance(kind, type):
        message = f"register_type takes a class, not {kind!r:.80}."
        raise CacheConfigurationError(message)
    if kind in _BUILT_IN or late_scalar(kind) is not None:
        message = f"{type_name(kind)} always comes back as it was; there is nothing to register."
        raise CacheConfigurationError(message)
    if (encode is None) != (decode is None):
        given = "encode" if decode is None else "decode"
        message = f"register_type({type_name(kind)}) got only {given}=; it takes both or neither."
        raise CacheConfigurationError(message)
    TYPES.register(_plan(kind, encode, decode, name), replace=replace)
    return kind


def _plan(
    kind: Any,
    encode: Callable[[Any], object] | None,
    decode: Callable[[Any], object] | None,
    name: str | None,
) -> Plan:
    if encode is not None and decode is not None:
        return CustomPlan(kind, name or qualified_name(kind), encode, decode)
    try:
        plan = TYPES.shape_of(kind, name or qualified_name(kind))
    except Refusal as refusal:
        message = f"register_type: {refusal.what}. {refusal.way_out}"
        raise CacheConfigurationError(message) from None
    if plan is None:
        message = (
            f"{type_name(kind)} is no attrs class, dataclass, enum or named tuple, so how to store "
            "it must be said: register_type(T, encode=..., decode=...)."
        )
        raise CacheConfigurationError(message)
    return plan
