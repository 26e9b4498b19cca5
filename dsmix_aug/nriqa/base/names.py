"""Names of files that others made: shown on a terminal, and used in names of our own files."""

from __future__ import annotations

#: File systems take 255 bytes; the rest is for a number, a suffix and what marks a temporary file.
LONGEST_NAME = 150


def printable(name: object) -> str:
    r"""Return a name with everything that a terminal would not show, or would obey, written out.

    Example:
        >>> from dsmix_aug.nriqa.base.names import printable
        >>> printable("a\x1b[2Jb.png")
        'a\\x1b[2Jb.png'
    """
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in str(name))


def safe_file_name(name: str) -> str:
    """Return a name that any file system takes: letters, digits and ``._-`` kept, the rest ``_``, not too long.

    Example:
        >>> from dsmix_aug.nriqa.base.names import safe_file_name
        >>> safe_file_name("a photo: 写真?")
        'a_photo__写真_'
    """
    kept = "".join(character if character.isalnum() or character in "._-" else "_" for character in name)
    return kept.encode()[:LONGEST_NAME].decode(errors="ignore")
