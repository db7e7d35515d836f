"""What sentences about types have in common."""


def with_article(name: str) -> str:
    """A type's name as a sentence needs it: `"an int"`, `"a str"`."""
    return f"{'an' if name[0] in 'aeiouAEIO' else 'a'} {name}"
