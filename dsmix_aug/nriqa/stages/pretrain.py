"""Stage 2: pre-train the backbone on DSMix batches, with a distortion-class head and a teacher to follow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug import DistortionBank, sensitivity_map
from dsmix_aug._resize import interpolate
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.files import save_tensors
from dsmix_aug.nriqa.base.seeds import derive_seed
from dsmix_aug.nriqa.datasets.photos import to_float
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.distillation import Distillation, pool_maps
from dsmix_aug.nriqa.networks.features import STATISTICS
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.nriqa.runs.config import Config
from dsmix_aug.nriqa.runs.names import PRETRAIN
from dsmix_aug.nriqa.runs.networks import KIND, initial_weights, new_backbone
from dsmix_aug.nriqa.runs.rows import Pretraining, pretrainings_of
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.batches import Batch, DistortedCrops
from dsmix_aug.nriqa.stages.mixing import Mixer, make_mixer, mean_dsm_per_class
from dsmix_aug.nriqa.stages.training import train


class PretrainObjective(nn.Module):
    """Soft cross entropy of the distortion classes, plus optionally distillation, the DSM and the opinion.

    The opinion of a (mixed) image is that of its classes, weighted as its soft label is: DSMix's rule for scores; that
    of an image without a class is the batch's estimate, and the class loss passes over such images. The opinion's
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
        pooled = [] if self.distillation is None and self.opinions is None else pool_maps(maps)
        losses = {"classes": F.cross_entropy(self.classifier(maps[-1].mean((2, 3))), batch.labels)}
        if self.distillation is not None:
            losses["distillation"] = self.distillation(images, pooled)
        if self.dsm_weight:
            losses["dsm"] = self.dsm_weight * self._dsm_loss(maps, batch)
        if self.opinions is not None:
            losses["opinion"] = self.opinion_weight * self._opinion_loss(pooled, batch, self.opinions)
        return losses

    def _opinion_loss(self, pooled: list[tuple[Tensor, Tensor]], batch: Batch, opinions: Tensor) -> Tensor:
        predicted = self.opinion_head(torch.cat(list(chain(*pooled)), dim=1)).squeeze(1).float()
        # Relative to the mean opinion, as the head starts near 0; a sum, as autocast would round a product of matrices.
        by_class = (batch.labels * (opinions - opinions.mean())).sum(1)
        target = torch.where(batch.estimates.isnan(), by_class, batch.estimates - opinions.mean())
        return F.mse_loss(predicted, target)

    def _dsm_loss(self, maps: list[Tensor], batch: Batch) -> Tensor:
        target = sensitivity_map(batch.images, batch.references, self.patch_size).as_subclass(Tensor)
        grid = target.shape[-2:]
        on_grid = [interpolate(features, grid, "bilinear") for features in maps]
        predicted = F.softplus(self.dsm_head(torch.cat(on_grid, dim=1).movedim(1, -1)).squeeze(-1))
        return F.mse_loss(predicted.float(), target)


def run_pretrain(run: Run) -> None:
    """Pre-train each backbone that a row uses, and write ``pretrain/NAME/backbone.safetensors``."""

    @functools.cache  # the same for all, and measured only if one needs it
    def class_means() -> Tensor:
        return mean_dsm_per_class(run.config, run.bank, run.photos.training)

    for name, pretraining in pretrainings_of(run.config).items():
        part = f"{PRETRAIN}/{name}"
        if run.is_finished(part):
            continue
        with run.part(part):
            backbone = _pretrain(run, pretraining, class_means, part)
            if distributed.rank() == 0:
                save_tensors(run.backbone_path(name), KIND, name, backbone.state_dict())


def _pretrain(run: Run, pretraining: Pretraining, class_means: Callable[[], Tensor], part: str) -> Backbone:
    config = run.config
    backbone = new_backbone(config, initial_weights(config, pretraining))
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
    mixer = make_mixer(pretraining, config, run.bank, class_means)
    batches = make_batches(config, run.bank, run.photos.training, mixer)
    with batches.naming_photos():
        train(objective, batches, config.pretrain, run, part)
    return backbone


def make_batches(config: Config, bank: DistortionBank, photos: Sequence[Path], mixer: Mixer | None) -> DistortedCrops:
    """Return the batches of a pre-training, by number; all pre-trainings of a config draw the same crops."""
    return DistortedCrops(
        photos,
        config.photo_side,
        config.pretrain,
        bank,
        mixer,
        seed=derive_seed(config.seed, "pretrain", "batches"),
        estimated_share=config.estimated_share,
    )
