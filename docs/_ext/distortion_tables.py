"""Directives that write the distortions' tables from the registry, so that docs cannot drift from the code.

Each takes the name of a tuple in ``dsmix_aug.distortions``: ``KADID_10K`` or ``BEYOND``.
"""

import inspect
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dsmix_aug.distortions
from dsmix_aug.distortions import Distortion
from dsmix_aug.distortions._distortion import REGISTRY


def deviation(distortion: type[Distortion]) -> str:
    """Return what a distortion's docstring says after "Deviation:", to the end of the paragraph."""
    documented = inspect.cleandoc(distortion.__doc__ or "")
    found = re.search(r"Deviation:(.+?)(?:\n\n|\Z)", documented, re.DOTALL)
    if found is None:
        raise ValueError(f"the docstring of {distortion.__name__} has no 'Deviation:'")
    return " ".join(found[1].split())


def level_row(number: int, distortion: type[Distortion]) -> list[str]:
    """Return number, name, family, parameter and its value per level (identity levels in brackets)."""
    values = [
        rf"\({value:g})" if level in distortion.identity_levels else f"{value:g}"
        for level, value in enumerate(distortion.values, start=1)
    ]
    return [str(number), f"``{distortion.name}``", distortion.family, distortion.parameter, *values]


def limits(distortions: list[type[Distortion]]) -> str:
    """Return a paragraph: which types need three channels, which ones more than a pixel."""
    color = ", ".join(f"``{d.name}``" for d in distortions if d.needs_color)
    sizes = ", ".join(f"``{d.name}`` {d.min_size} px" for d in distortions if d.min_size > 1)
    larger = f" Height and width are at least: {sizes}." if sizes else ""
    return f"Three channels are needed by {color}; one channel will do for the others.{larger}"


class DistortionDirective(SphinxDirective):
    """Writes reStructuredText about the distortions of a tuple."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write it."""
        names = getattr(dsmix_aug.distortions, self.arguments[0])
        return self.parse_text_to_nodes("\n".join(self.lines([REGISTRY[name] for name in names])))


class DistortionTable(DistortionDirective):
    """A table of the types: name, family, parameter and unit, value per level; then what they need."""

    def lines(self, distortions: list[type[Distortion]]) -> list[str]:
        """Return the text."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 4 25 11 28 7 7 7 7 7", ""]
        head = ["#", "name", "family", "parameter", "1", "2", "3", "4", "5"]
        for row in [head, *(level_row(number, cls) for number, cls in enumerate(distortions, start=1))]:
            lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
        return [*lines, "", limits(distortions)]


class DistortionDeviations(DistortionDirective):
    """A list of what each type's docstring says about its deviation from its source; those with none come last."""

    def lines(self, distortions: list[type[Distortion]]) -> list[str]:
        """Return the text."""
        by_name = {distortion.name: deviation(distortion) for distortion in distortions}
        lines = [f"``{name}``\n    {text}\n" for name, text in by_name.items() if not text.startswith("none")]
        exact = [f"``{name}``: {text}" for name, text in by_name.items() if text.startswith("none")]
        return [*lines, "The others:", "", *(f"- {entry}" for entry in exact)]


class DistortionClasses(DistortionDirective):
    """The docstring of every type."""

    def lines(self, distortions: list[type[Distortion]]) -> list[str]:
        """Return one autoclass per type."""
        lines: list[str] = []
        for distortion in distortions:
            lines += [f".. autoclass:: {distortion.__module__}.{distortion.__name__}", "   :no-index:", ""]
        return lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("distortion-table", DistortionTable)
    app.add_directive("distortion-deviations", DistortionDeviations)
    app.add_directive("distortion-classes", DistortionClasses)
    return {"parallel_read_safe": True}
