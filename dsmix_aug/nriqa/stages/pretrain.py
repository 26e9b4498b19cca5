"""Stage 2: pre-train the backbone on DSMix batches, with a distortion-class head and a teacher to follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug import DistortionBank, sensitivity_map
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.files import replace_when_done
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.datasets.photos import to_float
from dsmix_aug.nriqa.networks.backbones import Backbone, build_backbone
from dsmix_aug.nriqa.networks.distillation import Distillation
from dsmix_aug.nriqa.networks.features import STATISTICS, mean_and_deviation
from dsmix_aug.nriqa.networks.row import Row, teacher_of
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, Pretraining, pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.batches import Batch, DistortedCrops
from dsmix_aug.nriqa.stages.mixing import make_mixer
from dsmix_aug.nriqa.stages.training import train


class PretrainObjective(nn.Module):
    """Soft cross entropy of the distortion classes, plus optionally distillation, the DSM and the opinion.

    The opinion of a (mixed) image is that of its classes, weighted as its soft label is: DSMix's rule for scores. Its
    head is linear in what the probe will read, the mean and standard deviation of each feature map, standardised.

    Args:
        backbone: The network to train.
        num_classes: Classes of the distortion bank.
        distillation: What holds the backbone's feature maps to a teacher's, or ``None``.
        patch_size: Of the DSM.
        dsm_weight: Weight of the loss of a head that predicts the DSM from all feature maps; 0: no such head.
        opinions: (num_classes,), the mean opinion of each class; ``None``: no head predicts the image's.
        opinion_weight: Weight of that head's squared error.

    Raises:
        ValueError: If the opinion of a class is not known.
    """

    opinions: Tensor | None

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        distillation: Distillation | None,
        patch_size: int,
        dsm_weight: float,
        opinions: Tensor | None = None,
        opinion_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels[-1], num_classes)
        self.distillation = distillation
        self.patch_size = patch_size
        self.dsm_weight = dsm_weight
        if dsm_weight:
            self.dsm_head = nn.Linear(sum(backbone.channels), 1)
        if opinions is not None and opinions.isnan().any():
            raise ValueError(f"opinions: that of class {int(opinions.isnan().nonzero()[0])} is not known")
        self.register_buffer("opinions", opinions)
        self.opinion_weight = opinion_weight
        if opinions is not None:
            width = STATISTICS * sum(backbone.channels)
            self.opinion_head = nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, 1))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name."""
        images = to_float(batch.images)
        maps = self.backbone(images)
        losses = {"classes": F.cross_entropy(self.classifier(maps[-1].mean((2, 3))), batch.labels)}
        if self.distillation is not None:
            losses["distillation"] = self.distillation(images, maps)
        if self.dsm_weight:
            losses["dsm"] = self.dsm_weight * self._dsm_loss(maps, batch)
        if self.opinions is not None:
            losses["opinion"] = self.opinion_weight * self._opinion_loss(maps, batch, self.opinions)
        return losses

    def _opinion_loss(self, maps: list[Tensor], batch: Batch, opinions: Tensor) -> Tensor:
        statistics = [entry for features in maps for entry in mean_and_deviation(features, smallest_variance=1e-6)]
        predicted = self.opinion_head(torch.cat(statistics, dim=1)).squeeze(1).float()
        # Relative to the mean opinion, as the head starts near 0; a sum, as autocast would round a product of matrices.
        return F.mse_loss(predicted, (batch.labels * (opinions - opinions.mean())).sum(1))

    def _dsm_loss(self, maps: list[Tensor], batch: Batch) -> Tensor:
        target = sensitivity_map(batch.images, batch.references, self.patch_size).as_subclass(Tensor)
        grid = target.shape[-2:]
        on_grid = [F.interpolate(features, grid, mode="bilinear", antialias=True) for features in maps]
        predicted = F.softplus(self.dsm_head(torch.cat(on_grid, dim=1).movedim(1, -1)).squeeze(-1))
        return F.mse_loss(predicted.float(), target)


