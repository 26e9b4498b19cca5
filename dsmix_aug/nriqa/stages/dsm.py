"""Stage 1: train the DSM estimator on distorted photos, then compare it with the truth on held-out photos."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dsmix_aug import DSMEstimator, sensitivity_map
from dsmix_aug._progress import track
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator
from dsmix_aug.nriqa.datasets.photos import read_center, to_float
from dsmix_aug.nriqa.runs.names import DSM
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.batches import Batch, DistortedCrops
from dsmix_aug.nriqa.stages.training import train

#: Held-out photos that the estimator is checked on, each with every class of the bank.
CHECKED_PHOTOS = 8
#: A map whose values vary less, relative to its mean, is flat: there is no pattern to predict.
VARYING = 0.1
#: Added to a map's mean, so that hardly visible distortions do not dominate the relative error.
STRENGTH_FLOOR = 0.01
#: Upper bound of the relative squared error, so that very wrong predictions early on do not derail training.
ERROR_CEILING = 10.0
CLASSES_WEIGHT = 0.5


class DSMObjective(nn.Module):
    """Relative squared error of the predicted DSM, 1 - its correlation with the true one, and cross-entropy of classes.

    The paper's plain mean squared error is dominated by the few distortions that change pixels most; relative to the
    true map's mean, all have the same weight. Pearson's correlation, over the patches of each image whose true map
    varies, measures the pattern whatever its strength. An auxiliary classifier on the mean token (training only) speeds
    learning: the class largely determines the map. A darkened photo, for example, changed where it was bright.
    """

    def __init__(self, estimator: DSMEstimator, num_classes: int) -> None:
        super().__init__()
        self.estimator = estimator
        self.classifier = nn.Linear(estimator.embed_dim, num_classes)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the losses of a batch."""
        true = sensitivity_map(batch.images, batch.references, self.estimator.patch_size).as_subclass(Tensor).flatten(1)
        tokens = self.estimator.forward_features(to_float(batch.images))
        predicted = self.estimator.forward_head(tokens).float().flatten(1)
        mean = true.mean(1, keepdim=True)
        error = ((predicted - true) / (mean + STRENGTH_FLOOR)).square().clamp(max=ERROR_CEILING)
        varies = true.std(1, correction=0) > VARYING * mean.squeeze(1)
        # Where a map is flat both deviations are 0: the small constant keeps the gradient finite.
        predicted_pattern, true_pattern = (values - values.mean(1, keepdim=True) for values in (predicted, true))
        pattern = 1 - F.cosine_similarity(predicted_pattern, true_pattern, eps=1e-6)
        classes = F.cross_entropy(self.classifier(tokens.mean((1, 2))), batch.labels)
        return {
            "relative_error": error.mean(),
            "pattern": (pattern * varies).mean(),
            "classes": CLASSES_WEIGHT * classes,
        }


def run_dsm(run: Run) -> None:
    """Train the estimator and write ``dsm/estimator.safetensors`` and ``dsm/correlation.csv``."""
    if run.is_finished(DSM):
        return
    config = run.config
    with run.part(DSM):
        torch.manual_seed(derive_seed(config.seed, DSM, "initial weights"))
        estimator = DSMEstimator(config.patch_size, **asdict(config.estimator))
        batches = DistortedCrops(
            run.photos.training,
            config.photo_side,
            config.dsm,
            run.bank,
            mixer=None,
            seed=derive_seed(config.seed, DSM, "batches"),
        )
        with batches.naming_photos():
            train(DSMObjective(estimator, run.bank.num_classes), batches, config.dsm, run, DSM)
        if distributed.rank() == 0:
            estimator.save_pretrained(run.estimator_path)
            table = check_estimator(estimator, run)
            write_csv(run.correlation_path, table.to_dict("list"))


def check_estimator(estimator: DSMEstimator, run: Run) -> pd.DataFrame:
    """Compare predicted and true maps of held-out photos, a row for each photo and class of the bank.

    ``correlation`` is Pearson's over the patches of one image, NaN where a map is constant; ``varies`` tells whether
    the true map's standard deviation is more than a tenth of its mean.
    """
    rows: list[dict[str, object]] = []
    for photo in track(run.photos.held_out[:CHECKED_PHOTOS], "check the DSM estimator", "photos"):
        rows += _check_photo(estimator, photo, run)
    return pd.DataFrame(rows)


def _check_photo(estimator: DSMEstimator, photo: Path, run: Run) -> list[dict[str, object]]:
    reference = read_center(photo, run.config.photo_side, run.config.held_out_side)
    reference = reference.expand(run.bank.num_classes - 1, -1, -1, -1)
    labels = torch.arange(1, run.bank.num_classes)
    generator = make_generator(run.config.seed, DSM, "check", photo.name)
    distorted, _ = run.bank(reference, labels=labels, generator=generator)
    true_maps = sensitivity_map(distorted, reference, estimator.patch_size).flatten(1).numpy()
    with torch.no_grad():
        chunks = [estimator(to_float(chunk.to(run.device))).float().cpu() for chunk in distorted.split(32)]
    rows = []
    for label, true, predicted in zip(labels.tolist(), true_maps, torch.cat(chunks).flatten(1).numpy(), strict=True):
        distortion, level = run.bank.decode(label)
        constant = np.ptp(true) == 0 or np.ptp(predicted) == 0
        rows.append(
            {
                "photo": photo.name,
                "distortion": distortion,
                "level": level,
                "correlation": np.nan if constant else np.corrcoef(true, predicted)[0, 1],
                "varies": bool(true.std() > VARYING * true.mean()),
                "true_mean": true.mean(),
                "predicted_mean": predicted.mean(),
            }
        )
    return rows
