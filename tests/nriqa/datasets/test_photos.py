"""Photos: what is read, and what happens to those that cannot be."""

import numpy as np
import pytest
import torch
from PIL import Image

from dsmix_aug.nriqa.datasets.photo_folder import load_photo_folder
from dsmix_aug.nriqa.datasets.photos import (
    ShrunkPhotos,
    check_photos,
    list_photos,
    random_crop,
    read_center,
    read_photo,
    read_shrunk,
)
from dsmix_aug.nriqa.datasets.skimage_photos import HELD_OUT, TRAINING, load_skimage_photos


def save_photo(path, height=40, width=60, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_reads_rgb_upright(tmp_path):
    pixels = save_photo(tmp_path / "a.png")
    assert np.array_equal(read_photo(tmp_path / "a.png").permute(1, 2, 0).numpy(), pixels)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "turned.png").permute(1, 2, 0).numpy(), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    Image.new(mode, (9, 5)).save(tmp_path / "a.tif")
    photo = read_photo(tmp_path / "a.tif")
    assert (photo.shape, photo.dtype) == ((3, 5, 9), torch.uint8)


def test_shrinks_but_never_enlarges(tmp_path):
    save_photo(tmp_path / "a.png", 40, 60)
    assert read_shrunk(tmp_path / "a.png", 20).shape == (3, 20, 30)
    assert read_shrunk(tmp_path / "a.png", 50).shape == (3, 40, 60)
    assert read_center(tmp_path / "a.png", 20, 16).shape == (3, 16, 16)


def test_shrunk_photos_are_kept_up_to_a_size(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        save_photo(path, seed=number)
    expected = [read_shrunk(path, 20) for path in paths]  # 3 x 20 x 30 = 1800 bytes each
    photos = ShrunkPhotos(20, cache_bytes=4000)
    first, second = photos[paths[0]], photos[paths[1]]
    assert photos[paths[0]] is first  # and so the one used last
    third = photos[paths[2]]  # takes the second one's place
    assert all(torch.equal(*pair) for pair in zip((first, second, third), expected, strict=True))
    assert photos[paths[0]] is first
    assert photos[paths[1]] is not second
    tiny = ShrunkPhotos(20, cache_bytes=0)
    assert torch.equal(tiny[paths[0]], first)
    assert tiny[paths[0]] is not tiny[paths[0]]


def test_random_crops_reach_every_place():
    photo = torch.arange(25, dtype=torch.uint8).reshape(1, 5, 5).expand(3, -1, -1)
    generator = torch.Generator().manual_seed(0)
    corners = {int(random_crop(photo, 3, generator)[0, 0, 0]) for _ in range(200)}
    assert corners == {5 * row + column for row in range(3) for column in range(3)}


def make_bad_photos(folder):
    """One good photo, and one of every fault; return the faulty ones' names with a part of the reason."""
    save_photo(folder / "good.png")
    save_photo(folder / "small.png", 10, 60)
    (folder / "text.jpg").write_text("no photo")
    (folder / "empty.png").write_bytes(b"")
    save_photo(folder / "whole.png")
    (folder / "truncated.png").write_bytes((folder / "whole.png").read_bytes()[:3000])
    (folder / "whole.png").unlink()
    reasons = {"small.png": "60x10 px is smaller than 20 px", "text.jpg": "cannot be identified"}
    return reasons | {"empty.png": "", "truncated.png": ""}


def test_bad_photos_are_named_skipped_and_counted(tmp_path):
    faults = make_bad_photos(tmp_path)
    listed = [*list_photos(tmp_path), tmp_path / "missing.jpg"]
    with pytest.warns(UserWarning, match="skipped") as caught:
        good, skipped = check_photos(listed, min_side=20)
    assert good == [tmp_path / "good.png"]
    assert {entry.path.name for entry in skipped} == {*faults, "missing.jpg"}
    reasons = {entry.path.name: entry.reason for entry in skipped}
    assert all(part in reasons[name] for name, part in faults.items())
    assert reasons["missing.jpg"] == "the file is missing"
    message = str(caught.pop().message)
    assert not caught.list
    assert message.startswith("skipped 5 of 6 photos: ")
    assert all(f"{entry.path}: {entry.reason}" in message for entry in skipped[:3])
    assert message.endswith("; and 2 more")


def test_none_left_is_an_error(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    with (
        pytest.warns(UserWarning, match=r"skipped .*text.jpg"),
        pytest.raises(ValueError, match=r"none of 1 photos can be used; the first: .*text.jpg"),
    ):
        check_photos(list_photos(tmp_path))


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no photo"):
        list_photos(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        list_photos(tmp_path / "nowhere")


def test_folder_holds_every_tenth_photo_out(tmp_path):
    for number in range(21):
        save_photo(tmp_path / "sub" / f"{number:02d}.png", seed=number)
    photos = load_photo_folder(tmp_path, min_side=20)
    assert [path.name for path in photos.held_out] == ["00.png", "10.png", "20.png"]
    assert len(photos.training) == 18
    every_fifth = load_photo_folder(tmp_path, min_side=20, held_out_every=5)
    assert [path.name for path in every_fifth.held_out] == ["00.png", "05.png", "10.png", "15.png", "20.png"]
    assert sorted((*every_fifth.training, *every_fifth.held_out)) == sorted((*photos.training, *photos.held_out))
    assert not set(photos.training) & set(photos.held_out)
    fingerprint = photos.fingerprint
    assert load_photo_folder(tmp_path, min_side=20).fingerprint == fingerprint
    save_photo(tmp_path / "sub" / "07.png", seed=99)
    assert load_photo_folder(tmp_path, min_side=20).fingerprint != fingerprint


def test_folder_of_one_photo_cannot_be_parted(tmp_path):
    save_photo(tmp_path / "only.png")
    with pytest.raises(ValueError, match="should hold at least 2 photos"):
        load_photo_folder(tmp_path, min_side=20)


def test_demo_holds_out_other_photos_than_it_trains_on():
    photos = load_skimage_photos(160)
    assert [path.name for path in photos.training] == list(TRAINING)
    assert [path.name for path in photos.held_out] == list(HELD_OUT)
    assert not set(TRAINING) & set(HELD_OUT)
    assert not photos.skipped
    contents = {path.read_bytes() for path in (*photos.training, *photos.held_out)}
    assert len(contents) == len(TRAINING) + len(HELD_OUT)
