"""The directive ``rooms``: the rooms of the package and what they import, drawn from the imports themselves."""

import ast
from collections.abc import Iterable
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dsmix_aug

ROOT = Path(dsmix_aug.__file__).parent
BOX_WIDTH, BOX_HEIGHT, COLUMN_GAP, FLOOR_GAP = 118, 30, 26, 34

Arrows = dict[str, set[str]]


def rooms_in(folder: Path) -> list[str]:
    """Return the modules and packages of a folder, without those that only join the others."""
    found = [path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return sorted(set(found) - {"__init__", "__main__", "_version"})


def imports_between(folder: Path, package: str) -> Arrows:
    """Return for each room of a package the other rooms of it that its files import."""
    rooms = rooms_in(folder)
    arrows: Arrows = {room: set() for room in rooms}
    for room in rooms:
        place = folder / room
        for file in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
            for name in imported_names(file):
                target = name.removeprefix(f"{package}.").split(".")[0]
                if name.startswith(f"{package}.") and target in arrows and target != room:
                    arrows[room].add(target)
    return arrows


def imported_names(file: Path) -> Iterable[str]:
    """Yield the full names of what a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floors_of(arrows: Arrows) -> list[list[str]]:
    """Return the rooms by floor, the ground floor first: a room stands above everything that it imports."""
    floors: list[list[str]] = []
    left = dict(arrows)
    while left:
        rooms = sorted(room for room, targets in left.items() if not targets & left.keys())
        if not rooms:
            raise ValueError(f"these rooms import one another in a circle: {', '.join(left)}")
        floors.append(rooms)
        left = {room: targets for room, targets in left.items() if room not in rooms}
    return floors


def direct(arrows: Arrows) -> Arrows:
    """Drop each arrow that a way through other rooms makes as well, so that the picture stays legible."""

    def below(room: str) -> set[str]:
        return arrows[room].union(*(below(target) for target in arrows[room]))

    return {
        room: {one for one in targets if not any(one in below(other) for other in targets)}
        for room, targets in arrows.items()
    }


def draw(arrows: Arrows, title: str) -> str:
    """Return an SVG: a row of boxes per floor, an arrow from each room to what it imports."""
    floors = floors_of(arrows)
    width = max(map(len, floors)) * (BOX_WIDTH + COLUMN_GAP) + COLUMN_GAP
    height = len(floors) * (BOX_HEIGHT + FLOOR_GAP)
    places = {}
    for level, rooms in enumerate(floors):
        left = (width - len(rooms) * (BOX_WIDTH + COLUMN_GAP) + COLUMN_GAP) / 2
        for column, room in enumerate(rooms):
            top = height - (level + 1) * (BOX_HEIGHT + FLOOR_GAP) + FLOOR_GAP / 2
            places[room] = (left + column * (BOX_WIDTH + COLUMN_GAP), top)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" style="max-width:{width}px"'
        ' class="rooms" xmlns="http://www.w3.org/2000/svg" font-family="monospace" font-size="13">'
    ]
    for room, targets in direct(arrows).items():
        for target in sorted(targets):
            (x1, y1), (x2, y2) = places[room], places[target]
            line = f"M{x1 + BOX_WIDTH / 2} {y1 + BOX_HEIGHT} L{x2 + BOX_WIDTH / 2} {y2}"
            parts.append(f'<path d="{line}" stroke="currentColor" stroke-opacity="0.45" fill="none"/>')
    for room, (x, y) in places.items():
        parts.append(
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" stroke="currentColor" '
            'fill="var(--color-background-secondary, white)"/>'
            f'<text x="{x + BOX_WIDTH / 2}" y="{y + BOX_HEIGHT / 2 + 4}" text-anchor="middle" fill="currentColor">'
            f"{escape(room)}</text>"
        )
    return "".join([*parts, "</svg>"])


class Rooms(SphinxDirective):
    """``.. rooms:: dsmix_aug.nriqa``: one package; ``:title:`` is the text for those who do not see the picture."""

    required_arguments = 1
    option_spec = {"title": directives.unchanged_required}  # noqa: RUF012  docutils declares it as a plain attribute

    def run(self) -> list[nodes.Node]:
        """Draw the package."""
        package = self.arguments[0]
        folder = ROOT.joinpath(*package.split(".")[1:])
        return [nodes.raw("", draw(imports_between(folder, package), self.options["title"]), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True}
