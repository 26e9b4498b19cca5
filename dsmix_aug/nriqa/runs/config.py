"""The config of a run. Two runs with equal configs on one machine give equal numbers."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

#: Fields of a config that have an option of their own, or say where it comes from.
NO_SETTINGS = ("preset", "rows", "data", "joint")
T = TypeVar("T")

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
        autocast: Whether networks train under bfloat16 autocast, on devices that are faster with it.
    """

    steps: int
    batch_size: int
    crop_size: int
    learning_rate: float
    weight_decay: float = 0.05
    shards: int = 1
    checkpoint_every: int = 50
    autocast: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "crop_size", "shards", "checkpoint_every"):
            _check_range(name, getattr(self, name), 1)
        _check_range("learning_rate", self.learning_rate, 0)
        _check_range("weight_decay", self.weight_decay, 0)
        if self.batch_size % self.shards:
            raise ValueError(f"batch_size should be a multiple of shards, got {self.batch_size} and {self.shards}")


@dataclass(frozen=True)
class EstimatorConfig:
    """The size of the DSM estimator; see :class:`~dsmix_aug.DSMEstimator`.

    Attributes:
        embed_dim: Width of the tokens, a multiple of 4 and of ``num_heads``.
        depth: Number of transformer blocks.
        num_heads: Attention heads of each block.
    """

    embed_dim: int
    depth: int
    num_heads: int

    def __post_init__(self) -> None:
        for name in ("embed_dim", "depth", "num_heads"):
            _check_range(name, getattr(self, name), 1)
        if self.embed_dim % math.lcm(4, self.num_heads):
            raise ValueError(
                f"embed_dim should be a multiple of 4 and of num_heads, got {self.embed_dim} and {self.num_heads}"
            )


class Joined(NamedTuple):
    """A dataset of the joint probe, the weight of one of its images, and the dataset whose scale its scores are on."""

    dataset: str
    weight: float | None
    scale_of: str


