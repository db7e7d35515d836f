"""A credential that cannot be printed by accident."""

from typing import NoReturn


def is_encodable(text: str) -> bool:
    """Whether a text has a form in UTF-8; told without an error, which would carry the text."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


class Secret:
    """Text or bytes that never appear in a repr, message, log, dict or pickle.

    Equal secrets compare equal; `reveal` and `reveal_bytes` are the only ways to the content.
    """

    __slots__ = ("_content",)

    def __init__(self, content: "str | bytes | Secret") -> None:
        if isinstance(content, Secret):
            content = content._content
        if not isinstance(content, (str, bytes)) or not content:
            message = f"A secret is a non-empty str or bytes, not {type(content).__name__}."
            raise TypeError(message)
        if isinstance(content, str) and not is_encodable(content):
            message = (  # an encoder's own error would carry the secret
                "A secret that holds half of a surrogate pair has no bytes: it was probably read "
                "from bytes that are not UTF-8. Give it as bytes."
            )
            raise TypeError(message)
        self._content: str | bytes = content

    def reveal(self) -> str:
        """The content as text."""
        return self._content if isinstance(self._content, str) else self._content.decode()

    def reveal_bytes(self) -> bytes:
        """The content as bytes, text encoded as UTF-8."""
        return self._content if isinstance(self._content, bytes) else self._content.encode()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self.reveal_bytes() == other.reveal_bytes()

    def __hash__(self) -> int:
        return hash((Secret, self.reveal_bytes()))

    def __reduce__(self) -> NoReturn:
        message = "A secret is not pickled: configure it anew in the other process."
        raise TypeError(message)
