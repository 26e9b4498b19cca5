"""Quality models: from a run to one file and back, and what is refused."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from factories import run_script
from PIL import Image

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.files import file_hash
from dsmix_aug.nriqa.datasets.photos import read_photo, to_float
from dsmix_aug.nriqa.networks.backbones import build_backbone
from dsmix_aug.nriqa.networks.features import extract_features, pool_features, pool_photo, select_last_map
from dsmix_aug.nriqa.networks.hidden_layer import HiddenLayer
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.nriqa.quality_model import QualityModel


def make_model(row, networks, probe):
    return QualityModel(
        row=row,
        backbone="efficientnet_lite0",
        teacher="efficientnet_lite0",
        networks=networks,
        probe=probe,
        target="MOS",
        trained_on="toy",
        remark="a test",
        score_range=(0.0, 1.0),
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    networks = (build_teacher("efficientnet_lite0"), build_backbone("efficientnet_lite0", "random").eval())
    rng = np.random.default_rng(0)
    width = 2 * 4 * sum(networks[0].channels)
    low, mean, coefficients = rng.normal(size=(3, width))
    hidden = HiddenLayer(rng.normal(size=(3, width)) / width**0.5, rng.normal(size=3), rng.normal(size=3))
    probe = Probe(low, low + 1, mean, rng.uniform(1, 2, width), coefficients / width**0.5, 0.5, hidden)
    return make_model(Row("both", ("teacher", "dsmix")), networks, probe)


def read(photo):
    return to_float(read_photo(photo))[None]


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
    for name in ("row", "backbone", "teacher", "target", "trained_on", "remark", "score_range", "autocast"):
        assert getattr(loaded, name) == getattr(model, name)
    assert not any(network.training for network in loaded.networks)
    stored = safetensors.torch.load_file(path)
    assert not any(key.startswith("teacher/") for key in stored)  # it comes from its own package
    assert {tensor.dtype for key, tensor in stored.items() if tensor.ndim > 1} == {torch.float16}
    assert list(tmp_path.iterdir()) == [path]


def test_scores_are_those_of_the_probe_on_extracted_features(model, photos):
    features = [extract_features(network, photos, "cpu") for network in model.networks]
    arrays = {name: getattr(model.probe, name).double().numpy() for name in model.probe.names}
    expected = Probe.of(arrays, 0.5).predict(np.concatenate(features, axis=1))
    np.testing.assert_allclose(model.score(photos), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def bfloat16_is_fast(monkeypatch):
    """On any machine: a CPU without instructions for it computes the same, only slowly."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


