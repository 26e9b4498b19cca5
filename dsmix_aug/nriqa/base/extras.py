"""The extras: which packages a part of the pipeline needs in addition to the library's own."""

from __future__ import annotations

from importlib.util import find_spec


def require(extra: str, *modules: str) -> None:
    """Refuse to go on without the packages of an extra, and say how they are installed.

    Args:
        extra: Name of the extra.
        modules: What it brings that is needed here, by import name.

    Raises:
        ImportError: If one cannot be imported.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ImportError(f"this needs {', '.join(missing)}: pip install 'dsmix-aug[{extra}]'")
