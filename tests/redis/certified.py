"""A server that speaks TLS, with a certificate of a throw-away authority."""

from pathlib import Path

import trustme
from tests.redis.servers import Server, free_port


def encrypted_server(folder: Path, authority: trustme.CA, certificate: trustme.LeafCert) -> Server:
    """One that is not started yet; its authority's certificate is `ca` in the folder."""
    certificate.private_key_pem.write_to_path(folder / "key")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert")
    authority.cert_pem.write_to_path(folder / "ca")
    return Server(
        folder / "server",
        tls_port=str(free_port()),
        tls_cert_file=str(folder / "cert"),
        tls_key_file=str(folder / "key"),
        tls_ca_cert_file=str(folder / "ca"),
        tls_auth_clients="no",
    )


def secure_url(server: Server, host: str = "127.0.0.1") -> str:
    """Where to reach it, encrypted."""
    return f"rediss://{host}:{server.options['tls-port']}/0"