@pytest.mark.usefixtures("bfloat16_is_fast")
class TestCall:
    @pytest.mark.parametrize("autocast", [False, True])
    def test_a_call_gives_the_scores_of_the_files(self, model, photos, autocast, monkeypatch):
        monkeypatch.setattr(model, "autocast", autocast)
        called = [model(read(photo)) for photo in photos]
        assert [(scores.shape, scores.dtype) for scores in called] == [((1,), torch.float32)] * 2
        np.testing.assert_allclose(model.score([str(photo) for photo in photos]), torch.cat(called), rtol=1e-5)

    @pytest.mark.parametrize(("autocast", "rounding"), [(False, 1e-5), (True, 1e-3)])
    def test_a_score_does_not_depend_on_its_batch(self, model, autocast, rounding, monkeypatch):
        monkeypatch.setattr(model, "autocast", autocast)
        images = torch.rand(5, 3, 48, 64) * torch.linspace(0.1, 1, 5).view(5, 1, 1, 1)
        together = model(images)
        assert together.std() > 30 * rounding
        for scores in (torch.cat([model(image[None]) for image in images]), model(images.flip(0)).flip(0)):
            torch.testing.assert_close(scores, together, rtol=0, atol=rounding)

    def test_autocast_is_used_where_it_is_fast(self, model, monkeypatch):
        images = torch.rand(2, 3, 64, 64)
        expected = model(images)
        monkeypatch.setattr(model, "autocast", True)
        rounded = model(images)
        assert not torch.equal(rounded, expected)
        torch.testing.assert_close(rounded, expected, rtol=0.05, atol=0.05)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        assert torch.equal(model(images), expected)

    def test_empty_batch(self, model):
        assert model(torch.rand(0, 3, 32, 32)).shape == (0,)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_dtypes_are_computed_in_float32(self, model, dtype):
        images = torch.rand(2, 3, 32, 32).to(dtype)
        scores = model(images)
        assert scores.dtype == torch.float32
        assert torch.equal(scores, model(images.float()))

    @pytest.mark.parametrize("width", [1, 2, 3])
    def test_thin_images_are_shrunk_right(self, model, width):
        """As lying ones, from which torch shrinks right: networks are asked for what they were given."""
        seen = []
        images = torch.rand(1, 3, 33, width)
        for given in (images, images.mT.contiguous()):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type(model.networks[0]), "forward", lambda self, shown: seen.append(shown) or [shown])
                pool_features(model.networks[0], given)
        shrunk, shrunk_lying = seen[1], seen[3]
        assert shrunk.shape[-2:] == (16, max(1, round(width / 2)))
        torch.testing.assert_close(shrunk, shrunk_lying.mT)

    def test_an_autocast_around_it_changes_nothing(self, model):
        images = torch.rand(2, 3, 32, 32)
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(images)
        assert torch.equal(scores, model(images))

    def test_only_the_last_map(self, model, photos):
        width = 2 * 2 * model.networks[0].channels[-1]
        rng = np.random.default_rng(1)
        arrays = [np.full(width, -1.0), np.ones(width), *rng.normal(size=(1, width)), np.ones(width)]
        probe = Probe(*arrays, rng.normal(size=width), 0.5)
        last = make_model(Row("last", ("teacher",), last_layer_only=True), model.networks[:1], probe)
        features = extract_features(model.networks[0], photos, "cpu")
        expected = probe.predict(select_last_map(features, model.networks[0].channels))
        np.testing.assert_allclose(last.score(photos), expected, rtol=1e-4)

    @pytest.mark.parametrize(
        ("images", "error", "message"),
        [
            (np.zeros((1, 3, 8, 8)), TypeError, "images should be a tensor, got ndarray"),
            (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, r"images should be float in \[0, 1\]"),
            (torch.zeros(3, 8, 8), ValueError, r"images should have shape \(B, 3, H, W\)"),
            (torch.zeros(1, 1, 8, 8), ValueError, r"images should have 3 channels, got 1 in shape \(1, 1, 8, 8\)"),
            (torch.full((1, 3, 8, 8), 1.01), ValueError, r"values should lie in \[0, 1\], got \[1.01, 1.01\]"),
            (torch.full((1, 3, 8, 8), np.nan), ValueError, r"values should lie in \[0, 1\], got \[nan, nan\]"),
            (
                torch.zeros(1, 3, 8, 8, device="meta"),
                ValueError,
                "images should be on the model's device cpu, got meta",
            ),
        ],
    )
    def test_bad_images(self, model, images, error, message):
        with pytest.raises(error, match=message):
            model(images)


class TestFiles:
    def save(self, path, width, height):
        pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    def test_larger_photos_are_shrunk_to_the_working_side(self, model, tmp_path):
        large, small = self.save(tmp_path / "large.png", 200, 128), self.save(tmp_path / "small.png", 70, 64)
        with Image.open(large) as image:
            image.resize((100, 64), Image.Resampling.BILINEAR).save(tmp_path / "shrunk.png")
        expected = [model(read(path)).item() for path in (tmp_path / "shrunk.png", small)]
        np.testing.assert_allclose(model.score([large, small], working_side=64), expected, rtol=1e-5)

    def test_the_original_size_by_choice(self, model, tmp_path):
        photo = self.save(tmp_path / "photo.png", 530, 520)
        original, shrunk = model.score([photo], working_side=None)[0], model.score([photo])[0]
        assert original == pytest.approx(model(read(photo)).item(), rel=1e-5)
        assert abs(original - shrunk) > 1e-4

    def test_a_score_does_not_depend_on_other_photos(self, model, photos):
        together = model.score([*photos, *photos[::-1]])
        alone = [model.score([photo])[0] for photo in photos]
        assert together.tolist() == [*alone, *alone[::-1]]

    @pytest.mark.parametrize("autocast", [False, True])
    def test_odd_shapes_have_finite_scores(self, model, tmp_path, monkeypatch, autocast):
        monkeypatch.setattr(model, "autocast", autocast)
        sizes = [(1, 1), (2, 2), (3000, 2), (2, 300), (1, 65)]
        odd = [self.save(tmp_path / f"{width}x{height}.png", width, height) for width, height in sizes]
        assert np.isfinite(model.score(odd)).all()

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory")])
    def test_a_photo_that_fails_leaves_the_others_their_scores(self, model, photos, tmp_path, monkeypatch, error):
        def pool(network, photo, last_map_only):
            if photo.shape[-1] == 40:
                raise error
            return pool_photo(network, photo, last_map_only)

        (tmp_path / "broken.png").write_bytes(b"no photo")
        paths = [photos[0], self.save(tmp_path / "large.png", 40, 30), tmp_path / "broken.png", photos[1]]
        expected = model.score(photos)
        monkeypatch.setattr("dsmix_aug.nriqa.quality_model.pool_photo", pool)
        first, large, broken, last = model.score_each(paths)
        assert [first, last] == expected.tolist()
        assert isinstance(large, OSError)
        assert "large.png cannot be scored: " in str(large)
        assert (str(error) or "MemoryError") in str(large)
        assert "broken.png cannot be read: its content cannot be identified" in str(broken)
        with pytest.raises(OSError, match=r"large.png cannot be scored"):
            model.score(paths)

    def test_a_score_that_is_not_finite_is_an_error(self, model, photos):
        broken = copy.deepcopy(model)
        broken.probe.coefficients.fill_(torch.nan)
        (score,) = broken.score_each(photos[:1])
        assert "its score is nan" in str(score)

    @pytest.mark.parametrize(("side", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("9", TypeError)])
    def test_bad_working_sides(self, model, photos, side, error):
        with pytest.raises(error, match="working_side should be"):
            model.score_each(photos, side)  # at once, before the first score is asked for


