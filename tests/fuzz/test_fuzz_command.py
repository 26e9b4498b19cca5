"""Every subcommand of dsmix-aug with arguments of every kind: an exit code, one-line errors, nothing outside OUT."""

import contextlib
import functools
import io
import shutil

import numpy as np
import pytest
import torch
from fuzz_inputs import CALLS, fuzz
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dsmix_aug import DSMEstimator, QualityModel
from dsmix_aug.cli.main import main

PHOTOS = {
    "good.png": (64, 64, "RGB"),
    "-dash.jpg": (70, 52, "RGB"),
    "=formula.png": (49, 64, "L"),
    "<script>alert(1).png": (16, 90, "RGBA"),
    "new\nline.png": (1, 1, "RGB"),
    "sub/zwölf bäume.png": (48, 48, "P"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with photos of awkward names, and files that are none."""
    folder = tmp_path_factory.mktemp("world")
    draw = np.random.default_rng(0)
    for name, (width, height, mode) in PHOTOS.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode).save(path)
    (folder / "photos" / "empty.png").touch()
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (folder / "photos" / "loop").symlink_to(folder / "photos")
    (folder / "photos" / "dangling.png").symlink_to(folder / "nowhere")
    (folder / "text.txt").write_text("text")
    return folder


@pytest.fixture(scope="module", autouse=True)
def networks():
    """Load networks once; a tiny one maps, and one that is not loaded scores."""
    with pytest.MonkeyPatch.context() as patch:
        tiny = DSMEstimator(16, 16, 1, 1).eval()
        read = functools.cache(QualityModel.from_pretrained)
        patch.setattr(QualityModel, "from_pretrained", lambda *given: read("small") if given[0] == "small" else fail())
        patch.setattr(DSMEstimator, "from_pretrained", lambda given: tiny if given == "small" else fail())
        yield


def fail():
    raise FileNotFoundError("--weights: there are none of that name")


def run(world, command, arguments):
    """Run the command and check what holds for every subcommand."""
    out = world / "out"
    shutil.rmtree(out, ignore_errors=True)
    before = listing(world)
    argv = [command, *(argument.replace("@", f"{world}/") for argument in arguments)]
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            code = main(argv)
        except SystemExit as stop:  # of argparse
            code = stop.code
    CALLS[command, "returned" if code in (0, 1) else "refused"] += 1
    assert code in (0, 1, 2), (code, stderr.getvalue())
    assert "Traceback" not in stderr.getvalue()
    if code == 2:
        assert ": error: " in stderr.getvalue().splitlines()[-1]
    assert {name: content for name, content in listing(world).items() if not name.startswith("out")} == before
    assert not [name for name in listing(world) if ".tmp." in name]
    return code


def listing(folder):
    """What lies below a folder, with the times at which it was written."""
    return {str(path.relative_to(folder)): path.lstat().st_mtime_ns for path in folder.rglob("*") if not path.is_dir()}


photos = st.lists(
    st.sampled_from(["@photos", "@photos/good.png", "@photos/-dash.jpg", "@photos/sub", "@nowhere", "@text.txt", ""]),
    min_size=0, max_size=3,
)  # fmt: skip
output = st.sampled_from([["-o", "@out"], ["-o", "@out"], ["-o", "@out/a/b"], [], ["-o", "@text.txt"], ["-o"]])
force = st.sampled_from([[], ["--force"]])
seed = st.sampled_from([[], ["--seed", "3"], ["--seed", "-1"], ["--seed", "x"], ["--seed", str(2**70)]])
size = st.sampled_from([[], [], ["--size", "48x48"], ["--size", "1x1"], ["--size", "0x5"], ["--size", "9"]])
junk = st.sampled_from([[], [], [], ["--nonsense"], ["\0"], ["--", "@photos"], ["💥"], ["--help"], ["-"]])
top = st.sampled_from([[], ["--top", "0.1"], ["--top", "nan"], ["--top", "2"]])
device = st.sampled_from([[], [], ["--device", "cpu"], ["--device", "nope"], ["--device", "cuda:99"]])
weights = st.sampled_from([[], [], ["--weights", "small"], ["--weights", "huge"], ["--weights", "@text.txt"]])


def arguments(*parts):
    return st.tuples(*parts).map(lambda lists: [argument for part in lists for argument in part])


def options(name, *values):
    return st.sampled_from([[], *([name, *value.split()] for value in values)])


@pytest.fixture(autouse=True)
def empty_stdin(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))


types = options("--type", "jpeg", "jpeg pixelate", "all", "jpg", "mean_shift,denoise", "")
levels = options("--level", "1", "5 5", "0", "9", "x")
grid = st.sampled_from([[], [], ["--grid"]])
image_format = options("--format", "jpg", "png", "gif")


@given(arguments(photos, output, types, levels, grid, image_format, size, seed, force, junk))
@fuzz(0.4)
def test_distort(world, argv):
    run(world, "distort", argv)


@given(arguments(
    photos, output, options("--per-photo", "1", "3", "0", "500", "-2"), st.sampled_from([[], [], [], ["--all"]]),
    options("--compose", "1-2", "2", "3-1", "0-1", "1-99"), image_format, size, seed,
    options("--workers", "1", "2", "0"), force, junk,
))  # fmt: skip
@fuzz(0.2)
def test_make_dataset(world, argv):
    run(world, "make-dataset", argv)


@given(
    arguments(photos, output, options("--patch-size", "16", "1", "0", "99999", "x"), weights, top, device, force, junk)
)
@fuzz(0.6)
def test_map(world, argv):
    run(world, "map", argv)


@given(arguments(
    photos, options("--csv", "@out/scores.csv", "-", "@text.txt"), options("--json", "@out/scores.json", "-"),
    options("--maps", "@out/maps", "@text.txt"), options("--run", "@nowhere", "@photos"), weights, top, device, junk,
))  # fmt: skip
@fuzz(0.2)
def test_score(world, argv):
    run(world, "score", argv)


@given(arguments(junk))
@fuzz(0.2)
def test_info(world, argv):
    torch.manual_seed(0)
    run(world, "info", argv)
