"""From values to the bytes that a store holds, and back."""

from jinpy_cache_core.codec.codec import Codec

__all__ = ["Codec"]
