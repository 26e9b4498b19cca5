"""What the rows of a run are, in words."""

from __future__ import annotations

from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, Pretraining

MIXINGS = {
    "dsmix": "of mixed images, whose labels are weighted by the DSM",
    "cutmix": "of mixed images, whose labels are weighted by area",
    "mixup": "of images blended by MixUp",
}
WEIGHTINGS = {
    "annoyance": "by how much each region bothers people",
    "mass_and_area": "half by the DSM and half by area",
}


def explain_row(row: Row, distils: bool) -> str:
    """Return what features a row has, in words.

    Args:
        row: The row.
        distils: Whether the run's pre-trainings keep the backbone's features close to a teacher's.

    Example:
        >>> from dsmix_aug.nriqa.runs.rows import ROWS
        >>> explain_row(ROWS["teacher_and_cutmix"], distils=False)
        'features of the teacher, as ImageNet trained it; and of a backbone trained to name the distortions of mixed
        images, whose labels are weighted by area'
    """
    layers = "the last feature map" if row.last_layer_only else "features"
    return f"{layers} of " + "; and of ".join(_explain_network(name, distils) for name in row.networks)


def _explain_network(name: str, distils: bool) -> str:
    if name in PRETRAININGS:
        return _explain_pretraining(PRETRAININGS[name], distils)
    if name == "random":
        return "a backbone with random weights"
    return "the teacher, as ImageNet trained it" if name == "teacher" else f"{name}, as ImageNet trained it"


def _explain_pretraining(pretraining: Pretraining, distils: bool) -> str:
    parts = [f"a backbone trained to name the distortions {MIXINGS.get(pretraining.mixing or '', 'of images')}"]
    if pretraining.weighting in WEIGHTINGS:
        parts[0] = parts[0].replace("by the DSM", WEIGHTINGS[pretraining.weighting])
    if pretraining.like_scores:
        parts.append("each with one of like score")
    if pretraining.shuffled_maps:
        parts.append("with the map of another image (a control)")
    if pretraining.opinions:
        parts.append("and to predict opinions")
    if pretraining.dsm_head:
        parts.append("and to predict the DSM")
    if pretraining.from_scratch:
        parts.append("from random weights")
    if pretraining.distill and distils:
        parts.append("while its features stay close to the teacher's")
    return ", ".join(parts)
