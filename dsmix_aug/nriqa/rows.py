"""The rows of a comparison: what each one's features come from. A new row is one entry here."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    """Return the config's rows by name.

    Without a teacher nothing is distilled: the teacher's own row is left out, and of rows that differed in their
    distillation alone the first stays.

    Raises:
        ValueError: If a row is unknown, or none is left.
    """
    unknown = [name for name in config.rows if name not in ROWS]
    if unknown:
        raise ValueError(f"rows: unknown {unknown[0]!r}; known are {', '.join(ROWS)}")
    rows = {name: ROWS[name] for name in config.rows}
    if config.teacher == "none":
        rows = _without_teacher(rows)
    if not rows:
        raise ValueError(f"rows: {', '.join(config.rows)} needs a teacher, got teacher='none'")
    return rows


def _without_teacher(rows: dict[str, Row]) -> dict[str, Row]:
    left: dict[str, Row] = {}
    for name, row in rows.items():
        undistilled = replace(row, distill=False)
        if row.kind != "teacher" and not any(replace(other, title=row.title) == undistilled for other in left.values()):
            left[name] = undistilled
    return left
