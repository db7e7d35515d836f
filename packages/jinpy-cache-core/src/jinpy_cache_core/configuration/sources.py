"""Where a backend's configuration comes from: an object, plain data or a URL."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from jinpy_cache_core.config import BaseCacheBackendConfig
from jinpy_cache_core.configuration.registry import (
    backend_class,
    backend_class_for_scheme,
    backend_names,
)
from jinpy_cache_core.exceptions import CacheConfigurationError, CacheException
from jinpy_cache_core.settings.structuring import Problems, structure_fields
from jinpy_cache_core.settings.urls import query_of, split_url, without_credentials

BackendSource: TypeAlias = BaseCacheBackendConfig | str | Mapping[str, Any]
"""A configuration, the URL of one, or its fields as plain data with a `backend_type`."""


def backend_config(source: BackendSource, *, name: str | None = None) -> BaseCacheBackendConfig:
    """The configuration that a source describes.

    Args:
        source: A configuration, a URL or plain data.
        name: The backend's name where the source gives none.

    Raises:
        CacheConfigurationError: Something is wrong with it; every problem is listed.
    """
    problems = Problems()
    config = read_backend(source, name=name, path="", text=False, problems=problems)
    problems.raise_if_any("The backend's configuration")
    if config is None:  # pragma: no cover - no configuration without a problem
        message = "The backend's configuration cannot be read."
        raise CacheConfigurationError(message)
    return config


def read_backend(
    source: object, *, name: str | None, path: str, text: bool, problems: Problems
) -> BaseCacheBackendConfig | None:
    """Like `backend_config`, noting problems under a path instead of raising."""
    if isinstance(source, BaseCacheBackendConfig):
        return source
    if isinstance(source, str):
        return _from_url(source, name=name, path=path, problems=problems)
    if isinstance(source, Mapping):
        fields = cast("Mapping[str, Any]", source)
        return _from_fields(fields, name=name, path=path, text=text, problems=problems)
    kind = type(source).__name__  # what was given may hold a password, so it is not repeated
    problems.add(path, f"a backend is a configuration, a URL or a table, not {kind}.")
    return None


def _from_fields(
    fields: Mapping[str, Any], *, name: str | None, path: str, text: bool, problems: Problems
) -> BaseCacheBackendConfig | None:
    if "url" in fields and "backend_type" not in fields and isinstance(fields["url"], str):
        config_class = _config_class_of_url(fields["url"], path=f"{path}.url", problems=problems)
    else:
        config_class = _config_class_of_type(fields, path, problems)
    if config_class is None:
        return None
    named = {"name": name, **fields} if name is not None else dict(fields)
    return _built(config_class, named, path=path, text=text, problems=problems)


def _from_url(
    url: str, *, name: str | None, path: str, problems: Problems
) -> BaseCacheBackendConfig | None:
    config_class = _config_class_of_url(url, path=path, problems=problems)
    if config_class is None:
        return None
    found = Problems()  # of this URL alone: whatever they say, its password is taken out
    fields: dict[str, Any] = {} if name is None else {"name": name}
    config: BaseCacheBackendConfig | None = None
    try:
        parts = split_url(url)
        fields |= config_class.url_fields(parts) | query_of(parts)
        config = _built(config_class, fields, path=path, text=True, problems=found)
    except CacheException as error:
        found.add(path, error.message)
    for sentence in found.sentences:
        problems.sentences.append(without_credentials(sentence, url))
    return config


def _built(
    config_class: type[BaseCacheBackendConfig],
    fields: Mapping[str, Any],
    *,
    path: str,
    text: bool,
    problems: Problems,
) -> BaseCacheBackendConfig | None:
    before = len(problems.sentences)
    arguments = structure_fields(
        config_class, fields, problems=problems, path=path, text=text, ignored=("backend_type",)
    )
    if len(problems.sentences) > before:
        return None
    try:
        return config_class(**arguments)
    except CacheException as error:
        problems.add(path, error.message)
        return None


def _config_class_of_type(
    fields: Mapping[str, Any], path: str, problems: Problems
) -> type[BaseCacheBackendConfig] | None:
    where = f"{path}.backend_type" if path else "backend_type"
    backend_type = fields.get("backend_type")
    if not isinstance(backend_type, str):
        kind = type(backend_type).__name__
        problem = "is missing" if backend_type is None else f"is of type {kind}, not a str"
        near = difflib.get_close_matches("backend_type", map(str, fields), n=1, cutoff=0.5)
        if backend_type is None and near:
            problem += f" (is {near[0]!r} meant to be it?)"
        problems.add(where, f"{problem}; installed are {', '.join(backend_names()) or 'none'}.")
        return None
    try:
        return backend_class(backend_type).config_class
    except CacheException as error:
        problems.add(where, error.message)
        return None


def _config_class_of_url(
    url: str, *, path: str, problems: Problems
) -> type[BaseCacheBackendConfig] | None:
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        # The text is not repeated: a URL that is merely misspelt may hold a password.
        problems.add(
            path,
            "is no URL: write <backend>://..., such as memory://?max_entries=1000, "
            "file:///var/cache/app or redis://localhost:6379/0.",
        )
        return None
    try:
        return backend_class_for_scheme(scheme.lower()).config_class
    except CacheException as error:
        problems.add(path, error.message)
        return None
