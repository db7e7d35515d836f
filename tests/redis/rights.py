"""The rights that the documentation names, and a user who has just those."""

from pathlib import Path

from tests.redis.servers import Server

PAGE = Path(__file__).parents[2] / "docs" / "backends" / "redis.md"

USER = {"username": "app", "password": "right"}
"""The settings of who is that user."""


def documented(*places: str) -> list[str]:
    """The rights that the page's table names for places that begin so."""
    rights: list[str] = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        place, _, listed = line.strip("| ").partition(" | ")
        if listed.startswith("`+") and place.startswith(places):
            rights += listed.strip("`").replace("\\|", "|").split()
    assert rights, places
    return rights


def admit(server: Server, *places: str) -> None:
    """Let the user in, with these rights and no others."""
    command = ["ACL", "SETUSER", "app", "reset", "on", ">right", "~*", "-@all"]
    server.ask(*command, *documented(*places))
