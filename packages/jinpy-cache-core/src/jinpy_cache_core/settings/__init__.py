"""What configuration classes are made of: checks of single settings, and structuring of data."""

from jinpy_cache_core.secret import is_encodable
from jinpy_cache_core.settings.structuring import Problems, structure_fields
from jinpy_cache_core.settings.urls import query_of, split_url
from jinpy_cache_core.settings.validation import (
    Validator,
    duration,
    one_of,
    optional_namespace,
    switch,
    to_secret,
    to_secrets,
    whole_number,
)

__all__ = [
    "Problems",
    "Validator",
    "duration",
    "is_encodable",
    "one_of",
    "optional_namespace",
    "query_of",
    "split_url",
    "structure_fields",
    "switch",
    "to_secret",
    "to_secrets",
    "whole_number",
]
