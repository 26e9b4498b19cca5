"""The stand-in for human scores, from photos of any name."""

import numpy as np
import pytest
from PIL import Image

from dsmix_aug.nriqa.datasets.distorted_photos import make_distorted_photos


@pytest.mark.parametrize("stem", ["x" * 251, "写" * 83, "a\\b", 'a,"b"', " a b ", "a\nb", "$x$", "=1+1"])
def test_photos_of_any_name(tmp_path, stem):
    photo = tmp_path / f"{stem}.png"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    scored = make_distorted_photos([photo], tmp_path / "held_out", 64, 48, [3], seed=0)
    assert len(scored.images) >= 20  # those that equal their crop are left out
    assert not scored.skipped
    assert len(set(scored.groups)) == 1
    assert {path.parent for path in scored.images} == {tmp_path / "held_out"}
