"""Names of files that others made, shown on a terminal."""

from __future__ import annotations


def printable(name: object) -> str:
    r"""Return a name with everything that a terminal would not show, or would obey, written out.

    Example:
        >>> from dsmix_aug.nriqa.base.names import printable
        >>> printable("a\x1b[2Jb.png")
        'a\\x1b[2Jb.png'
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(name))
