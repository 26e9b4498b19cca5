"""The rows of a comparison: what each one's features come from. A new row is one entry here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dsmix_aug.nriqa.config import Config


@dataclass(frozen=True)
class Row:
    """Where one row's features come from.

    Attributes:
        title: Name in tables.
        kind: ``"pretrained"``: the backbone after pre-training; ``"random"``: the backbone with random weights;
            ``"teacher"``: the teacher as it is.
        weighting: Weighting of :class:`~dsmix_aug.DSMix` in pre-training, or ``None`` for no mixing.
        distill: Whether pre-training distils the teacher's features.
    """

    title: str
    kind: Literal["pretrained", "random", "teacher"] = "pretrained"
    weighting: Literal["mass", "retained", "area"] | None = None
    distill: bool = True


ROWS = {
    "dsmix": Row("DSMix", weighting="mass"),
    "area": Row("CutMix (area labels)", weighting="area"),
    "no_mixing": Row("no mixing"),
    "no_distillation": Row("DSMix, no distillation", weighting="mass", distill=False),
    "random": Row("random initialisation", kind="random"),
    "teacher": Row("teacher alone", kind="teacher"),
}


def rows_of(config: Config) -> dict[str, Row]:
    """Return the config's rows by name; without a teacher those that need one are left out.

    Raises:
        ValueError: If a row is unknown, or none is left.
    """
    unknown = [name for name in config.rows if name not in ROWS]
    if unknown:
        raise ValueError(f"rows: unknown {unknown[0]!r}; known are {', '.join(ROWS)}")
    rows = {name: ROWS[name] for name in config.rows}
    if config.teacher == "none":
        rows = {name: row for name, row in rows.items() if row.kind != "teacher" and not row.distill}
    if not rows:
        raise ValueError(f"rows: {', '.join(config.rows)} all need a teacher, got teacher='none'")
    return rows
