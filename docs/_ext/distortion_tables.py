"""Directives that write the distortions' tables from the registry, so that docs cannot drift from the code."""

import inspect
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dsmix_aug import DistortionBank
from dsmix_aug.distortions import Distortion


def deviation(distortion: Distortion) -> str:
    """Return what a distortion's docstring says after "Deviation:", to the end of the paragraph."""
    documented = inspect.cleandoc(type(distortion).__doc__ or "")
    found = re.search(r"Deviation:(.+?)(?:\n\n|\Z)", documented, re.DOTALL)
    if found is None:
        raise ValueError(f"the docstring of {type(distortion).__name__} has no 'Deviation:'")
    return " ".join(found[1].split())


def level_rows(bank: DistortionBank) -> list[list[str]]:
    """Return a row per distortion: number, name, parameter and its value per level (identity levels in brackets)."""
    rows = []
    for number, (name, distortion) in enumerate(bank.items(), start=1):
        values = [
            rf"\({value:g})" if level in distortion.identity_levels else f"{value:g}"
            for level, value in enumerate(distortion.values, start=1)
        ]
        rows.append([str(number), f"``{name}``", distortion.parameter, *values])
    return rows


class DistortionTable(SphinxDirective):
    """A table of all types: name, parameter and unit, value per level."""

    def run(self) -> list[nodes.Node]:
        """Write the table."""
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 5 28 31 8 8 8 8 8", ""]
        for row in [["#", "name", "parameter", "1", "2", "3", "4", "5"], *level_rows(DistortionBank())]:
            lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(lines))


class DistortionDeviations(SphinxDirective):
    """A list of what each type's docstring says about its deviation from the generator; those with none come last."""

    def run(self) -> list[nodes.Node]:
        """Write the list."""
        by_name = {name: deviation(distortion) for name, distortion in DistortionBank().items()}
        lines = [f"``{name}``\n    {text}\n" for name, text in by_name.items() if not text.startswith("none")]
        exact = [f"``{name}``: {text}" for name, text in by_name.items() if text.startswith("none")]
        lines += ["The others:", "", *(f"- {entry}" for entry in exact)]
        return self.parse_text_to_nodes("\n".join(lines))


class DistortionClasses(SphinxDirective):
    """The docstring of every type, in the bank's order."""

    def run(self) -> list[nodes.Node]:
        """Write one autoclass per type."""
        lines: list[str] = []
        for distortion in DistortionBank().values():
            cls = type(distortion)
            lines += [f".. autoclass:: {cls.__module__}.{cls.__name__}", "   :no-index:", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("distortion-table", DistortionTable)
    app.add_directive("distortion-deviations", DistortionDeviations)
    app.add_directive("distortion-classes", DistortionClasses)
    return {"parallel_read_safe": True}
