"""The directive ``rooms``: the rooms of the package and what they import, drawn from the imports themselves."""

import ast
from collections.abc import Iterable
from html import escape
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dsmix_aug

ROOT = Path(dsmix_aug.__file__).parent
BOX_WIDTH, BOX_HEIGHT, COLUMN_GAP, FLOOR_GAP = 142, 30, 24, 38

Arrows = dict[str, set[str]]


def rooms_in(folder: Path) -> list[str]:
    """Return the modules and packages of a folder that have a name of their own: no helpers, which begin with "_"."""
    found = [path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    return sorted(name for name in found if not name.startswith("_"))


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
    """Return the rooms by floor, the ground floor first: a room is above everything that it imports."""
    floors: list[list[str]] = []
    left = dict(arrows)
    while left:
        rooms = sorted(room for room, targets in left.items() if not targets & left.keys())
        if not rooms:
            raise ValueError(f"rooms: these import one another in a circle, so they have no floors: {', '.join(left)}")
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


def with_waypoints(arrows: Arrows, floors: list[list[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Return the floors with a waypoint where an arrow passes one, and each arrow as the way that it takes."""
    floors = [list(rooms) for rooms in floors]
    floor_of = {room: level for level, rooms in enumerate(floors) for room in rooms}
    ways = []
    for room, targets in arrows.items():
        for target in sorted(targets):
            waypoints = [f"{room} to {target} {level}" for level in range(floor_of[room] - 1, floor_of[target], -1)]
            for level, waypoint in zip(range(floor_of[room] - 1, floor_of[target], -1), waypoints, strict=True):
                floors[level].append(waypoint)
            ways.append([room, *waypoints, target])
    return floors, ways


def place(floors: list[list[str]], ways: list[list[str]]) -> dict[str, float]:
    """Return the middle of each room and waypoint from left to right: near what it leads to, without overlaps."""
    middles: dict[str, float] = {}
    below: dict[str, list[str]] = {}
    for one, other in (step for way in ways for step in pairwise(way)):
        below.setdefault(one, []).append(other)
    for points in floors:
        wanted = {point: fmean(middles[other] for other in below[point]) if point in below else 0.0 for point in points}
        points.sort(key=lambda point: (wanted[point], point))
        widths = [BOX_WIDTH if " " not in point else 0 for point in points]
        starts = list(accumulate((width + COLUMN_GAP for width in widths[:-1]), initial=0.0))
        shift = fmean(wanted.values()) - fmean(start + width / 2 for start, width in zip(starts, widths, strict=True))
        middles |= {
            point: start + width / 2 + shift for point, start, width in zip(points, starts, widths, strict=True)
        }
    left = min(middles.values()) - BOX_WIDTH / 2 - COLUMN_GAP
    return {point: middle - left for point, middle in middles.items()}


def draw(arrows: Arrows, title: str) -> str:
    """Return an SVG: a row of boxes per floor, an arrow from each room to what it imports."""
    floors, ways = with_waypoints(direct(arrows), floors_of(arrows))
    middles = place(floors, ways)
    width = max(middles.values()) + BOX_WIDTH / 2 + COLUMN_GAP
    height = len(floors) * (BOX_HEIGHT + FLOOR_GAP)
    tops = {
        point: height - (level + 1) * (BOX_HEIGHT + FLOOR_GAP) + FLOOR_GAP / 2
        for level, points in enumerate(floors)
        for point in points
    }
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height}" role="img" aria-label="{escape(title)}" '
        f'style="width:{width:.0f}px; min-width:{min(width, 520):.0f}px; max-width:100%" class="rooms" '
        'xmlns="http://www.w3.org/2000/svg" font-family="monospace" font-size="13">'
        '<defs><marker id="arrowhead" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>'
    ]
    for way in ways:
        steps = [f"M{middles[way[0]]:.1f} {tops[way[0]] + BOX_HEIGHT}"]
        for one, other in pairwise(way):
            start, end = tops[one] + BOX_HEIGHT, tops[other]
            bend = (start + end) / 2
            steps.append(f"C{middles[one]:.1f} {bend} {middles[other]:.1f} {bend} {middles[other]:.1f} {end}")
            if other != way[-1]:
                steps.append(f"V{end + BOX_HEIGHT}")
        parts.append(
            f'<path d="{" ".join(steps)}" stroke="currentColor" stroke-opacity="0.5" fill="none" '
            'marker-end="url(#arrowhead)"/>'
        )
    for room in arrows:
        x, y = middles[room] - BOX_WIDTH / 2, tops[room]
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5" stroke="currentColor" '
            'fill="var(--color-background-secondary, white)"/>'
            f'<text x="{middles[room]:.1f}" y="{y + BOX_HEIGHT / 2 + 4}" text-anchor="middle" fill="currentColor">'
            f"{escape(room)}</text>"
        )
    return "".join(['<div class="rooms-scroll">', *parts, "</svg></div>"])


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