@dataclass(frozen=True)
class Config:
    """All that decides a run's numbers.

    Attributes:
        preset: Name of the preset it comes from.
        rows: Names of the rows to compare, from :mod:`dsmix_aug.nriqa.runs.rows`; the first is the one that is offered
            for scoring photos.
        photos: Where pristine photos come from: ``"skimage"`` or a folder.
        data: (name, path) of each scored dataset, or ``("opinions", number)`` and ``("estimated", number)`` for that
            number of images made of the pristine photos, scored by the opinion of their class or by an estimate; none:
            distorted held-out photos, scored by SSIM.
        joint: (names, weight) of the datasets that one more probe is fitted to together, at least two of those in
            ``data``; names with ``+`` between them are of datasets whose scores are on one scale. A weight is that of
            one image, ``None``: chosen by cross-validation. The probe predicts scores on the scale of the first. Empty:
            no such probe.
        teacher: ``"efficientnet_lite0"``, ``"efficientnet_lite1"``, ``"efficientnet_lite2"``, a torchvision weights
            name such as ``"ResNet50_Weights.IMAGENET1K_V2"``, a timm model name, or ``"none"``.
        backbone: ``"efficientnet_lite0"`` to ``"efficientnet_lite2"``, or a timm model name.
        initial_weights: What pre-training starts the backbone from.
        photo_side: Photos are shrunk to this shorter side in px when they are read to be distorted.
        held_out_every: One photo of so many in a folder is held out from training.
        patch_size: Side in px of the DSM's patches.
        held_out_side: Side of the crops of held-out photos in px.
        stand_in_levels: Levels at which held-out photos are distorted when no scored dataset is given.
        estimator: Size of the DSM estimator.
        dsm: The loop that trains the DSM estimator.
        pretrain: The loop that trains the backbone, once per trained row.
        weighting: Weighting of labels in the rows that use :class:`~dsmix_aug.DSMix` and name none: one of
            :data:`Weighting`.
        mix_probability: Share of the batches that are mixed, in the rows that mix.
        estimated_share: Share of each pre-training batch, up to a half, of distortions that KADID-10k did not
            ask about, as cameras and the web make them, with an estimate of their opinion for a target.
        distilled_maps: Which of the backbone's feature maps are held to the teacher's: ``"last"`` or ``"all"``.
        distillation_weight: Weight of the distillation loss relative to the class loss; 0: nothing is distilled.
        opinion_weight: Weight of the squared error of the opinion, in the rows that have a head for it.
        dsm_weight: Weight of the DSM loss, in the rows that have a head for it.
        trained_share: Interpolation between the initial (0) and the pre-trained (1) weights, only in the rows with
            :attr:`~dsmix_aug.nriqa.networks.row.Row.set_back`; all others use the pre-trained weights unchanged.
        feature_autocast: Whether frozen networks run under bfloat16 autocast, on devices that are faster with it.
        hidden_units: Units of a hidden layer that each probe has in place of a ridge regression, a multiple of 4; 0:
            probes are linear, as in the paper.
        split_count: Number of train/test splits of a dataset that has no official one.
        data_seed: Seed of the images that are made for ``("opinions", number)`` and ``("estimated", number)``, so that
            runs that differ in their seed are judged on the same images.
        seed: Seed of everything else that is drawn.
    """

    preset: str
    rows: tuple[str, ...]
    dsm: LoopConfig
    pretrain: LoopConfig
    estimator: EstimatorConfig
    photos: str = "skimage"
    data: tuple[tuple[str, str], ...] = ()
    joint: tuple[tuple[str, float | None], ...] = ()
    teacher: str = "efficientnet_lite0"
    backbone: str = "efficientnet_lite0"
    initial_weights: Literal["imagenet", "random"] = "imagenet"
    photo_side: int = 384
    held_out_every: int = 10
    patch_size: int = 16
    held_out_side: int = 192
    stand_in_levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    weighting: Weighting = "mass_and_area"
    mix_probability: float = 1.0
    estimated_share: float = 0.0
    distilled_maps: Literal["last", "all"] = "all"
    distillation_weight: float = 1.0
    opinion_weight: float = 1.0
    dsm_weight: float = 10.0
    trained_share: float = 1.0
    feature_autocast: bool = False
    hidden_units: int = 0
    split_count: int = 10
    data_seed: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("mix_probability", "trained_share"):
            _check_range(name, getattr(self, name), 0, 1)
        _check_range("estimated_share", self.estimated_share, 0, 0.5)
        for name in ("distillation_weight", "opinion_weight", "dsm_weight"):
            _check_range(name, getattr(self, name), 0)
        for name in ("patch_size", "split_count"):
            _check_range(name, getattr(self, name), 1)
        _check_range("held_out_every", self.held_out_every, 2)
        _check_range("seed", self.seed, 0, 2**32 - 1)  # scikit-learn's splitter takes no other
        self._check_sides()
        self._check_hidden_units()
        from dsmix_aug import DistortionBank  # here, so that the names of settings are had without torch

        DistortionBank(levels=self.stand_in_levels)
        if self.joint:
            check_joint(self.joint, [name for name, _ in self.data])

    def _check_sides(self) -> None:
        from dsmix_aug import DistortionBank

        smallest = max(self.patch_size, *(distortion.min_size for distortion in DistortionBank().values()))
        sides = {
            "dsm.crop_size": self.dsm.crop_size,
            "pretrain.crop_size": self.pretrain.crop_size,
            "held_out_side": self.held_out_side,
        }
        for name, side in sides.items():
            if not smallest <= side <= self.photo_side:
                raise ValueError(
                    f"{name} should be at least {smallest} px (what the distortions and patch_size need) and at most "
                    f"photo_side ({self.photo_side} px), got {side}"
                )

    @property
    def joined(self) -> list[Joined]:
        """The datasets of ``joint``, one by one."""
        return [
            Joined(dataset, weight, names.split("+")[0]) for names, weight in self.joint for dataset in names.split("+")
        ]

    @property
    def joint_name(self) -> str:
        """What the joint probe is called: the names of its datasets with ``+`` between them; empty if there is none."""
        return "+".join(given.dataset for given in self.joined)

    @property
    def distils(self) -> bool:
        """Whether pre-training keeps the backbone's features close to a teacher's."""
        return self.teacher != "none" and self.distillation_weight > 0

    def _check_hidden_units(self) -> None:
        from dsmix_aug.nriqa.networks.hidden_layer import MOST_UNITS, NETWORKS

        _check_range("hidden_units", self.hidden_units, 0, MOST_UNITS)
        if self.hidden_units % NETWORKS:
            raise ValueError(f"hidden_units should be a multiple of {NETWORKS}, got {self.hidden_units}")

    @property
    def smallest_photo(self) -> int:
        """Smallest height and width in px of a pristine photo."""
        return max(self.dsm.crop_size, self.pretrain.crop_size, self.held_out_side)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as plain lists, dicts, numbers and strings, as JSON keeps them."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    def deciding(self) -> dict[str, Any]:
        """Return what decides numbers: all but the preset's name and where data lies, whose contents are compared."""
        content = self.to_dict() | {"data": [name for name, _ in self.data]}
        return {name: value for name, value in content.items() if name not in ("preset", "photos")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Config:
        """Return the config that :meth:`to_dict` was called on; a setting that it lacks has its default.

        Raises:
            ValueError: If there is a setting that this version does not know, or one without a default is missing.
        """
        entries = {
            "data": tuple((name, path) for name, path in content.get("data", ())),
            "joint": tuple((name, weight) for name, weight in content.get("joint", ())),
            "dsm": _from_dict(LoopConfig, content.get("dsm", {}), "dsm."),
            "pretrain": _from_dict(LoopConfig, content.get("pretrain", {}), "pretrain."),
            "estimator": _from_dict(EstimatorConfig, content.get("estimator", {}), "estimator."),
        }
        return _from_dict(cls, content | entries)

    def with_setting(self, name: str, text: str) -> Config:
        """Return the config with one setting changed, as a command line gives it.

        Args:
            name: One of :func:`settings`, e.g. ``"weighting"`` or ``"pretrain.steps"``.
            text: The value; several numbers with commas between them.

        Raises:
            ValueError: If there is no such setting, or the value is not of its kind or range.
        """
        kinds = settings()
        if name not in kinds:
            near = [known for known in kinds if known.endswith(f".{name}")] or difflib.get_close_matches(name, kinds, 1)
            meant = f"did you mean {' or '.join(near)}? " if near else ""
            raise ValueError(f"there is no setting {name!r}. {meant}Settings are: {', '.join(kinds)}")
        value = _parse_setting(kinds[name], text, name)
        group, _, field = name.rpartition(".")
        if not group:
            return dataclasses.replace(self, **{field: value})
        try:
            return dataclasses.replace(self, **{group: dataclasses.replace(getattr(self, group), **{field: value})})
        except ValueError as error:
            raise ValueError(str(error) if str(error).startswith(f"{group}.") else f"{group}.{error}") from error


@dataclass(frozen=True)
class Machine:
    """Where a run runs; nothing here decides its numbers beyond rounding.

    Attributes:
        device: Device of the networks.
        workers: DataLoader workers that make the batches; 0: the training process does.
    """

    device: str = "cpu"
    workers: int = 0

    def __post_init__(self) -> None:
        from dsmix_aug.nriqa.base.devices import check_device

        check_device(self.device)
        _check_range("workers", self.workers, 0)


def check_joint(joint: Sequence[tuple[str, float | None]], datasets: Sequence[str]) -> None:
    """Check which datasets a joint probe is fitted to.

    Raises:
        ValueError: If there are fewer than two, one is given twice or is not among ``datasets``, or a weight is not
            above 0.
    """
    names = [name for group, _ in joint for name in group.split("+")]
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


def settings() -> dict[str, Any]:
    """Return the type of everything that :meth:`Config.with_setting` changes, by name."""
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(Config).items():
        if dataclasses.is_dataclass(kind):
            found |= {f"{name}.{field}": inner for field, inner in get_type_hints(kind).items()}
        elif name not in NO_SETTINGS:
            found[name] = kind
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


def _from_dict(owner: type[T], content: dict[str, Any], prefix: str = "") -> T:
    fields = {field.name: field for field in dataclasses.fields(owner)}  # type: ignore[arg-type]
    unknown = [name for name in content if name not in fields]
    if unknown:
        raise ValueError(f"the setting {prefix}{unknown[0]} is unknown to this version")
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in content]
    if missing:
        raise ValueError(f"the setting {prefix}{missing[0]} is missing")
    return owner(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})


def _parse_setting(kind: Any, text: str, name: str) -> Any:
    if kind is str:
        return text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError as error:
            raise ValueError(f"{name} should be {kind.__name__}, got {text!r}") from error
    if get_origin(kind) is tuple:
        return tuple(_parse_setting(get_args(kind)[0], part, name) for part in text.split(","))
    choices = {"true": True, "false": False} if kind is bool else {value: value for value in get_args(kind)}
    if text not in choices:
        raise ValueError(f"{name} should be one of {', '.join(choices)}, got {text!r}")
    return choices[text]


def _check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    if not (low <= value <= high and math.isfinite(value)):
        limits = f"at least {low}" if high == math.inf else f"in [{low}, {high}]"
        raise ValueError(f"{name} should be {limits}, got {value}")
