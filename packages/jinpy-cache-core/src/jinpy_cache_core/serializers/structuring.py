"""Reading as a type: `get(key, type=T)` gives a T, or says what else was stored.

Nothing is coerced: `"12"` is not an int, and neither is True. The only conversions are those that
storage itself makes necessary: an instance's stored fields become the instance, and plain data as
JSON holds it (a dict, a member's value) becomes an attrs class, a dataclass or an enum.
"""

from collections.abc import Callable
from enum import Enum
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeAlias, cast, get_args

import cattrs

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError
from jinpy_cache_core.serializers.annotations import (
    init_arguments,
    is_annotated,
    is_class,
    is_enum,
    is_iterable,
    is_leaf,
    is_literal,
    is_mapping,
    is_open,
    is_record,
    is_tuple,
    is_typed_dict,
    is_union,
    origin_of,
    shown_type,
)
from jinpy_cache_core.serializers.containers import (
    Hook,
    HookFor,
    check_names,
    hooks_of,
    iterable_hook,
    leaf_hook,
    mapping_hook,
    mismatch,
    parts,
    tuple_hook,
    typed_dict_hook,
)
from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_core.serializers.families.plan import ModelPlan
from jinpy_cache_core.serializers.plans import EnumPlan, NamedTuplePlan, Plan, RecordPlan
from jinpy_cache_core.serializers.reading import Unresolved, made, resolved
from jinpy_cache_core.serializers.refusal import Refusal
from jinpy_cache_core.serializers.registry import TYPES, TypeRegistry

_FIELDED: Final = (RecordPlan, NamedTuplePlan)
"""Plans whose content is a dict of fields, each with an annotation."""

Hooks: TypeAlias = dict[str, tuple[Hook, Any]]

_COERCED: Final = (str, bytes, int, float, Path, Enum)
"""What cattrs turns anything into, subclasses included, before it asks any predicate; which of them
it does depends on its release."""


