"""Opinions of the bank's classes: KADID-10k's published scores, and those that others give their own distortions."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from dsmix_aug import DistortionBank
from dsmix_aug.distortions import Distortion
from dsmix_aug.distortions.blur import GaussianBlur

#: Levels that leave the image as it is.
IDENTITIES = (("gaussian_blur", 1), ("motion_blur", 1), ("color_saturation_lab", 1), ("mean_shift", 3))


@pytest.fixture(scope="module")
def bank() -> DistortionBank:
    return DistortionBank()


class Halve(Distortion):
    """A distortion that nobody was asked about."""

    name = "halve"
    parameter = "offset"
    values = (0.25, 0.5)
    family = "brightness"

    def distort(self, images, values, draws):
        return images / 2


class ScoredHalve(Halve):
    opinions = (4, 2.5)


class TestKadid10k:
    def test_every_class_has_a_mean_and_a_deviation(self, bank):
        for values, low, high in ((bank.opinion_scores, 1, 5), (bank.opinion_stds, 0.1, 1)):
            assert (values.shape, values.dtype, values.device.type) == ((122,), torch.float32, "cpu")
            assert ((low < values) & (values < high)).all()

    @pytest.mark.parametrize(
        ("name", "level", "mean"),
        [("jpeg", 5, 1.35), ("gaussian_blur", 2, 4.38), ("color_block", 1, 2.69), ("contrast_change", 3, 4.29)],
    )
    def test_published_means(self, bank, name, level, mean):
        assert bank.opinion_scores[bank.encode(name, level)] == pytest.approx(mean, abs=0.005)

    def test_pristine_is_the_mean_of_the_levels_that_change_nothing(self, bank):
        assert bank.opinion_scores[0] == pytest.approx((4.6122 + 4.6041 + 4.5798 + 4.6030) / 4, abs=1e-3)
        assert bank.opinion_stds[0] == pytest.approx(0.133, abs=1e-3)
        assert bank.opinion_scores.argmax() in (0, bank.encode("darken", 1))

    def test_a_returned_tensor_may_be_changed(self, bank):
        bank.opinion_scores.zero_()
        assert bank.opinion_scores[0] > 4

    def test_a_smaller_bank_keeps_the_scores_of_its_classes(self, bank):
        part = DistortionBank(["mean_shift", "jpeg"], levels=(5, 3))
        expected = [bank.encode(*part.decode(label)) for label in range(part.num_classes)]
        assert torch.equal(part.opinion_scores, bank.opinion_scores[expected])
        assert torch.equal(part.opinion_stds, bank.opinion_stds[expected])

    def test_without_pristine(self, bank):
        part = DistortionBank(pristine=False)
        assert torch.equal(part.opinion_scores, bank.opinion_scores[1:])
        assert torch.equal(part.opinion_stds, bank.opinion_stds[1:])

    def test_table_is_that_of_the_single_scores(self, bank, shared_data):
        scores = _single_scores(shared_data / "kadid10k" / "opinions.csv")
        assert len(scores) == 125
        of_pristine = [score for key in IDENTITIES for score in scores[key]]
        for label in range(bank.num_classes):
            expected = scores[bank.decode(label)] if label else of_pristine
            assert bank.opinion_scores[label] == pytest.approx(statistics.fmean(expected), abs=1e-3)
            assert bank.opinion_stds[label] == pytest.approx(statistics.stdev(expected), abs=1e-3)

    def test_class_means_follow_the_single_scores(self, bank, shared_data):
        scores = _single_scores(shared_data / "kadid10k" / "opinions.csv")
        means = np.concatenate([[bank.opinion_scores[bank.encode(*key)]] * len(own) for key, own in scores.items()])
        assert stats.spearmanr(means, np.concatenate(list(scores.values()))).statistic == pytest.approx(0.942, abs=2e-3)


def _single_scores(path: Path) -> dict[tuple[str, int], list[float]]:
    scores: dict[tuple[str, int], list[float]] = {}
    for line in path.read_text().splitlines()[1:]:
        name, level, _, score = line.split(",")
        scores.setdefault((name, int(level)), []).append(float(score))
    return scores


class TestOtherDistortions:
    def test_nobody_was_asked(self):
        bank = DistortionBank([Halve(), "jpeg"], levels=(1, 2))
        assert bank.opinion_scores.isnan().tolist() == [False, True, True, False, False]
        assert bank.opinion_stds.isnan().tolist() == [False, True, True, False, False]

    def test_own_opinions_have_no_deviation(self):
        bank = DistortionBank([ScoredHalve()], levels=(2,))
        assert bank.opinion_scores[1] == 2.5
        assert bank.opinion_stds[1].isnan()

    def test_a_table_goes_before_the_class(self):
        bank = DistortionBank([ScoredHalve(), "jpeg"], levels=(1, 2), opinions={"halve": [3, 2]})
        assert bank.opinion_scores[1:3].tolist() == [3, 2]
        assert bank.opinion_scores[bank.encode("jpeg", 1)] == pytest.approx(4.338)

    def test_another_distortion_of_the_same_name_has_not_the_scores_of_kadid_10k(self):
        class Stronger(GaussianBlur):
            values = (1.0, 2.0, 4.0, 8.0, 16.0)

        assert DistortionBank([Stronger()], pristine=False).opinion_scores.isnan().all()

    @pytest.mark.parametrize("wrong", [0.99, 5.01, math.nan, -math.inf])
    @pytest.mark.parametrize("given", ["class", "table"])
    def test_opinions_out_of_range_are_refused(self, wrong, given):
        own = type("Own", (Halve,), {"opinions": (4, wrong)} if given == "class" else {})()
        with pytest.raises(ValueError, match=rf"opinions of 'halve' should lie between 1 .* got {wrong}"):
            DistortionBank([own], levels=(1,), opinions=None if given == "class" else {"halve": (4, wrong)})

    @pytest.mark.parametrize("opinions", [(4.0,), (4, 3, 2), ()])
    def test_there_is_one_per_level(self, opinions):
        with pytest.raises(ValueError, match=rf"'halve' should be one per level: expected 2, got {len(opinions)}"):
            DistortionBank([Halve()], levels=(1,), opinions={"halve": opinions})

    @pytest.mark.parametrize("opinions", ["42", 4.0, ("4", "3"), (None, None)])
    def test_opinions_are_numbers(self, opinions):
        with pytest.raises(TypeError, match="opinions of 'halve' should be a sequence of numbers"):
            DistortionBank([Halve()], levels=(1,), opinions={"halve": opinions})

    def test_unknown_type_in_a_table(self):
        with pytest.raises(ValueError, match="opinions: 'webp' is not in this bank, expected one of halve, jpeg"):
            DistortionBank([Halve(), "jpeg"], levels=(1,), opinions={"webp": (4, 3)})

    def test_a_table_is_a_mapping(self):
        with pytest.raises(TypeError, match="opinions should map types"):
            DistortionBank([Halve()], levels=(1,), opinions=[(4, 3)])
