"""What a run is made of. Two runs with equal configs on one machine give equal numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

#: Weightings of labels. ``"mass"`` and ``"retained"`` are :class:`~dsmix_aug.DSMix`'s own. The others are the mass of a
#: map that was divided by the mean DSM of its image's class: as it is (``"mass_per_class"``), times how much worse than
#: the best class people find this class (``"annoyance"``), or averaged with 1, so that a patch counts half by its DSM
#: and half by its area (``"mass_and_area"``).
Weighting = Literal["mass", "mass_per_class", "annoyance", "mass_and_area", "retained"]


@dataclass(frozen=True)
class LoopConfig:
    """How one training loop runs.

    Attributes:
        steps: Optimizer steps.
        batch_size: Crops per step, over all processes.
        crop_size: Side of the crops in px.
        learning_rate: Peak of the schedule (linear warm-up over a tenth of the steps, then half a cosine to 0).
        weight_decay: AdamW's.
        shards: Parts of a batch that are drawn, distorted and mixed on their own; the number of processes has to
            divide it, so that the same batches come whatever that number is.
        checkpoint_every: Steps between checkpoints.
        autocast: Whether networks train under bfloat16 autocast.
    """

    steps: int
    batch_size: int
    crop_size: int
    learning_rate: float
    weight_decay: float = 0.05
    shards: int = 1
    checkpoint_every: int = 50
    autocast: bool = False


@dataclass(frozen=True)
class Config:
    """All that decides a run's numbers.

    Attributes:
        preset: Name of the preset it comes from.
        remark: What figures of this preset are worth; printed beside every one of them.
        rows: Names of the rows to compare, from :mod:`dsmix_aug.nriqa.runs.rows`; the first is the one that is offered
            for scoring photos.
        photos: Where pristine photos come from: ``"skimage"`` or a folder.
        data: (name, path) of each scored dataset, or ``("opinions", number)`` for so many images made of the pristine
            photos, scored by the opinion of their class; none: held-out photos, distorted, scored by their SSIM.
        joint: (name, weight) of each dataset that one more probe is fitted to together, at least two of those in
            ``data``; a weight is that of one image, ``None``: chosen by cross-validation. The probe predicts scores on
            the scale of the first. Empty: no such probe.
        teacher: ``"efficientnet_lite0"``, ``"efficientnet_lite1"``, ``"efficientnet_lite2"``, a torchvision weights
            name such as ``"ResNet50_Weights.IMAGENET1K_V2"``, a timm model name, or ``"none"``.
        backbone: ``"efficientnet_lite0"`` to ``"efficientnet_lite2"``, or a timm model name.
        initial_weights: What pre-training starts the backbone from.
        photo_side: Photos are shrunk to this shorter side in px when they are read to be distorted.
        patch_size: Side in px of the DSM's patches.
        held_out_side: Side of the crops of held-out photos in px.
        stand_in_levels: Levels at which held-out photos are distorted when no scored dataset is given.
        estimator: ``embed_dim``, ``depth`` and ``num_heads`` of the DSM estimator.
        dsm: The loop that trains the DSM estimator.
        pretrain: The loop that trains the backbone, once per trained row.
        weighting: Weighting of labels in the rows that use :class:`~dsmix_aug.DSMix` and name none: one of
            :data:`Weighting`.
        mix_probability: Share of the batches that are mixed, in the rows that mix.
        distilled_maps: Which of the backbone's feature maps are held to the teacher's: ``"last"`` or ``"all"``.
        distillation_weight: Weight of the distillation loss beside the class loss.
        opinion_weight: Weight of the squared error of the opinion, in the rows that have a head for it.
        dsm_weight: Weight of the DSM loss, in the rows that have a head for it.
        trained_share: Share of the pre-trained weights in a backbone whose features stand alone; the rest is the
            weights that it started from. 1: the pre-trained ones as they are, as in every row that has several
            networks' features side by side or starts from scratch.
        feature_autocast: Whether frozen networks run under bfloat16 autocast.
        split_count: Number of train/test splits of a dataset that has no official one.
        seed: Seed of everything drawn.
    """

    preset: str
    remark: str
    rows: tuple[str, ...]
    dsm: LoopConfig
    pretrain: LoopConfig
    estimator: dict[str, int]
    photos: str = "skimage"
    data: tuple[tuple[str, str], ...] = ()
    joint: tuple[tuple[str, float | None], ...] = ()
    teacher: str = "efficientnet_lite0"
    backbone: str = "efficientnet_lite0"
    initial_weights: Literal["imagenet", "random"] = "imagenet"
    photo_side: int = 384
    patch_size: int = 16
    held_out_side: int = 192
    stand_in_levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    weighting: Weighting = "mass_per_class"
    mix_probability: float = 1.0
    distilled_maps: Literal["last", "all"] = "all"
    distillation_weight: float = 1.0
    opinion_weight: float = 1.0
    dsm_weight: float = 10.0
    trained_share: float = 1.0
    feature_autocast: bool = False
    split_count: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.trained_share <= 1:
            raise ValueError(f"trained_share should be in [0, 1], got {self.trained_share}")
        if self.joint:
            check_joint(self.joint, [name for name, _ in self.data])

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain lists, dicts, numbers and strings, as JSON keeps them."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Config:
        """Return the config that :meth:`to_dict` was called on."""
        entries: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
        }
        entries["data"] = tuple((name, path) for name, path in content["data"])
        entries["joint"] = tuple((name, weight) for name, weight in content.get("joint", ()))
        entries["dsm"], entries["pretrain"] = LoopConfig(**content["dsm"]), LoopConfig(**content["pretrain"])
        return cls(**entries)

    def with_setting(self, name: str, text: str) -> Config:
        """Return the config with one number, word or switch changed, as a command line gives it.

        Args:
            name: A field, or ``"dsm.FIELD"`` or ``"pretrain.FIELD"`` of a training loop.
            text: The value.

        Raises:
            ValueError: If there is no such setting, or the value is not of its kind.
        """
        loop, _, field = name.rpartition(".")
        if loop in ("dsm", "pretrain"):
            changed = _parse_setting(LoopConfig, field, text, name)
            return dataclasses.replace(self, **{loop: dataclasses.replace(getattr(self, loop), **changed)})
        return dataclasses.replace(self, **_parse_setting(Config, name, text, name))


@dataclass(frozen=True)
class Machine:
    """Where a run runs; nothing here decides its numbers beyond rounding.

    Attributes:
        device: Device of the networks.
        workers: DataLoader workers that make the batches; 0: the training process does.
    """

    device: str = "cpu"
    workers: int = 0


def check_joint(joint: Sequence[tuple[str, float | None]], datasets: Sequence[str]) -> None:
    """Check which datasets a joint probe is fitted to.

    Raises:
        ValueError: If there are fewer than two, one is given twice or is not among ``datasets``, or a weight is not
            above 0.
    """
    names = [name for name, _ in joint]
    unknown = [name for name in names if name not in datasets]
    if unknown:
        raise ValueError(f"joint: {unknown[0]!r} is not among the datasets of the run: {', '.join(datasets) or 'none'}")
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"joint should name at least 2 different datasets, got {', '.join(names)}")
    for name, weight in joint:
        if weight is not None and not 0 < weight < float("inf"):
            raise ValueError(f"joint: the weight of {name!r} should be above 0, got {weight}")


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Name the entries in which two nested dicts differ, with both values."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before!r} before, {after!r} now")
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


def _parse_setting(owner: type, field: str, text: str, name: str) -> dict[str, Any]:
    """Return {field: value}; ``name`` is what messages call the field."""
    kind = get_type_hints(owner).get(field)
    if kind in (int, float):
        try:
            return {field: kind(text)}
        except ValueError as error:
            raise ValueError(f"{name} should be {kind.__name__}, got {text!r}") from error
    choices = {"true": True, "false": False} if kind is bool else {value: value for value in get_args(kind)}
    if kind is not bool and get_origin(kind) is not Literal:
        raise ValueError(f"{name} is no setting: give a number, switch or choice of {owner.__name__}")
    if text not in choices:
        raise ValueError(f"{name} should be one of {', '.join(choices)}, got {text!r}")
    return {field: choices[text]}