class Structurer:
    """Checks values against types, and builds instances whose classes only the reader names.

    Args:
        registry: Who knows classes that an annotation leaves open.
        unresolved: Whether values may hold `Unresolved`; looking for them takes a walk.
    """

    def __init__(self, registry: TypeRegistry, *, unresolved: bool) -> None:
        self._registry = registry
        self._resolved = partial(resolved, registry) if unresolved else _unchanged
        self._converter = cattrs.Converter(detailed_validation=False)
        hook_for = self._hook_for
        hooks: tuple[tuple[Callable[[Any], bool], HookFor], ...] = (
            (is_class, self._class_hook),
            (is_open, lambda _wanted: self._open),
            (is_mapping, partial(mapping_hook, hook_for)),
            (is_iterable, partial(iterable_hook, hook_for)),
            (is_tuple, partial(tuple_hook, hook_for)),
            (is_typed_dict, partial(typed_dict_hook, hook_for)),
            (is_record, self._record_hook),
            (is_enum, self._enum_hook),
            (is_literal, self._literal_hook),
            (is_union, self._union_hook),
        )
        for predicate, factory in hooks:
            self._converter.register_structure_hook_factory(predicate, factory)
        for kind in _COERCED:
            self._converter.register_structure_hook(kind, self._uncoerced)

    def structure(self, value: object, kind: Any) -> Any:
        """The value as a type.

        Args:
            value: What a serializer read.
            kind: A class or any annotation.

        Raises:
            CacheSerializationError: The value is something else; the message names both.
        """
        try:
            return self._hook_for(kind)(value, kind)
        except Refusal as refusal:
            problem = f"it is {refusal} {refusal.way_out}"
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            message = (
                f"The stored value does not fit type={shown_type(kind)}: "
                f"{type(error).__name__}: {error}."
            )
            raise CacheSerializationError(message) from error
        message = (
            f"The stored value does not fit type={shown_type(kind)}: {problem}. Nothing is "
            "coerced; read it without type=, or overwrite the key."
        )
        raise CacheSerializationError(message) from None

    def _hook_for(self, wanted: Any) -> Hook:
        if is_leaf(wanted):
            return leaf_hook(wanted)
        if is_annotated(wanted):
            bare = get_args(wanted)[0]
            inner = self._hook_for(bare)
            return lambda value, _: inner(value, bare)
        hook: Hook = self._converter.get_structure_hook(wanted)
        return hook

    def _field_hook(self, wanted: Any) -> Hook:
        """Same as `_hook_for`; what no hook understands leaves the field open."""
        try:
            return self._hook_for(wanted)
        except cattrs.StructureHandlerNotFoundError:
            return self._open

    def _open(self, value: Any, _: Any) -> Any:
        return self._resolved(value)

    def _known(self, value: object) -> object:
        """The value, as an instance if its class is registered; else it stays `Unresolved`."""
        if isinstance(value, Unresolved) and self._registry.named(value.name) is None:
            return value
        return self._resolved(value)

    def _class_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)
        hooks = cache(partial(self._model_hooks, wanted, origin))

        def instance(value: Any, _: Any) -> Any:
            if isinstance(value, Unresolved):
                value = self._member_of(value, origin, hooks)
            elif type(value) is dict and origin is not dict:
                value = self._validated(value, wanted, origin)  # pyright: ignore[reportUnknownArgumentType]
            value = self._known(cast("object", value))
            if not isinstance(value, origin):
                raise mismatch(value, wanted)
            return value

        return instance

    def _plan(self, kind: type) -> Plan | None:
        try:
            return self._registry.plan_for(kind)
        except Refusal:
            return None

    def _model_hooks(self, wanted: Any, origin: type) -> Hooks:
        plan = self._plan(origin)
        if not isinstance(plan, ModelPlan):
            return {}
        check = plan.check
        return {
            name: (self._model_hook(annotation, check), annotation)
            for name, annotation in plan.types(wanted).items()
        }

    def _model_hook(self, annotation: Any, check: Callable[[Any, Any], None]) -> Hook:
        """Takes what the annotation says as a type, or as the model's library reads it."""
        hook = self._field_hook(annotation)

        def field(value: Any, wanted: Any) -> Any:
            try:
                return hook(value, wanted)
            except Refusal:
                if not _passes(check, annotation, value):
                    raise
                return value

        return field

    def _member_of(self, stored: Unresolved, origin: type, hooks: Callable[[], Hooks]) -> object:
        """The instance that was stored, if it is of exactly this class."""
        plan = self._plan(origin)
        if plan is None or stored.tag != plan.tag or stored.name != plan.name:
            return stored
        if isinstance(plan, ModelPlan):
            return plan.together(parts(stored.content, hooks(), self._open))
        if plan.tag == Tag.CUSTOM:
            return made(plan, self._open(stored.content, Any))
        return stored

    def _validated(self, value: dict[Any, Any], wanted: Any, origin: type) -> object:
        """A model from plain data, as JSON holds it."""
        plan = self._plan(origin)
        return plan.validated(wanted, value) if isinstance(plan, ModelPlan) else value

    def _uncoerced(self, value: Any, wanted: Any) -> Any:
        if is_enum(wanted):
            return self._member(wanted, value)
        return self._class_hook(wanted)(value, wanted)

    def _literal_hook(self, wanted: Any) -> Hook:
        allowed = get_args(wanted)

        def literal(value: Any, _: Any) -> Any:
            for choice in allowed:
                if isinstance(choice, Enum):
                    try:
                        return self._one_of(type(choice), value, choice)
                    except Refusal:
                        continue
                if type(choice) is type(value) and choice == value:
                    return value
            raise mismatch(value, wanted)

        return literal

    def _one_of(self, kind: type[Enum], value: object, choice: Enum) -> Enum:
        member = self._member(kind, value)
        if member is not choice:
            raise mismatch(value, choice)
        return member

    def _union_hook(self, wanted: Any) -> Hook:
        # What is taken as it is comes before what plain data would be turned into.
        members = sorted(get_args(wanted), key=lambda member: is_record(member) or is_enum(member))
        some = [member for member in members if member is not type(None)]
        if len(some) == 1:
            only = some[0]

            def optional(value: Any, _: Any) -> Any:
                return None if value is None else self._hook_for(only)(value, only)

            return optional

        def union(value: Any, _: Any) -> Any:
            for member in members:
                try:
                    return self._hook_for(member)(value, member)
                except Refusal:
                    continue
            raise mismatch(value, wanted)

        return union

    def _enum_hook(self, wanted: Any) -> Hook:
        return lambda value, _: self._member(wanted, value)

    def _member(self, kind: type[Enum], value: Any) -> Enum:
        if isinstance(value, kind):
            return value
        plan = self._registry.plan_for(kind)
        if isinstance(value, Unresolved):
            if isinstance(plan, EnumPlan) and value.tag == Tag.ENUM and value.name == plan.name:
                return plan.together(value.content)
            value = self._known(value)
            if isinstance(value, kind):
                return value
            raise mismatch(value, kind)
        for member in kind:
            if type(member.value) is type(value) and member.value == value:
                return member
        raise mismatch(value, kind)

    def _record_hook(self, wanted: Any) -> Hook:
        origin = origin_of(wanted)
        # Only once a value is read is every class defined that an annotation may name.
        hooks = cache(partial(hooks_of, self._field_hook, wanted))
        arguments = cache(partial(init_arguments, origin))

        def record(value: Any, _: Any) -> Any:
            if isinstance(value, origin):
                return value
            if isinstance(value, Unresolved):
                return self._restored(value, wanted, origin, hooks)
            if type(value) is dict:
                return self._made(value, wanted, arguments(), hooks())  # pyright: ignore[reportUnknownArgumentType]
            raise mismatch(value, wanted)

        return record

    def _made(
        self,
        stored: dict[Any, Any],
        wanted: Any,
        arguments: dict[str, tuple[str, bool]],
        hooks: Hooks,
    ) -> object:
        """A new instance from plain data, through its `__init__`."""
        required = (name for name, (_, needed) in arguments.items() if needed)
        check_names(stored, arguments, required, wanted)
        content = parts(stored, hooks, self._open)
        return origin_of(wanted)(**{arguments[name][0]: item for name, item in content.items()})

    def _restored(
        self,
        stored: Unresolved,
        wanted: Any,
        origin: type,
        hooks: Callable[[], Hooks],
    ) -> object:
        """The instance that was stored, without its `__init__`."""
        plan = self._registry.plan_for(origin)
        if isinstance(plan, _FIELDED) and stored.tag == plan.tag and stored.name == plan.name:
            return plan.together(parts(stored.content, hooks(), self._open))
        value = self._known(stored)
        if isinstance(value, origin):
            return value
        raise mismatch(stored, wanted)


def _passes(check: Callable[[Any, Any], None], annotation: Any, value: Any) -> bool:
    try:
        check(annotation, value)
    except Exception:  # noqa: BLE001 - libraries and validators raise anything, and it means no
        return False
    return True


def _unchanged(value: Any) -> Any:
    return value


@lru_cache(maxsize=16)
def structurer(registry: TypeRegistry, *, unresolved: bool) -> Structurer:
    """The structurer for a registry, made when somebody first reads by type."""
    return Structurer(registry, unresolved=unresolved)


def structure_as(value: object, kind: Any) -> Any:
    """A value that is already an object, as a type: what typed reads of an in-process cache do.

    Args:
        value: Any value.
        kind: A class or any annotation, such as `list[User] | None`.

    Raises:
        CacheSerializationError: The value is of another type; nothing is coerced.
    """
    return structurer(TYPES, unresolved=False).structure(value, kind)