def run_pretrain(run: Run) -> None:
    """Pre-train each backbone that a row uses, and write ``pretrain/NAME/backbone.safetensors``."""
    for name, pretraining in pretrainings_of(run.config).items():
        part = f"pretrain/{name}"
        if run.is_finished(part):
            continue
        with run.part(part) as folder:
            backbone = _pretrain(run, pretraining, part)
            if distributed.rank() == 0:
                state = {key: tensor.cpu().contiguous() for key, tensor in backbone.state_dict().items()}
                with replace_when_done(folder / "backbone.safetensors") as temporary:
                    safetensors.torch.save_file(state, temporary)


def load_networks(folder: Path, config: Config, row: Row, device: str) -> tuple[Backbone, ...]:
    """Return the frozen networks that a row takes features from, in eval mode.

    Args:
        folder: The run's folder.
        config: The run's config; a pre-trained network that stands alone is set back by its ``trained_share``.
        row: The row.
        device: Where to put them.

    Raises:
        FileNotFoundError: If a pre-training is not finished.
    """
    share = config.trained_share if len(row.networks) == 1 else 1.0
    networks = [_load_network(folder, config, name, share) for name in row.networks]
    return tuple(network.eval().requires_grad_(False).to(device) for network in networks)


def _load_network(folder: Path, config: Config, name: str, share: float) -> Backbone:
    teacher_name = teacher_of(name, config.teacher)
    if teacher_name is not None:
        teacher = build_teacher(teacher_name)
        assert teacher is not None  # rows_of leaves such rows out where there is no teacher
        return teacher
    backbone = _new_backbone(config, "random")
    if name in PRETRAININGS:
        path = folder / "pretrain" / name / "backbone.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no pre-trained {name!r}: run the stage 'pretrain' first")
        state = safetensors.torch.load_file(path)
        start = _initial_weights(config, PRETRAININGS[name])
        if start != "random" and share < 1:
            state = interpolate_weights(_new_backbone(config, start).state_dict(), state, share)
        backbone.load_state_dict(state)
    return backbone


def _pretrain(run: Run, pretraining: Pretraining, part: str) -> Backbone:
    config = run.config
    backbone = _new_backbone(config, _initial_weights(config, pretraining))
    distillation = None
    if pretraining.distill:
        teacher = build_teacher(config.teacher)
        assert teacher is not None  # pretrainings_of distils nothing where there is no teacher
        distillation = Distillation(
            backbone.channels,
            teacher.to(run.device),
            config.distilled_maps,
            config.distillation_weight,
            config.feature_autocast,
        )
    objective = PretrainObjective(
        backbone,
        run.bank.num_classes,
        distillation,
        config.patch_size,
        config.dsm_weight if pretraining.dsm_head else 0.0,
        run.bank.opinion_scores if pretraining.opinions else None,
        config.opinion_weight,
    )
    batches = make_batches(pretraining, config, run.bank, run.photos.training)
    train(objective, batches, config.pretrain, run, part)
    return backbone


def make_batches(
    pretraining: Pretraining, config: Config, bank: DistortionBank, photos: Sequence[Path]
) -> DistortedCrops:
    """Return the batches of a pre-training, by number; all pre-trainings of a config draw the same crops."""
    return DistortedCrops(
        photos,
        config.photo_side,
        config.pretrain,
        bank,
        make_mixer(pretraining, config, bank, photos),
        seed=derive_seed(config.seed, "pretrain", "batches"),
    )


def interpolate_weights(initial: dict[str, Tensor], trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return share * trained + (1 - share) * initial, batch norms' statistics included; their counters are trained's.

    Training on synthetic distortions makes features that answer to what it has seen, and to anything else strangely;
    half-way back they keep most of what was learned and answer to the rest as before.

    Args:
        initial: ``state_dict()`` of a network before it was trained.
        trained: The same after that.
        share: In [0, 1].

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, equation 1.
    """
    return {
        name: initial[name].lerp(tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in trained.items()
    }


def _initial_weights(config: Config, pretraining: Pretraining) -> Literal["imagenet", "random"]:
    return "random" if pretraining.from_scratch else config.initial_weights


def _new_backbone(config: Config, initial_weights: str) -> Backbone:
    """Return the backbone with random weights that are the same for every pre-training, or with ImageNet's."""
    torch.manual_seed(derive_seed(config.seed, "pretrain", "initial weights"))
    return build_backbone(config.backbone, initial_weights)
