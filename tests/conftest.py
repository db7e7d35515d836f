"""What all tests share: how much patience property-based tests have with a busy machine."""

from contextlib import suppress

with suppress(ImportError):  # the environment that tests the wheels has no Hypothesis
    from hypothesis import settings

    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
