"""``dsmix-aug distort``."""

import io
import sys
import types

import numpy as np
import pytest
import torch
from cli_helpers import read_files, read_image, run_main, save_photo
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from dsmix_aug import DistortionBank
from dsmix_aug.cli._sheet import CELL_WIDTH, HEADING, LABELS


def test_a_jpeg_is_that_of_pillow(tmp_path, capsys):
    save_photo(tmp_path / "cat.png", 0)
    assert run_main("distort", tmp_path / "cat.png", "--type", "jpeg", "--level", "4", "-o", tmp_path / "out") == 0
    expected = io.BytesIO()
    quality = int(DistortionBank()["jpeg"].values[3])
    to_pil_image(read_image(tmp_path / "cat.png")).save(expected, "JPEG", quality=quality, subsampling=2)
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'cat-jpeg-4.png'}\n"
    torch.testing.assert_close(read_image(tmp_path / "out" / "cat-jpeg-4.png"), read_image(expected), rtol=0, atol=0)


@pytest.mark.parametrize("types", [["jpeg", "white_noise"], ["jpeg,white_noise"], ["jpeg", "--type", "white_noise"]])
def test_types_and_levels(types, photos, tmp_path):
    out = tmp_path / "out"
    assert run_main("distort", photos, "-o", out, "--type", *types, "--level", "5", "1", "--format", "jpg") == 0
    stems = ("zwölf bäume", "-dash\nline", "sub folder/<script>")
    expected = {f"{s}-{t}-{n}.jpg" for s in stems for t in ("jpeg", "white_noise") for n in (1, 5)}
    assert set(read_files(out)) == expected


def test_a_seed_decides_the_pixels_whatever_else_is_made(photos, tmp_path):
    noise = ("--type", "white_noise", "--level", "3")
    run_main("distort", photos, "-o", tmp_path / "a", *noise)
    run_main("distort", photos / "zwölf bäume.png", "-o", tmp_path / "b", "--type", "all", "--seed", "0")
    run_main("distort", photos, "-o", tmp_path / "c", *noise, "--seed", "1")
    name = "zwölf bäume-white_noise-3.png"
    first, alone, reseeded = (read_files(tmp_path / folder)[name] for folder in "abc")
    assert first == alone
    assert first != reseeded


def test_nothing_is_overwritten_unless_forced(tmp_path, capsys):
    save_photo(tmp_path / "cat.png", 0)
    (tmp_path / "cat-jpeg-2.png").write_bytes(b"mine")
    arguments = ("distort", tmp_path / "cat.png", "--type", "jpeg", "-o", tmp_path)
    assert run_main(*arguments) == 2
    assert "cat-jpeg-2.png would be overwritten; --force allows it" in capsys.readouterr().err
    assert set(read_files(tmp_path)) == {"cat.png", "cat-jpeg-2.png"}
    assert run_main(*arguments, "--force") == 0
    assert (tmp_path / "cat-jpeg-2.png").read_bytes() != b"mine"


def test_photos_that_fail_are_named_and_the_others_made(photos, tmp_path, capsys):
    (photos / "broken.png").write_bytes(b"no photo")
    save_photo(photos / "tiny.png", 0, width=40, height=40)
    assert run_main("distort", photos, "--type", "non_eccentricity_patch", "--level", "1", "-o", tmp_path / "out") == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "broken.png" in lines[0]
    assert "tiny.png: images: non_eccentricity_patch needs a height and width of at least 48 px" in lines[1]
    assert len(read_files(tmp_path / "out")) == 3


def test_size_crops_the_centre_and_skips_smaller_photos(tmp_path, capsys):
    save_photo(tmp_path / "in/wide.png", 0, width=200, height=60)
    save_photo(tmp_path / "in/small.png", 0, width=99, height=60)
    arguments = ("--type", "mean_shift", "--level", "3", "--size", "100x60", "-o", tmp_path / "out")
    assert run_main("distort", tmp_path / "in", *arguments) == 1
    assert "small.png: 99x60 px is smaller than 100x60 px" in capsys.readouterr().err
    expected = read_image(tmp_path / "in/wide.png")[:, :, 50:150]
    assert torch.equal(read_image(tmp_path / "out/wide-mean_shift-3.png"), expected)


def test_the_grid_shows_every_type_at_every_level(tmp_path):
    save_photo(tmp_path / "cat.png", 0, width=512, height=384)
    assert run_main("distort", tmp_path / "cat.png", "--grid", "-o", tmp_path / "out") == 0
    sheet = to_pil_image(read_image(tmp_path / "out/cat-grid.png"))
    bank = DistortionBank()
    step = (sheet.height - HEADING) / len(bank)
    assert step == int(step) > 192
    # mean_shift at level 3 is the photo itself: its cell shows the photo at half its size
    left, top = LABELS + 2 * (sheet.width - LABELS) // 5, HEADING + int(step) * list(bank).index("mean_shift")
    cell = sheet.crop((left, top, left + CELL_WIDTH, top + 192))
    shrunk = to_pil_image(read_image(tmp_path / "cat.png")).resize((CELL_WIDTH, 192), Image.Resampling.LANCZOS)
    assert np.array_equal(np.array(cell), np.array(shrunk))


def test_the_grid_of_chosen_types_is_smaller(tmp_path):
    save_photo(tmp_path / "cat.png", 0)
    run_main("distort", tmp_path / "cat.png", "--grid", "-o", tmp_path / "all")
    run_main("distort", tmp_path / "cat.png", "--grid", "--type", "jpeg", "--level", "1", "2", "-o", tmp_path / "few")
    whole, part = (read_image(tmp_path / name / "cat-grid.png").shape for name in ("all", "few"))
    assert (part[2] - LABELS) * 5 == (whole[2] - LABELS) * 2
    assert (part[1] - HEADING) * 25 == whole[1] - HEADING


def test_two_photos_of_one_name_stay_apart(tmp_path, capsys):
    for name in ("a/cat.png", "a/cat.bmp", "b/cat.png"):
        save_photo(tmp_path / name, 0)
    arguments = ("--type", "jpeg", "--level", "1", "-o", tmp_path / "out")
    assert run_main("distort", tmp_path / "a", *arguments) == 0
    assert set(read_files(tmp_path / "out")) == {"cat-jpeg-1.png", "cat_png-jpeg-1.png"}
    assert run_main("distort", tmp_path / "a/cat.png", tmp_path / "b", *arguments) == 2
    assert "would have outputs of one name" in capsys.readouterr().err


def test_names_that_look_like_options_and_lists_on_stdin(photos, tmp_path, monkeypatch, capsys):
    listed = b"\0".join(str(path).encode() for path in photos.rglob("*.png"))
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(listed)))
    arguments = ("--type", "jpeg", "--level", "3", "-o", tmp_path / "out")
    assert run_main("distort", *arguments, "-") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 3
    assert "\x1b" not in out
    assert len(read_files(tmp_path / "out")) == 3
