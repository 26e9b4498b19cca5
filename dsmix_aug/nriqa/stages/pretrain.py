"""Stage 2: pre-train the backbone on DSMix batches, with a distortion-class head and a teacher to follow."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug import DSMix, sensitivity_map
from dsmix_aug.nriqa import distributed
from dsmix_aug.nriqa.backbones import Backbone, build_backbone
from dsmix_aug.nriqa.batches import Batch, DistortedCrops
from dsmix_aug.nriqa.config import Config
from dsmix_aug.nriqa.files import replace_when_done
from dsmix_aug.nriqa.photos import to_float
from dsmix_aug.nriqa.rows import Row, rows_of
from dsmix_aug.nriqa.run import Run
from dsmix_aug.nriqa.seeds import derive_seed
from dsmix_aug.nriqa.teacher import build_teacher
from dsmix_aug.nriqa.training import train


class PretrainObjective(nn.Module):
    """Soft cross entropy of the distortion classes, plus distillation, plus optionally the DSM.

    Distillation: 1 - cosine similarity of the averaged last feature maps of backbone and teacher on the same distorted
    image, after a linear projection where their widths differ.

    Args:
        backbone: The network to train.
        num_classes: Classes of the distortion bank.
        teacher: A frozen network, or ``None`` for no distillation. It is no submodule: neither trained nor saved.
        distillation_weight: Weight of the distillation loss.
        patch_size: Of the DSM.
        dsm_weight: Weight of the DSM loss; 0: no such head.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        teacher: Backbone | None,
        distillation_weight: float,
        patch_size: int,
        dsm_weight: float,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels[-1], num_classes)
        self.distillation_weight = distillation_weight
        self.patch_size = patch_size
        self.dsm_weight = dsm_weight
        self._teacher = (teacher,)  # in a tuple, where nn.Module does not look for submodules
        if teacher is not None:
            widths = backbone.channels[-1], teacher.channels[-1]
            self.projection = nn.Identity() if widths[0] == widths[1] else nn.Linear(*widths, bias=False)
        if dsm_weight:
            self.dsm_head = nn.Linear(sum(backbone.channels), 1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses of a batch by name."""
        images = to_float(batch.images)
        maps = self.backbone(images)
        pooled = maps[-1].mean((2, 3))
        losses = {"classes": F.cross_entropy(self.classifier(pooled), batch.labels)}
        (teacher,) = self._teacher
        if teacher is not None:
            with torch.no_grad():
                wanted = teacher(images)[-1].mean((2, 3))
            similarity = F.cosine_similarity(self.projection(pooled).float(), wanted.float())
            losses["distillation"] = self.distillation_weight * (1 - similarity).mean()
        if self.dsm_weight:
            losses["dsm"] = self.dsm_weight * self._dsm_loss(maps, batch)
        return losses

    def _dsm_loss(self, maps: list[Tensor], batch: Batch) -> Tensor:
        target = sensitivity_map(batch.images, batch.references, self.patch_size).as_subclass(Tensor)
        grid = target.shape[-2:]
        on_grid = [F.interpolate(features, grid, mode="bilinear", antialias=True) for features in maps]
        predicted = F.softplus(self.dsm_head(torch.cat(on_grid, dim=1).movedim(1, -1)).squeeze(-1))
        return F.mse_loss(predicted.float(), target)


def run_pretrain(run: Run) -> None:
    """Pre-train the backbone of every row that has one, and write ``pretrain/ROW/backbone.safetensors``."""
    for name, row in run.rows.items():
        part = f"pretrain/{name}"
        if row.kind != "pretrained" or run.is_finished(part):
            continue
        with run.part(part) as folder:
            backbone = _pretrain_row(run, row, part)
            if distributed.rank() == 0:
                state = {key: tensor.cpu().contiguous() for key, tensor in backbone.state_dict().items()}
                with replace_when_done(folder / "backbone.safetensors") as temporary:
                    safetensors.torch.save_file(state, temporary)


def load_row_backbone(folder: Path, config: Config, name: str, device: str) -> Backbone:
    """Return the frozen network that a row's features come from, in eval mode.

    Args:
        folder: The run's folder.
        config: The run's config.
        name: The row.
        device: Where to put it.

    Raises:
        FileNotFoundError: If the row's pre-training is not finished.
        ValueError: If the config has no such row.
    """
    rows = rows_of(config)
    if name not in rows:
        raise ValueError(f"row should be one of {', '.join(rows)}, got {name!r}")
    if rows[name].kind == "teacher":
        backbone = build_teacher(config.teacher)
        assert backbone is not None  # rows_of leaves the row out where there is no teacher
    else:
        backbone = _new_backbone(config, "random")
    if rows[name].kind == "pretrained":
        path = folder / "pretrain" / name / "backbone.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no pre-trained {name!r}: run the stage 'pretrain' first")
        backbone.load_state_dict(safetensors.torch.load_file(path))
    return backbone.eval().requires_grad_(False).to(device)


def _pretrain_row(run: Run, row: Row, part: str) -> Backbone:
    config = run.config
    teacher = build_teacher(config.teacher) if row.distill else None
    objective = PretrainObjective(
        _new_backbone(config, config.initial_weights),
        run.bank.num_classes,
        None if teacher is None else teacher.to(run.device),
        config.distillation_weight,
        config.patch_size,
        config.dsm_weight,
    )
    mix = None
    if row.weighting:
        mix = DSMix(num_classes=run.bank.num_classes, patch_size=config.patch_size, weighting=row.weighting)
    batches = DistortedCrops(
        run.photos.training,
        config.photo_side,
        config.pretrain,
        run.bank,
        mix,
        seed=derive_seed(config.seed, "pretrain", "batches"),  # the same for every row
    )
    train(objective, batches, config.pretrain, run, part)
    return objective.backbone


def _new_backbone(config: Config, initial_weights: str) -> Backbone:
    """Return the backbone with random weights that are the same for every row, or with ImageNet's."""
    torch.manual_seed(derive_seed(config.seed, "pretrain", "initial weights"))
    return build_backbone(config.backbone, initial_weights)