class TestFolding:
    """Networks run as folded copies, which must never be out of date."""

    def test_other_weights_give_other_scores(self, model):
        images = torch.rand(1, 3, 40, 40)
        changed = copy.deepcopy(model)
        before = changed(images)
        state = {name: tensor * 1.1 if "_conv" in name else tensor for name, tensor in changed.state_dict().items()}
        fresh = copy.deepcopy(model)
        for target in (changed, torch.nn.Sequential(fresh)):
            prefix = "" if target is changed else "0."
            target.load_state_dict({f"{prefix}{name}": tensor for name, tensor in state.items()})
        assert not torch.allclose(changed(images), before)
        assert torch.equal(changed(images), fresh(images))

    def test_parameters_that_are_trained_get_gradients(self, model):
        trained = copy.deepcopy(model)
        images = torch.rand(1, 3, 40, 40)
        frozen = trained(images)
        trained.networks[0].requires_grad_(True)
        scores = trained(images)
        torch.testing.assert_close(scores, frozen, rtol=1e-4, atol=1e-4)
        scores.sum().backward()
        assert trained.networks[0].network._conv_stem.weight.grad.norm() > 0

    def test_files_hold_the_networks_as_they_are(self, model, photos, tmp_path):
        model.score(photos)
        model.save_pretrained(tmp_path / "model.safetensors")
        assert any("_bn1.running_var" in name for name in safetensors.torch.load_file(tmp_path / "model.safetensors"))
        assert pickle.loads(pickle.dumps(model)).score(photos).tolist() == model.score(photos).tolist()


class TestGradient:
    def test_it_is_the_slope_of_the_score(self, model):
        double = copy.deepcopy(model).double()
        features = torch.cat(
            [pool_features(network, torch.rand(1, 3, 24, 20).double()) for network in double.networks], 1
        )
        low, high = double.probe.low, double.probe.high
        low.copy_(features[0].quantile(0.2))
        high.copy_(features[0].quantile(0.8))  # two features of five are clipped
        images = torch.rand(1, 3, 24, 20, dtype=torch.float64).mul(0.8).add(0.1).requires_grad_()
        assert double(images).dtype == torch.float64
        assert torch.autograd.gradcheck(double, images, eps=1e-7, atol=1e-4, fast_mode=True)

    def test_clipped_features_pass_none(self, model):
        clipped = copy.deepcopy(model)
        clipped.probe.low.fill_(-2)
        clipped.probe.high.fill_(-1)  # statistics after ReLU6 and deviations lie above; linear maps may lie below
        clipped.probe.coefficients[clipped.probe.coefficients != 0] = 1.0
        images = torch.rand(1, 3, 32, 32, requires_grad=True)
        free = copy.deepcopy(clipped)
        free.probe.low.fill_(-1e9)
        free.probe.high.fill_(1e9)
        (limited,) = torch.autograd.grad(clipped(images).sum(), images)
        (unlimited,) = torch.autograd.grad(free(images).sum(), images)
        assert limited.norm() < unlimited.norm() / 2

    @pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
    def test_it_is_finite_for_a_flat_image(self, model, value):
        images = torch.full((1, 3, 32, 32), value, requires_grad=True)
        model(images).sum().backward()
        assert images.grad.isfinite().all()


