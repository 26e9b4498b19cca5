"""Directives that write about the distortions from the registry, so that docs cannot drift from the code.

``distortion-table`` and ``distortion-deviations`` take the name of a tuple in ``dsmix_aug.distortions``, ``KADID_10K``
or ``BEYOND``; ``distortion-family`` takes a family.
"""

import csv
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import distortion_pictures
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dsmix_aug.distortions
from dsmix_aug.distortions import BEYOND, KADID_10K, Distortion, DistortionBank
from dsmix_aug.distortions._distortion import REGISTRY

#: CPU ms per image, by ``benchmarks/bench_bank.py``.
COSTS = Path(__file__).parent.parent / "measurements" / "bank.csv"


class Description(NamedTuple):
    """The parts of a distortion's docstring."""

    summary: str
    text: str
    source: str
    deviation: str


def describe(distortion: type[Distortion]) -> Description:
    """Take a docstring apart: its first paragraph, what follows, its source and its deviation from that."""
    documented = inspect.cleandoc(distortion.__doc__ or "").partition("\nExample:")[0]
    found = re.fullmatch(r"(.+?)\n\n(.*?)Source:\s(.+?)\sDeviation:\s(.+?)", documented.strip(), re.DOTALL)
    if found is None:
        raise ValueError(f"the docstring of {distortion.__name__} lacks a summary, 'Source:' or 'Deviation:'")
    summary, text, source, deviation = found.groups()
    return Description(summary, text.strip(), one_line(source), one_line(deviation))


def one_line(text: str) -> str:
    """Join the lines of a text."""
    return " ".join(text.split())


def written_value(distortion: type[Distortion], level: int) -> str:
    """Return the parameter at a level, in brackets where the level leaves the image as it is."""
    value = f"{distortion.values[level - 1]:g}"
    return f"({value})" if level in distortion.identity_levels else value


def level_row(number: int, distortion: type[Distortion]) -> list[str]:
    """Return number, name, family, parameter and its value per level."""
    values = [written_value(distortion, level).replace("(", r"\(") for level in range(1, len(distortion.values) + 1)]
    name = f":ref:`{distortion.name} <distortion-{distortion.name}>`"
    return [str(number), name, distortion.family, distortion.parameter, *values]


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
        lines = [".. list-table::", "   :header-rows: 1", "   :class: distortions", ""]
        head = ["#", "name", "family", "parameter", "1", "2", "3", "4", "5"]
        for row in [head, *(level_row(number, cls) for number, cls in enumerate(distortions, start=1))]:
            lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
        return [*lines, "", limits(distortions)]


class DistortionDeviations(DistortionDirective):
    """A list of what each type's docstring says about its deviation from its source; those with none come last."""

    def lines(self, distortions: list[type[Distortion]]) -> list[str]:
        """Return the text."""
        by_name = {distortion.name: describe(distortion).deviation for distortion in distortions}
        lines = [f"``{name}``\n    {text}\n" for name, text in by_name.items() if not text.startswith("none")]
        exact = [f"``{name}``: {text}" for name, text in by_name.items() if text.startswith("none")]
        return [*lines, "The others:", "", *(f"- {entry}" for entry in exact)]


class DistortionFamily(SphinxDirective):
    """A section for each type of a family: pictures, formula, parameter and opinion per level, source, deviation."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write it, and the pictures into ``_generated/``."""
        bank = DistortionBank(KADID_10K + BEYOND)
        lines: list[str] = []
        for name, distortion in bank.items():
            if distortion.family == self.arguments[0]:
                self.env.note_dependency(inspect.getfile(type(distortion)))  # written anew when its maths changes
                distortion_pictures.write(distortion, Path(self.env.srcdir) / "_generated")
                opinions = [float(bank.opinion_scores[bank.encode(name, level)]) for level in bank_levels(distortion)]
                lines += section_of(type(distortion), opinions)
        self.env.note_dependency(str(COSTS))
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def bank_levels(distortion: Distortion | type[Distortion]) -> range:
    """Return the levels of a distortion."""
    return range(1, len(distortion.values) + 1)


def section_of(distortion: type[Distortion], opinions: list[float]) -> list[str]:
    """Return the text of a type's section."""
    said = describe(distortion)
    name = distortion.name
    fields = [
        f":Parameter: {distortion.parameter}",
        f":Source: {said.source}",
        f":Deviation: {said.deviation}",
        *cost_field(name),
    ]
    beyond = [] if name in KADID_10K else ["", "Not one of KADID-10k's types, and not in the default bank."]
    return [
        f".. _distortion-{name}:",
        "",
        name,
        "-" * len(name),
        "",
        said.summary,
        *beyond,
        "",
        *pictures_of(distortion, opinions),
        "",
        said.text,
        "",
        ".. container:: facts",
        "",
        *(f"   {field}" for field in fields),
        "",
        f".. py:class:: {distortion.__name__}(range_mode='clip')",
        f"   :module: {distortion.__module__}",
        "   :no-contents-entry:",
        "",
        f'   ``DistortionBank(["{name}"])["{name}"](images, level=3)``',
        "",
    ]


def pictures_of(distortion: type[Distortion], opinions: list[float]) -> Iterator[str]:
    """Yield a grid of figures: the photo, then each level with its parameter and what people thought of it."""
    name = distortion.name
    captions = {"photo": ("The photo as it is.", "the photo")}
    for level, opinion in zip(bank_levels(distortion), opinions, strict=True):
        asked = "not asked" if opinion != opinion else f"opinion {opinion:.2f}"  # NaN: nobody was asked
        captions[f"{name}-{level}"] = (
            f"The photo under {name}, level {level}.",
            rf"level {level}: **{written_value(distortion, level)}** \| {asked}",
        )
    yield from [".. container:: levels", ""]
    for file, (alternative, caption) in captions.items():
        yield from [f"   .. figure:: /_generated/{file}.webp", f"      :alt: {alternative}", "", f"      {caption}", ""]


def cost_field(name: str) -> list[str]:
    """Return what a distortion costs, where that was measured."""
    with COSTS.open(encoding="utf-8", newline="") as file:
        ours = [row for row in csv.DictReader(file) if row["group"] == name and row["case"].startswith("dsmix-aug")]
    return [f":Cost: {row['low']} to {row['high']} ms of CPU per 224x224 image (:doc:`/benchmarks`)" for row in ours]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("distortion-table", DistortionTable)
    app.add_directive("distortion-deviations", DistortionDeviations)
    app.add_directive("distortion-family", DistortionFamily)
    return {"parallel_read_safe": True}
