"""The rooms of the package, and the arrows between them: what may import what."""

import ast
from pathlib import Path

import pytest

import dsmix_aug

ROOT = Path(dsmix_aug.__file__).parent
#: From the ground floor up. A room imports only rooms that stand before it.
LIBRARY = (
    "_old_paths", "_progress", "_resize", "_worker_processes", "_tensors", "_checks", "_generator", "_files", "photos",
    "weights", "distortions", "maps", "mixing",
)  # fmt: skip
#: Within the pipeline the same; any of its rooms may use the whole library.
PIPELINE = (
    "base", "datasets", "networks", "quality_model_file", "quality_model", "runs", "stages", "report", "pipeline",
    "command_line"
)  # fmt: skip


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rooms_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}


def imported_modules(path: Path) -> set[str]:
    """Return the modules of this package that a file imports anywhere, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("dsmix_aug.")}


def arrows() -> set[tuple[str, str]]:
    return {(module_of(path), target) for path in ROOT.rglob("*.py") for target in imported_modules(path)}


def room_of(module: str, prefix: str) -> str | None:
    """Return the room below ``prefix`` that a module is in."""
    return module.removeprefix(prefix).split(".")[0] if module.startswith(prefix) else None


@pytest.mark.parametrize(("prefix", "order"), [("dsmix_aug.", LIBRARY), ("dsmix_aug.nriqa.", PIPELINE)])
def test_no_arrow_climbs(prefix: str, order: tuple[str, ...]):
    climbing = []
    for source, target in arrows():
        rooms = room_of(source, prefix), room_of(target, prefix)
        if set(rooms) <= set(order) and order.index(rooms[0]) < order.index(rooms[1]):
            climbing.append(f"{source} imports {target}")
    assert not climbing


def test_library_never_imports_pipeline_or_command_line():
    above = ("dsmix_aug.nriqa", "dsmix_aug.cli")
    doors = ("dsmix_aug", "dsmix_aug.__main__")  # they import what is asked for, when it is
    wrong = [
        f"{source} imports {target}"
        for source, target in arrows()
        if not source.startswith(above) and source not in doors and target.startswith(above)
    ]
    assert not wrong


def test_every_room_is_on_a_floor():
    names = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert names - {"__init__", "__main__", "_version", "functional", "nriqa", "cli"} <= set(LIBRARY)
    rooms = {
        path.stem for path in (ROOT / "nriqa").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - {"__init__"} == set(PIPELINE)
