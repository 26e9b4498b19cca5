"""What the rows of a run are, in words."""

from __future__ import annotations

from dsmix_aug.nriqa.networks.row import Row, averaged_names
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, Pretraining

#: What labels under DSMix are weighted by; by all others it is the DSM alone.
WEIGHTINGS = {
    "annoyance": "by how much each region bothers people",
    "mass_and_area": "half by the DSM and half by area",
}


def explain_row(row: Row, config: Config) -> str:
    """Return what features a row has, in words.

    Args:
        row: The row.
        config: The run's settings.

    Example:
        >>> from dsmix_aug.nriqa.runs.presets import PRESETS
        >>> from dsmix_aug.nriqa.runs.rows import ROWS
        >>> explain_row(ROWS["teacher_and_cutmix"], PRESETS["dsm_study"])
        'features of the teacher, as ImageNet trained it; and of a backbone trained to name the distortions of mixed
        images, whose labels are weighted by area'
    """
    layers = "the last feature map" if row.last_layer_only else "features"
    return f"{layers} of " + "; and of ".join(_explain_network(name, config) for name in row.networks)


def _explain_network(name: str, config: Config) -> str:
    averaged = averaged_names(name)
    if len(averaged) > 1:
        return "the mean of the weights of " + " and of ".join(_explain_network(one, config) for one in averaged)
    if name in PRETRAININGS:
        return _explain_pretraining(PRETRAININGS[name], config)
    if name == "random":
        return "a backbone with random weights"
    return "the teacher, as ImageNet trained it" if name == "teacher" else f"{name}, as ImageNet trained it"


def _explain_pretraining(pretraining: Pretraining, config: Config) -> str:
    weighting = WEIGHTINGS.get(pretraining.weighting or config.weighting, "by the DSM")
    images = {
        None: "of images",
        "mixup": "of images blended by MixUp",
        "cutmix": "of mixed images, whose labels are weighted by area",
        "dsmix": f"of mixed images, whose labels are weighted {weighting}",
    }[pretraining.mixing]
    parts = [f"a backbone trained to name the distortions {images}"]
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
    if pretraining.distill and config.distils:
        parts.append("while its features stay close to the teacher's")
    return ", ".join(parts)
