"""One TLS context for all connections of a configuration.

Making one reads the system's certificates, which takes some ten milliseconds: too long to do on an
event loop for each connection. And a file that cannot be used is told when the cache is made, not
when it is first needed.
"""

import ssl
from pathlib import Path

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_redis.config import RedisCacheConfig


def tls_context(config: RedisCacheConfig) -> ssl.SSLContext:
    """The context: at least TLS 1.2, certificate and host name verified unless told otherwise.

    Raises:
        CacheConfigurationError: One of the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    verify = not config.ssl_insecure_skip_verify
    context.check_hostname = verify and config.ssl_check_hostname
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    _trust(context, config)
    if config.ssl_certfile is not None:
        _identify(context, config, config.ssl_certfile)
    return context


def _trust(context: ssl.SSLContext, config: RedisCacheConfig) -> None:
    file, folder = config.ssl_ca_certs, config.ssl_ca_path
    if file is None and folder is None:
        context.load_default_certs()
        return
    if file is not None:
        _readable("ssl_ca_certs", file)
        try:
            context.load_verify_locations(file)
        except ssl.SSLError as error:
            message = (
                f"ssl_ca_certs={str(file)!r} holds no certificate that can be read "
                f"({_said(error)}). Give a file of certificates in PEM form."
            )
            raise CacheConfigurationError(message) from error
    if folder is not None:
        if not folder.is_dir():
            message = f"ssl_ca_path={str(folder)!r} is no directory that can be read."
            raise CacheConfigurationError(message)
        context.load_verify_locations(capath=folder)


def _identify(context: ssl.SSLContext, config: RedisCacheConfig, certificate: Path) -> None:
    """Load this client's certificate and key."""
    key, password = config.ssl_keyfile, config.ssl_keyfile_password
    _readable("ssl_certfile", certificate)
    if key is not None:
        _readable("ssl_keyfile", key)
    asked: list[bool] = []

    def give_password() -> bytes:  # without one OpenSSL would ask at the terminal
        asked.append(True)
        return b"" if password is None else password.reveal_bytes()

    try:
        context.load_cert_chain(certificate, key, give_password)
    except (ssl.SSLError, ValueError) as error:
        place = f"ssl_keyfile={str(key or certificate)!r}"
        if asked and password is None:
            message = f"{place} is encrypted: give ssl_keyfile_password."
        elif asked:
            message = f"{place} cannot be decrypted: ssl_keyfile_password is wrong."
        elif "MISMATCH" in _said(error):
            message = f"{place} is not the key of ssl_certfile={str(certificate)!r}."
        else:
            message = (
                f"ssl_certfile={str(certificate)!r} with {place} cannot be used "
                f"({_said(error)}). Both must be in PEM form."
            )
        raise CacheConfigurationError(message) from error


def _readable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as error:
        message = f"{name}={str(file)!r} cannot be read: {error.strerror}."
        raise CacheConfigurationError(message) from error


def _said(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
