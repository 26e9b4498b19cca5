"""What the stages compute: the losses of pre-training, the check of the estimator, the summary of predictions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy import special, stats
from torch import nn

from dsmix_aug import DistortionBank, DSMEstimator, sensitivity_map
from dsmix_aug.nriqa.datasets.skimage_photos import load_skimage_photos
from dsmix_aug.nriqa.networks.backbones import Backbone
from dsmix_aug.nriqa.networks.distillation import Distillation
from dsmix_aug.nriqa.runs.networks import interpolate_weights
from dsmix_aug.nriqa.runs.predictions import Predictions
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import ROWS
from dsmix_aug.nriqa.stages.batches import Batch
from dsmix_aug.nriqa.stages.dsm import DSMObjective, check_estimator
from dsmix_aug.nriqa.stages.evaluate import summarize
from dsmix_aug.nriqa.stages.pretrain import PretrainObjective


class Tiny(Backbone):
    def __init__(self, width):
        super().__init__(mean=(0.0,) * 3, std=(1.0,) * 3)
        self.channels = (4, width)
        self.first, self.second = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, width, 3, stride=2)

    def forward(self, images):
        first = self.first(self.normalize(images)).relu()
        return [first, self.second(first)]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    references = torch.randint(0, 256, (6, 3, 40, 40), dtype=torch.uint8, generator=generator)
    images = torch.randint(0, 256, (6, 3, 40, 40), dtype=torch.uint8, generator=generator)
    labels = torch.rand(6, 5, generator=generator).softmax(1)
    return Batch(images, references, labels, torch.full((6,), torch.nan))


def test_dsm_losses_are_relative_error_and_correlation_with_the_true_map(batch):
    batch.images[0] = batch.references[0]  # a flat map of zeros
    batch.images[1:3, :, :20] = batch.references[1:3, :, :20]  # maps that vary; those of noise everywhere do not
    estimator = DSMEstimator(8, embed_dim=16, depth=1, num_heads=2)
    objective = DSMObjective(estimator, num_classes=5)
    losses = objective(batch)
    difference = (batch.images.double() - batch.references.double()).abs().mean(1) / 255
    true = difference.unfold(1, 8, 8).unfold(2, 8, 8).mean((3, 4)).flatten(1).numpy()
    predicted = estimator(batch.images / 255).detach().double().flatten(1).numpy()
    errors = ((predicted - true) / (true.mean(1, keepdims=True) + 0.01)) ** 2
    assert losses["relative_error"].item() == pytest.approx(np.minimum(errors, 10).mean(), rel=1e-4)
    patterns = [
        1 - np.corrcoef(own, other)[0, 1] if other.std() > 0.1 * other.mean() else 0
        for own, other in zip(predicted, true, strict=True)
    ]
    assert 0 < np.count_nonzero(patterns) < 6
    assert losses["pattern"].item() == pytest.approx(np.mean(patterns), abs=2e-3)
    scores = objective.classifier(estimator.forward_features(batch.images / 255).mean((1, 2))).detach().numpy()
    entropies = -(batch.labels.numpy() * (scores - special.logsumexp(scores, axis=1, keepdims=True))).sum(1)
    assert losses["classes"].item() == pytest.approx(0.5 * entropies.mean(), rel=1e-4)
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in estimator.parameters())


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_are_interpolated_between_start_and_end_of_training(share):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(3):
        network(torch.rand(2, 3, 8, 8)).square().sum().backward()
        optimizer.step()
    end = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for name, tensor in interpolate_weights(start, end, share).items():
        is_counter = name.endswith("num_batches_tracked")
        expected = end[name] if is_counter else share * end[name].double() + (1 - share) * start[name].double()
        assert tensor.dtype == end[name].dtype
        np.testing.assert_allclose(tensor.double(), expected, rtol=1e-5, atol=1e-7)
        assert is_counter or not torch.equal(start[name], end[name])


def test_opinion_of_a_mixed_image_is_mixed_as_its_label_is(batch):
    torch.manual_seed(0)
    opinions = torch.tensor([4.6, 1.3, 2.0, 3.5, 4.0])
    backbone = Tiny(8)
    objective = PretrainObjective(backbone, 5, None, 8, dsm_weight=0.0, opinions=opinions, opinion_weight=0.5)
    losses = objective(batch)
    assert set(losses) == {"classes", "opinion"}
    statistics = []
    for features in backbone(batch.images / 255):
        pixels = features.detach().double().flatten(2).numpy()
        statistics += [pixels.mean(2), pixels.std(2)]
    pooled = np.concatenate(statistics, axis=1)
    standardized = (pooled - pooled.mean(0)) / np.sqrt(pooled.var(0) + 1e-5)
    head = objective.opinion_head[1]
    predicted = standardized @ head.weight.detach().double().numpy()[0] + head.bias.item() + opinions.mean().item()
    target = (batch.labels.double() @ opinions.double()).numpy()
    assert losses["opinion"].item() == pytest.approx(0.5 * np.mean((predicted - target) ** 2), rel=0.01)
    losses["opinion"].backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_an_image_without_a_class_has_the_estimated_opinion(batch):
    """The class loss passes over it."""
    torch.manual_seed(0)
    opinions = torch.tensor([4.6, 1.3, 2.0, 3.5, 4.0])
    objective = PretrainObjective(Tiny(8), 5, None, 8, dsm_weight=0.0, opinions=opinions)
    labels, estimates = batch.labels.clone(), batch.estimates.clone()
    labels[4:] = 0
    estimates[4:] = torch.tensor([1.2, 3.9])
    losses = objective(batch._replace(labels=labels, estimates=estimates))
    known = torch.cat([batch.labels[:4] @ opinions, estimates[4:]])
    as_class = batch._replace(labels=torch.zeros(6, 5), estimates=known)
    assert losses["opinion"].item() == pytest.approx(objective(as_class)["opinion"].item(), rel=1e-4)
    logits = objective.classifier(objective.backbone(batch.images / 255)[-1].mean((2, 3)))
    expected = -(labels * logits.log_softmax(1)).sum(1).sum() / 6
    assert losses["classes"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_opinions_are_known():
    with pytest.raises(ValueError, match="opinions: that of class 1 is not known"):
        PretrainObjective(Tiny(8), 2, None, 8, dsm_weight=0.0, opinions=torch.tensor([4.6, np.nan]))


@pytest.mark.parametrize("teacher_width", [8, 12])
def test_pretraining_losses(batch, teacher_width):
    torch.manual_seed(0)
    backbone, teacher = Tiny(8), Tiny(teacher_width).eval().requires_grad_(False)
    distillation = Distillation(backbone.channels, teacher, "last", 0.5)
    objective = PretrainObjective(backbone, 5, distillation, patch_size=8, dsm_weight=2.0)
    losses = objective(batch)
    assert set(losses) == {"classes", "distillation", "dsm"}
    pooled, wanted = (network(batch.images / 255)[-1].mean((2, 3)) for network in (backbone, teacher))
    log_probabilities = objective.classifier(pooled).log_softmax(1)
    assert losses["classes"].item() == pytest.approx(-(batch.labels * log_probabilities).sum(1).mean().item(), rel=1e-4)
    (projection,) = distillation.projections
    deviations = (network(batch.images / 255)[-1].flatten(2).std(2, correction=0) for network in (backbone, teacher))
    cosines = (
        F.cosine_similarity(projection(pooled), wanted),
        F.cosine_similarity(projection(next(deviations)), next(deviations)),
    )
    expected = 0.5 * (1 - torch.stack(cosines).mean().item())
    assert losses["distillation"].item() == pytest.approx(expected, rel=1e-4)
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_teacher_is_neither_trained_nor_saved(batch):
    teacher = Tiny(8).eval()
    objective = PretrainObjective(Tiny(8), 5, Distillation((4, 8), teacher, "all", 1.0), 8, 0.0)
    objective.train()
    assert not teacher.training
    assert len(objective.state_dict()) == len(Tiny(8).state_dict()) + 2  # the classifier's


def test_distillation_from_itself_is_free(batch):
    teacher = Tiny(8)
    backbone = Tiny(8)
    backbone.load_state_dict(teacher.state_dict())
    losses = PretrainObjective(backbone, 5, Distillation((4, 8), teacher, "all", 1.0), 8, 0.0)(batch)
    assert losses["distillation"].item() == pytest.approx(0, abs=1e-6)


def test_without_teacher_and_dsm_there_is_one_loss(batch):
    assert set(PretrainObjective(Tiny(8), 5, None, 8, 0.0)(batch)) == {"classes"}


def test_dsm_head_learns(batch):
    torch.manual_seed(0)
    objective = PretrainObjective(Tiny(8), 5, None, 8, dsm_weight=1.0)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(objective(batch)["dsm"])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1].item() < 0.1 * losses[0].item()


def test_check_of_the_estimator_compares_each_class_with_the_truth():
    config = replace(PRESETS["smoke"], held_out_side=64)
    run = SimpleNamespace(
        config=config, photos=load_skimage_photos(64), bank=DistortionBank(["color_block", "mean_shift"]), device="cpu"
    )
    run.photos = replace(run.photos, held_out=run.photos.held_out[:2])

    class Oracle(nn.Module):
        """Knows the truth, times three."""

        patch_size = config.patch_size
        maps: list[torch.Tensor] = []  # noqa: RUF012

        def forward(self, images):
            return 3 * self.maps.pop(0)

    def remember(distorted, reference, patch_size):
        maps = sensitivity_map(distorted, reference, patch_size)
        Oracle.maps.append(maps.as_subclass(torch.Tensor))
        return maps

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsmix_aug.nriqa.stages.dsm.sensitivity_map", remember)
        table = check_estimator(Oracle(), run)
    assert len(table) == 2 * (run.bank.num_classes - 1)
    assert set(zip(table["distortion"], table["level"], strict=True)) == {
        run.bank.decode(label) for label in range(1, run.bank.num_classes)
    }
    blocks = table[table["distortion"] == "color_block"]
    assert blocks["varies"].all()
    np.testing.assert_allclose(blocks["correlation"], 1, atol=1e-5)
    np.testing.assert_allclose(table["predicted_mean"], 3 * table["true_mean"], rtol=1e-5)


def test_summary_is_the_median_over_splits():
    rng = np.random.default_rng(0)
    tables = [
        pd.DataFrame(
            {
                "row": "dsmix",
                "trained_on": "toy",
                "tested_on": "toy",
                "split": split,
                "image": [f"{split}_{number}.png" for number in range(30)],
                "content": [f"{split}_{number}" for number in range(30)],
                "target": rng.random(30),
                "prediction": rng.random(30),
            }
        )
        for split in range(3)
    ]
    (result,) = summarize(Predictions(pd.concat(tables)), ROWS, {"toy": "MOS"}).to_dict("records")
    correlations = [stats.spearmanr(table["target"], table["prediction"]).statistic for table in tables]
    assert result["srcc"] == pytest.approx(np.median(correlations))
    assert (result["srcc_min"], result["srcc_max"]) == pytest.approx((min(correlations), max(correlations)))
    assert (result["splits"], result["images"], result["target"]) == (3, 90, "MOS")
    tables[1]["prediction"] = 0.5
    (result,) = summarize(Predictions(pd.concat(tables)), ROWS, {"toy": "MOS"}).to_dict("records")
    assert np.isnan(result["srcc"])  # seen, not averaged away
