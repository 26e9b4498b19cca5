"""The rows of a comparison, which are the compared models. A new one is one entry here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from dsmix_aug.nriqa.networks.row import Row, averaged_names
from dsmix_aug.nriqa.runs.config import Config, Weighting


@dataclass(frozen=True)
class Pretraining:
    """One way to pre-train the backbone.

    Attributes:
        title: Name in training curves.
        mixing: ``"dsmix"``: :class:`~dsmix_aug.DSMix` with the config's weighting; ``"cutmix"``: the same boxes with
            labels weighted by area; ``"mixup"``: ``v2.MixUp``; ``None``: nothing is mixed.
        weighting: Weighting of labels under ``"dsmix"``; ``None``: the config's.
        like_scores: Whether images are mixed with those whose classes have opinions like their own, instead of any.
        shuffled_maps: Whether each sample's labels are weighted by another sample's map: the control that shows
            whether it is the map that matters.
        distill: Whether the teacher's features are distilled.
        opinions: Whether a head predicts the opinion of the image in addition to the classes. For a mixed image
            DSMix's own rule for scores holds: the opinions of its parts, weighted as their labels are.
        dsm_head: Whether a head predicts the DSM in addition to the classes.
        from_scratch: Whether the backbone starts from random weights, whatever the config says.
    """

    title: str
    mixing: Literal["dsmix", "cutmix", "mixup"] | None = None
    weighting: Weighting | None = None
    like_scores: bool = False
    shuffled_maps: bool = False
    opinions: bool = False
    distill: bool = True
    dsm_head: bool = False
    from_scratch: bool = False


PRETRAININGS = {
    "no_mixing": Pretraining("no mixing"),
    "mixup": Pretraining("MixUp", mixing="mixup"),
    "cutmix": Pretraining("CutMix (area labels)", mixing="cutmix"),
    "dsmix": Pretraining("DSMix", mixing="dsmix"),
    "dsmix_shuffled": Pretraining("DSMix, another sample's map", mixing="dsmix", shuffled_maps=True),
    "no_mixing_opinions": Pretraining("no mixing, opinions", opinions=True),
    "cutmix_opinions": Pretraining("CutMix, opinions", mixing="cutmix", opinions=True),
    "dsmix_opinions": Pretraining("DSMix, opinions", mixing="dsmix", opinions=True),
    "dsmix_opinions_shuffled": Pretraining(
        "DSMix, opinions, another sample's map", mixing="dsmix", opinions=True, shuffled_maps=True
    ),
    "dsmix_annoyance": Pretraining(
        "DSMix by annoyance, opinions", mixing="dsmix", opinions=True, weighting="annoyance"
    ),
    "dsmix_annoyance_shuffled": Pretraining(
        "DSMix by annoyance, opinions, another sample's map",
        mixing="dsmix",
        opinions=True,
        weighting="annoyance",
        shuffled_maps=True,
    ),
    "dsmix_mass_and_area": Pretraining(
        "DSMix by mass and area, opinions", mixing="dsmix", opinions=True, weighting="mass_and_area"
    ),
    "dsmix_mass_and_area_shuffled": Pretraining(
        "DSMix by mass and area, opinions, another sample's map",
        mixing="dsmix",
        opinions=True,
        weighting="mass_and_area",
        shuffled_maps=True,
    ),
    "dsmix_like_scores": Pretraining(
        "DSMix of images of like scores, opinions", mixing="dsmix", opinions=True, like_scores=True
    ),
    "dsmix_like_scores_shuffled": Pretraining(
        "DSMix of images of like scores, opinions, another sample's map",
        mixing="dsmix",
        opinions=True,
        like_scores=True,
        shuffled_maps=True,
    ),
    "no_mixing_undistilled": Pretraining("no mixing, no distillation", distill=False),
    "cutmix_undistilled": Pretraining("CutMix, no distillation", mixing="cutmix", distill=False),
    "dsmix_undistilled": Pretraining("DSMix, no distillation", mixing="dsmix", distill=False),
    "dsmix_dsm_head": Pretraining("DSMix with a DSM head", mixing="dsmix", dsm_head=True),
    "dsmix_from_scratch": Pretraining("DSMix from scratch", mixing="dsmix", from_scratch=True),
}

ROWS = {
    **{name: Row(pretraining.title, (name,), set_back=True) for name, pretraining in PRETRAININGS.items()},
    **{
        f"teacher_and_{name}": Row(f"teacher + {PRETRAININGS[name].title}", ("teacher", name))
        for name in ("no_mixing", "cutmix", "dsmix", "dsmix_shuffled")
    },
    **{
        f"lite1_and_{name}": Row(f"EfficientNet-Lite1 + {PRETRAININGS[name].title}", ("efficientnet_lite1", name))
        for name in ("no_mixing_opinions", "dsmix_annoyance")
    },
    "lite1_and_averaged": Row(
        "EfficientNet-Lite1 + mean of DSMix by annoyance and no mixing, opinions",
        ("efficientnet_lite1", "dsmix_annoyance+no_mixing_opinions"),
    ),
    "random": Row("random initialisation", ("random",)),
    "teacher": Row("teacher alone", ("teacher",)),
    "teacher_and_lite1": Row("teacher + EfficientNet-Lite1", ("teacher", "efficientnet_lite1")),
    "teacher_last_layer": Row("teacher alone, last layer", ("teacher",), last_layer_only=True),
}


#: The rows that ask whether it is the DSM that matters; each kind of DSMix comes with its control.
DSM_STUDY_ROWS = (
    "teacher",
    "no_mixing_opinions",
    "cutmix_opinions",
    "dsmix_opinions",
    "dsmix_opinions_shuffled",
    "dsmix_annoyance",
    "dsmix_annoyance_shuffled",
    "dsmix_mass_and_area",
    "dsmix_mass_and_area_shuffled",
    "dsmix_like_scores",
    "dsmix_like_scores_shuffled",
)


def rows_of(config: Config) -> dict[str, Row]:
    """Return the config's rows by name.

    Without a teacher nothing is distilled: rows that use the teacher's own features are left out, and of rows that
    differ only in their distillation the first stays.

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


def pretrainings_of(config: Config) -> dict[str, Pretraining]:
    """Return the pre-trainings that the config's rows need, by name, each once."""
    networks = [network for row in rows_of(config).values() for network in row.networks]
    names = dict.fromkeys(name for network in networks for name in averaged_names(network))
    return {
        name: replace(PRETRAININGS[name], distill=PRETRAININGS[name].distill and config.distils)
        for name in names
        if name in PRETRAININGS
    }


def _without_teacher(rows: dict[str, Row]) -> dict[str, Row]:
    left: dict[tuple[object, ...], str] = {}
    for name, row in rows.items():
        if "teacher" not in row.networks:
            undistilled = [
                replace(PRETRAININGS[network], title="", distill=False) if network in PRETRAININGS else network
                for network in row.networks
            ]
            left.setdefault((*undistilled, row.last_layer_only), name)
    return {name: rows[name] for name in left.values()}
