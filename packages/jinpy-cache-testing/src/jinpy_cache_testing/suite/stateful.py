"""The contract as a whole: whatever the sequence of operations, a cache behaves like a dict."""

from contextlib import ExitStack
from typing import Any, ClassVar, cast
from uuid import uuid4

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import (
    run_state_machine_as_test,  # pyright: ignore[reportUnknownVariableType]
)

from jinpy_cache_core.serializers import SerializerSpec
from jinpy_cache_testing.clock import FakeClock
from jinpy_cache_testing.harness import Harness, once
from jinpy_cache_testing.samples import required, sample
from jinpy_cache_testing.stateful import CacheMachine, Stage


class StatefulSuite(Harness):
    """Random sequences of operations."""

    examples: ClassVar[int | None] = None
    """How many sequences; by default half as many as the active Hypothesis profile has examples."""

    @once
    def test_any_sequence_of_operations_is_that_of_a_dict(
        self, serializer: SerializerSpec, settings: dict[str, Any]
    ) -> None:
        """A backend and a dict with deadlines answer alike, through both halves, as time passes."""

        def open_stage(stack: ExitStack, default_ttl: float | None) -> Stage:
            clock = FakeClock()
            changes = {**settings, "namespace": f"contract-{uuid4().hex}"}
            backend = self.make_backend(clock, **changes, default_ttl=default_ttl)
            stack.callback(self._end, backend)
            return Stage(
                halves=[
                    stack.enter_context(self.in_half("sync", backend)),
                    stack.enter_context(self.in_half("async", backend)),
                ],
                wait=lambda seconds: self.advance(backend, clock, seconds),
                values=_values(serializer),
                seconds=self.seconds,
            )

        unit = 1.0 if self.exact_clock else 60.0
        active: Any = hypothesis_settings()
        run_state_machine_as_test(
            cast("type[CacheMachine]", lambda: CacheMachine(open_stage, unit)),
            settings=hypothesis_settings(
                active,
                max_examples=self.examples or max(1, active.max_examples // 2),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )


def _values(serializer: SerializerSpec) -> list[Any]:
    """Ten values to store: counters, what looks like one, and ordinary ones."""
    samples = [sample(serializer, number) for number in range(4)]
    exact = required(serializer)
    tricky = [
        exact[name] for name in ("zero", "int64 max", "digits", "None", "True") if name in exact
    ]
    return [*samples, *tricky, *([7] if "zero" in exact else [])]
