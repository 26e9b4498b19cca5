"""Quality models: from a run to one file and back, and what is refused."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.files import file_hash
from dsmix_aug.nriqa.networks.backbones import build_backbone
from dsmix_aug.nriqa.networks.linear_probe import LinearProbe
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.nriqa.quality_model import QualityModel

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    networks = (build_teacher("efficientnet_lite0"), build_backbone("efficientnet_lite0", "random").eval())
    rng = np.random.default_rng(0)
    width = 2 * 4 * sum(networks[0].channels)
    low, mean, coefficients = rng.normal(size=(3, width))
    probe = LinearProbe(low, low + 1, mean, rng.uniform(1, 2, width), coefficients, 0.5)
    return QualityModel(
        row=Row("both", ("teacher", "dsmix")),
        backbone="efficientnet_lite0",
        teacher="efficientnet_lite0",
        networks=networks,
        probe=probe,
        target="MOS",
        trained_on="toy",
        remark="a test",
        device="cpu",
        autocast=False,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number, size in enumerate([(64, 64), (70, 90)]):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_one_file_gives_the_same_scores_up_to_half_precision(model, photos, tmp_path):
    path = tmp_path / "model.safetensors"
    model.save_pretrained(path)
    loaded = QualityModel.from_pretrained(path)
    expected = model.score(photos)
    np.testing.assert_allclose(loaded.score(photos), expected, rtol=0.02, atol=0.02 * np.ptp(expected))
    for name in ("row", "backbone", "teacher", "target", "trained_on", "remark", "autocast"):
        assert getattr(loaded, name) == getattr(model, name)
    assert not any(network.training for network in loaded.networks)
    stored = safetensors.torch.load_file(path)
    assert not any(key.startswith("teacher/") for key in stored)  # it comes from its own package
    assert {tensor.dtype for key, tensor in stored.items() if tensor.ndim > 1} == {torch.float16}
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"path should end in .safetensors, got .*model.pt"):
        model.save_pretrained(tmp_path / "model.pt")
    with pytest.raises(FileNotFoundError, match="there is no file nothing, and the weights that ship with the package"):
        QualityModel.from_pretrained("nothing")
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="pickles, which can run code"):
        QualityModel.from_pretrained(tmp_path / "model.pt")
    estimator = tmp_path / "estimator.safetensors"
    DSMEstimator(8, 16, 1, 2).save_pretrained(estimator)
    with pytest.raises(ValueError, match=r"estimator.safetensors holds no QualityModel"):
        QualityModel.from_pretrained(estimator)


@pytest.mark.parametrize("missing", ["probe/mean", "dsmix/network._conv_stem.weight"])
def test_incomplete_files_are_refused(model, tmp_path, missing):
    path = tmp_path / "model.safetensors"
    model.save_pretrained(path)
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    changed = tmp_path / "changed.safetensors"  # the first file may still be mapped into memory
    safetensors.torch.save_file({key: value for key, value in tensors.items() if key != missing}, changed, metadata)
    with pytest.raises(ValueError, match=r"changed.safetensors does not fit a QualityModel"):
        QualityModel.from_pretrained(changed)
    description = json.loads(metadata["dsmix_aug.QualityModel"])
    without = tmp_path / "without.safetensors"
    safetensors.torch.save_file(
        tensors, without, {"dsmix_aug.QualityModel": json.dumps({**description, "teacher": "none"})}
    )
    with pytest.raises(ValueError, match=r"does not fit a QualityModel: .* needs a teacher"):
        QualityModel.from_pretrained(without)


def run_script(name, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_a_run_is_exported_with_checksums(tmp_path):
    run_script("nriqa_pipeline.py", "--preset", "smoke", "--out", tmp_path, "--rows", "teacher_and_dsmix")
    run_script("export_weights.py", tmp_path / "smoke", "--name", "tiny", "--out", tmp_path / "weights")
    files = sorted((tmp_path / "weights").iterdir())
    assert [path.name for path in files] == [
        "SHA256SUMS", "dsm_estimator-tiny.safetensors", "quality_model-tiny.safetensors",
    ]  # fmt: skip
    assert files[0].read_text() == "".join(f"{file_hash(path)}  {path.name}\n" for path in files[1:])
    images = torch.rand(1, 3, 64, 64)
    exported = DSMEstimator.from_pretrained(files[1])(images)
    trained = DSMEstimator.from_pretrained(tmp_path / "smoke" / "dsm" / "estimator.safetensors")(images)
    torch.testing.assert_close(exported, trained, rtol=0.01, atol=1e-3)
    photo = sorted((tmp_path / "smoke" / "held_out").glob("*.png"))[:1]
    run_script("score_images.py", *photo, "--run", tmp_path / "smoke", "--csv", tmp_path / "scores.csv")
    score = float((tmp_path / "scores.csv").read_text().splitlines()[1].split(",")[1])
    assert QualityModel.from_pretrained(files[2]).score(photo)[0] == pytest.approx(score, abs=0.01)
    for given in (tmp_path / "weights", files[1], files[2]):  # their folder, or either file
        csv, maps = tmp_path / "again.csv", tmp_path / "maps" / given.name
        run_script("score_images.py", *photo, "--weights", given, "--csv", csv, "--maps", maps)
        assert float(csv.read_text().splitlines()[1].split(",")[1]) == pytest.approx(score, abs=0.01)
        assert len(list(maps.iterdir())) == 1


def test_a_run_that_is_not_there_cannot_be_exported(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script("export_weights.py", tmp_path / "nothing")
    assert stop.value.code == 2
    assert "there is no run in " in capsys.readouterr().err
