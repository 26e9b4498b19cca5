"""Which files of a folder are photos."""

import errno
import os
from collections import Counter

import pytest
from PIL import Image

from dsmix_aug.nriqa.datasets.photo_folder import load_photo_folder
from dsmix_aug.photos import reader
from dsmix_aug.photos.listing import describe_ignored, find_photos, list_photos
from dsmix_aug.photos.reader import readable_formats


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(folder):
    return [path.relative_to(folder).as_posix() for path in list_photos(folder)]


def test_photos_in_linked_folders_are_listed(tmp_path):
    touch(tmp_path, "set/b.png", "set/sub/c.png", "disk2/a.png", "disk3/z.png")
    (tmp_path / "set/more").symlink_to(tmp_path / "disk2")
    (tmp_path / "disk2/deeper").symlink_to(tmp_path / "disk3")
    (tmp_path / "set/link.jpg").symlink_to(tmp_path / "disk3/z.png")
    (tmp_path / "start").symlink_to(tmp_path / "set")
    expected = ["b.png", "link.jpg", "more/a.png", "more/deeper/z.png", "sub/c.png"]
    assert listed(tmp_path / "set") == expected
    assert listed(tmp_path / "start") == expected


def test_circles_of_links_end_and_each_folder_is_met_once_by_its_own_name(tmp_path):
    touch(tmp_path, "set/a.png", "set/z/b.png", "other/c.png")
    (tmp_path / "set/z/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/a_link_to_z").symlink_to(tmp_path / "set/z")
    (tmp_path / "set/self").symlink_to("self")
    (tmp_path / "set/other").symlink_to(tmp_path / "other")
    (tmp_path / "other/back").symlink_to(tmp_path / "set/z")
    assert listed(tmp_path / "set") == ["a.png", "other/c.png", "z/b.png"]


def test_hidden_files_and_folders_are_left_out(tmp_path):
    folder = tmp_path / ".hidden_root"
    touch(folder, "a.png", ".b.png", "._a.png", ".thumbnails/c.png", "sub/.d.png", "sub/.cache/e.txt", ".DS_Store")
    assert find_photos(folder) == ([folder / "a.png"], Counter())


def test_what_pillow_reads_counts_as_a_photo_and_the_rest_is_counted(tmp_path):
    photos = [f"a{suffix}" for suffixes in readable_formats().values() for suffix in suffixes]
    touch(tmp_path, *photos, "B.JPG", "notes.txt", "more.TXT", "scores.csv", "noname", "x.tar.gz", "doc.pdf", "e.eps")
    (tmp_path / "folder.jpg").mkdir()
    touch(tmp_path, "folder.jpg/inside.jpeg")
    found = find_photos(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in found.photos] == sorted(
        [*photos, "B.JPG", "folder.jpg/inside.jpeg"]
    )
    assert {".jp2", ".gif", ".mpo", ".jfif"} <= {path.suffix for path in found.photos}
    assert found.ignored == {".txt": 2, ".csv": 1, "": 1, ".gz": 1, ".pdf": 1, ".eps": 1}


def test_heif_counts_where_a_plugin_has_registered_it(tmp_path, monkeypatch):
    touch(tmp_path, "a.heic", "b.png")
    monkeypatch.setattr(Image, "OPEN", {name: opener for name, opener in Image.OPEN.items() if name != "HEIF"})
    assert find_photos(tmp_path) == ([tmp_path / "b.png"], {".heic": 1})
    monkeypatch.setitem(Image.OPEN, "HEIF", (None, None))
    assert find_photos(tmp_path) == ([tmp_path / "a.heic", tmp_path / "b.png"], {})


def test_every_format_is_one_of_pillows_or_a_plugins():
    Image.init()
    assert set(reader.FORMATS) - set(Image.OPEN) <= {"HEIF", "AVIF"}


@pytest.mark.parametrize(
    ("ignored", "text"),
    [
        ({".txt": 3}, "3 other files ignored: .txt"),
        ({"": 1}, "1 other file ignored: without suffix"),
        ({".txt": 2, ".csv": 1}, "3 other files ignored: 1 .csv, 2 .txt"),
    ],
)
def test_ignored_files_in_words(ignored, text):
    assert describe_ignored(Counter(ignored)) == text


def test_a_folder_without_photos_says_what_it_has(tmp_path):
    touch(tmp_path, "a.txt", "b.txt")
    with pytest.raises(ValueError, match=r"holds no photo \(.*\.jpg.*\); 2 other files ignored: \.txt"):
        find_photos(tmp_path)


def test_a_run_says_what_its_folder_of_photos_has_besides(tmp_path):
    for index in range(3):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
    (tmp_path / "readme.txt").touch()
    assert load_photo_folder(tmp_path, 8).name.endswith("1 held out; 1 other file ignored: .txt)")


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def scan_as_a_user(path):  # root may read every folder
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan_as_a_user)
    with pytest.warns(UserWarning, match=r"skipped the folder .*locked: Permission denied"):
        assert list_photos(tmp_path) == [tmp_path / "a.png"]