def test_networks_are_frozen(model):
    assert not any(parameter.requires_grad for parameter in model.parameters())
    whole = torch.nn.Sequential(copy.deepcopy(model)).train()
    assert not any(module.training for module in whole[0].modules())
    assert {name.partition(".")[0] for name in model.state_dict()} == {"networks", "probe"}


def test_moves_to_a_device(model, device):
    moved = copy.deepcopy(model).to(device)
    assert moved.device.type == device
    images = torch.rand(2, 3, 32, 32)
    scores = moved(images.to(device))
    assert scores.device == moved.device
    torch.testing.assert_close(scores.cpu(), model(images), rtol=1e-3, atol=1e-3)


def test_repr_is_one_line(model):
    assert repr(model) == ("QualityModel(both, 6.7 M parameters, MOS of toy from 0 to 1, higher is better, on cpu)")


@pytest.mark.parametrize(
    ("photos", "got"),
    [
        ("photo.png", "should be a sequence of paths, got str"),
        (Path("photo.png"), "should be a sequence of paths, got PosixPath"),
        (np.zeros((2, 3, 8, 8)), "should be a sequence of paths, got ndarray"),
        (torch.zeros(2, 3, 8, 8), "should be a sequence of paths, got Tensor"),
        ([np.zeros((8, 8, 3))], "should hold paths, got ndarray"),
        (None, "should be a sequence of paths, got NoneType"),
    ],
)
def test_only_paths_are_scored(model, photos, got):
    with pytest.raises(TypeError, match=f"photos {got}"):
        model.score(photos)


def test_no_photos_have_no_scores(model):
    assert model.score([]).shape == (0,)


def test_a_missing_photo_is_named(model, photos):
    with pytest.raises(FileNotFoundError, match=r"nothing.png"):
        model.score([photos[0], photos[0].with_name("nothing.png")])


def test_a_teacher_by_its_name_is_not_stored(model, tmp_path):
    networks = [model.networks[0], build_teacher("efficientnet_lite1")]
    width = 4 * sum(sum(network.channels) for network in networks)
    probe = Probe(np.zeros(width), np.ones(width), np.zeros(width), np.ones(width), np.full(width, 1 / width), 0)
    model = make_model(Row("teachers", ("teacher", "efficientnet_lite1")), networks, probe)
    path = tmp_path / "teachers.safetensors"
    model.save_pretrained(path)
    assert all(key.startswith("probe/") for key in safetensors.torch.load_file(path))
    images = torch.rand(2, 3, 48, 48)
    assert torch.equal(QualityModel.from_pretrained(path)(images), model(images))


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


@pytest.mark.slow
def test_a_run_is_exported_with_checksums(tmp_path):
    run_script("examples/nriqa_pipeline.py", "--preset", "smoke", "--out", tmp_path, "--rows", "teacher_and_dsmix")
    run_script("examples/export_weights.py", tmp_path / "smoke", "--name", "tiny", "--out", tmp_path / "weights")
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
    run_script("examples/score_images.py", *photo, "--run", tmp_path / "smoke", "--csv", tmp_path / "scores.csv")
    score = float((tmp_path / "scores.csv").read_text().splitlines()[1].split(",")[1])
    assert QualityModel.from_pretrained(files[2]).score(photo)[0] == pytest.approx(score, abs=0.01)


def test_a_run_without_an_estimator_exports_its_quality_model(tmp_path):
    """The checksums are those of all weights in the folder."""
    run = ["--preset", "smoke", "--out", tmp_path, "--rows", "teacher", "--stages", "probe"]
    run_script("examples/nriqa_pipeline.py", *run)
    (tmp_path / "dsm_estimator-tiny.safetensors").write_bytes(b"another run's")
    run_script("examples/export_weights.py", tmp_path / "smoke", "--name", "tiny", "--out", tmp_path)
    listed = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert [line.split()[1] for line in listed] == ["dsm_estimator-tiny.safetensors", "quality_model-tiny.safetensors"]
    assert (tmp_path / "dsm_estimator-tiny.safetensors").read_bytes() == b"another run's"


def test_a_run_that_is_not_there_cannot_be_exported(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script("examples/export_weights.py", tmp_path / "nothing")
    assert stop.value.code == 2
    assert "there is no run in " in capsys.readouterr().err
