"""Each loader on a tiny tree in its dataset's layout, which the test writes itself, in the formats of the archives."""

import zlib
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from PIL import Image
from scipy.io import savemat

from dsmix_aug.nriqa.datasets import LOADERS, load_scored_set


def write_image(path: Path, width: int = 8, height: int = 8) -> None:
    """An image that no file of another name equals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def relative(images: tuple[Path, ...], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in images]


def cell(texts: list[str]) -> np.ndarray:
    """A MATLAB cell array of strings, as savemat writes it."""
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


# LIVE ----------------------------------------------------------------------------------------------------------------

LIVE_COUNTS = (("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174))


def make_live(folder: Path, scores: str = "dmos_realigned.mat") -> None:
    Image.new("RGB", (8, 8)).save(folder / "any.bmp")
    bmp = (folder / "any.bmp").read_bytes()
    files = 0
    for name, count in LIVE_COUNTS:
        (folder / name).mkdir()
        for number in range(1, count + 1):
            files += 1
            (folder / name / f"img{number}.bmp").write_bytes(bmp[:-2] + files.to_bytes(2, "big"))
    pristine = np.zeros((1, 982), np.uint8)
    pristine[0, [226, 227, 981]] = 1  # jp2k/img227, jpeg/img1, fastfading/img174
    variable = "dmos_new" if scores == "dmos_realigned.mat" else "dmos"
    savemat(folder / scores, {variable: np.arange(982.0)[None] / 10, "orgs": pristine})
    references = [("womanhat.bmp", "bikes.bmp", "sailing1.bmp")[index % 3] for index in range(982)]
    savemat(folder / "refnames_all.mat", {"refnames_all": cell(references)[None]})


@pytest.mark.parametrize("scores", ["dmos_realigned.mat", "dmos.mat"])
def test_live(tmp_path, scores):
    make_live(tmp_path, scores)
    live = load_scored_set("live", tmp_path)
    names = relative(live.images, tmp_path)
    assert len(names) == 982 - 3
    assert {"jp2k/img227.bmp", "jpeg/img1.bmp", "fastfading/img174.bmp"}.isdisjoint(names)
    # Rows of the score files, counted by hand: 0; 226 (left out); 460 = 227 + 233; 634 + 173.
    expected = {"jp2k/img1.bmp": 0, "wn/img1.bmp": 460, "gblur/img174.bmp": 807, "fastfading/img173.bmp": 980}
    for name, row in expected.items():
        position = names.index(name)
        assert live.scores[position] == pytest.approx(100 - row / 10)
        assert live.groups[position] == ("womanhat.bmp", "bikes.bmp", "sailing1.bmp")[row % 3]
    assert live.split is None
    assert live.target == "100 - DMOS"


def test_live_prefers_the_realigned_scores(tmp_path):
    make_live(tmp_path)
    savemat(tmp_path / "dmos.mat", {"dmos": np.zeros((1, 982)), "orgs": np.zeros((1, 982))})
    assert load_scored_set("live", tmp_path).scores.std() > 0


def test_live_with_a_list_of_another_length(tmp_path):
    make_live(tmp_path)
    savemat(tmp_path / "refnames_all.mat", {"refnames_all": cell(["bikes.bmp"] * 9)[None]})
    with pytest.raises(ValueError, match="refnames_all should have 982 entries, got 9"):
        load_scored_set("live", tmp_path)


def test_live_with_a_wrong_matlab_file(tmp_path):
    make_live(tmp_path)
    savemat(tmp_path / "dmos_realigned.mat", {"other": 1})
    with pytest.raises(ValueError, match="should hold the variable dmos_new, got other"):
        load_scored_set("live", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"text that is longer than the header of one" * 9, None])
def test_live_with_a_damaged_matlab_file(tmp_path, content):
    make_live(tmp_path)
    file = tmp_path / "dmos_realigned.mat"
    file.write_bytes(file.read_bytes()[:300] if content is None else content)
    with pytest.raises(ValueError, match=r"dmos_realigned\.mat is not a MATLAB file"):
        load_scored_set("live", tmp_path)


# CSIQ ----------------------------------------------------------------------------------------------------------------

CSIQ_ROWS = [
    (1600, 1, "noise", 1, 0.061, 0.062),
    ("boston", 3, "jpeg 2000", 4, 0.1, 0.75),
    ("boston", 5, "blur", 2, 0.1, 0.25),
    ("lake", 6, "contrast", 1, 0.1, 0.0),
    ("lake", 4, "fnoise", 5, 0.1, 1.0),
    ("lake", 2, "jpeg", 3, 0.1, 0.5),
]
CSIQ_FILES = [
    "AWGN/1600.AWGN.1.png",
    "jpeg2000/boston.jpeg2000.4.png",
    "BLUR/boston.BLUR.2.png",
    "contrast/lake.contrast.1.png",
    "fnoise/lake.fnoise.5.png",
    "JPEG/lake.JPEG.3.png",
]


def make_csiq(folder: Path, sheet: str = "all_by_image", first: int = 4) -> None:
    for name in CSIQ_FILES:
        write_image(folder / "dst_imgs" / name)
    book = openpyxl.Workbook()
    book.active.title = "readme"
    page = book.create_sheet(sheet)
    for row, values in enumerate([("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"), *CSIQ_ROWS]):
        for column, value in enumerate(values):
            page.cell(row + first, column + first, value)
    book.save(folder / "csiq.DMOS.xlsx")


@pytest.mark.parametrize("first", [1, 4])  # the table may begin in the first cell, or after blank rows and columns
def test_csiq(tmp_path, first):
    make_csiq(tmp_path, first=first)
    csiq = load_scored_set("csiq", tmp_path)
    assert relative(csiq.images, tmp_path / "dst_imgs") == CSIQ_FILES
    np.testing.assert_allclose(csiq.scores, [0.938, 0.25, 0.75, 1.0, 0.0, 0.5])
    assert csiq.groups == ("1600", "boston", "boston", "lake", "lake", "lake")
    assert csiq.split is None


def test_csiq_without_its_sheet(tmp_path):
    make_csiq(tmp_path, sheet="other")
    with pytest.raises(ValueError, match="not an Excel file with the sheet all_by_image"):
        load_scored_set("csiq", tmp_path)
    (tmp_path / "csiq.DMOS.xlsx").write_text("image,dmos")
    with pytest.raises(ValueError, match="not an Excel file with the sheet all_by_image"):
        load_scored_set("csiq", tmp_path)


# TID2013 -------------------------------------------------------------------------------------------------------------


def make_tid2013(folder: Path) -> None:
    for name in ("i01_01_1.bmp", "I01_24_5.BMP", "i25_03_2.bmp"):
        write_image(folder / "distorted_images" / name)
    (folder / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\n3.00000 i01_24_5.bmp\n0.25 i25_03_2.bmp\n")


def test_tid2013(tmp_path):
    make_tid2013(tmp_path)
    tid = load_scored_set("tid2013", tmp_path)
    assert [path.name.lower() for path in tid.images] == ["i01_01_1.bmp", "i01_24_5.bmp", "i25_03_2.bmp"]
    assert all(path.is_file() for path in tid.images)
    np.testing.assert_array_equal(tid.scores, [5.51429, 3, 0.25])
    assert tid.groups == ("I01", "I01", "I25")
    assert tid.split is None


@pytest.mark.parametrize("line", ["5.5", "five i01_01_1.bmp", "5.5 i01_01_1.bmp more"])
def test_tid2013_with_a_wrong_line(tmp_path, line):
    make_tid2013(tmp_path)
    (tmp_path / "mos_with_names.txt").write_text(f"1 i25_03_2.bmp\n{line}\n")
    with pytest.raises(ValueError, match="line 2 should be a score and a file name"):
        load_scored_set("tid2013", tmp_path)


# KADID-10k -----------------------------------------------------------------------------------------------------------


def make_kadid10k(folder: Path) -> None:
    for name in ("I01.png", "I01_01_01.png", "I01_01_05.png", "I81_25_05.png"):
        write_image(folder / "images" / name)
    (folder / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\n"
        "I01_01_01.png,I01.png,4.57,0.496\nI01_01_05.png,I01.png,1.4,0.6\nI81_25_05.png,I81.png,2,1\n"
    )


def test_kadid10k_keeps_its_dmos_as_it_is(tmp_path):
    make_kadid10k(tmp_path)
    kadid = load_scored_set("kadid10k", tmp_path)
    assert relative(kadid.images, tmp_path / "images") == ["I01_01_01.png", "I01_01_05.png", "I81_25_05.png"]
    np.testing.assert_array_equal(kadid.scores, [4.57, 1.4, 2])  # the weaker blur has the higher score
    assert kadid.groups == ("I01.png", "I01.png", "I81.png")
    assert kadid.split is None


@pytest.mark.parametrize(
    ("row", "lacking"),
    [
        ("I81_25_05.png,I81.png,,1", "finite score"),
        ("I81_25_05.png,I81.png,inf,1", "finite score"),
        ("I81_25_05.png,I81.png,good,1", "finite score"),
        ("I81_25_05.png,,3,1", "reference"),
        (",I81.png,3,1", "image"),
    ],
)
def test_kadid10k_with_an_incomplete_row(tmp_path, row, lacking):
    make_kadid10k(tmp_path)
    (tmp_path / "dmos.csv").write_text(f"dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\n{row}\n")
    with pytest.raises(ValueError, match=f"line 3 has no {lacking}"):
        load_scored_set("kadid10k", tmp_path)


def test_kadid10k_with_an_image_twice(tmp_path):
    make_kadid10k(tmp_path)
    with (tmp_path / "dmos.csv").open("a") as file:
        file.write("I01_01_01.png,I01.png,3,1\n")
    with pytest.raises(ValueError, match=r"I01_01_01\.png is listed twice"):
        load_scored_set("kadid10k", tmp_path)


def test_kadid10k_without_a_column(tmp_path):
    make_kadid10k(tmp_path)
    (tmp_path / "dmos.csv").write_text("dist_img,dmos\nI01_01_01.png,4.57\n")
    with pytest.raises(ValueError, match="should have the columns dist_img, ref_img, dmos, got dist_img, dmos"):
        load_scored_set("kadid10k", tmp_path)


# LIVE Challenge ------------------------------------------------------------------------------------------------------


def make_live_challenge(folder: Path) -> None:
    names = [f"t{number}.bmp" for number in range(1, 8)] + ["3.bmp", "4.bmp", "1024.JPG"]
    for index, name in enumerate(names):
        write_image(folder / "Images" / ("trainingImages" if index < 7 else "") / name)
    (folder / "Data").mkdir()
    savemat(folder / "Data" / "AllImages_release.mat", {"AllImages_release": cell(names)[:, None]})
    savemat(folder / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.array([[*[99.0] * 7, 63.5, 20.25, 80]])})


def test_live_challenge(tmp_path):
    make_live_challenge(tmp_path)
    challenge = load_scored_set("live_challenge", tmp_path)
    assert relative(challenge.images, tmp_path / "Images") == ["3.bmp", "4.bmp", "1024.JPG"]
    np.testing.assert_array_equal(challenge.scores, [63.5, 20.25, 80])
    assert len(set(challenge.groups)) == 3
    assert challenge.split is None


def test_live_challenge_with_lists_of_two_lengths(tmp_path):
    make_live_challenge(tmp_path)
    savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.ones((1, 9))})
    with pytest.raises(ValueError, match="equal lengths above 7, got 10 and 9"):
        load_scored_set("live_challenge", tmp_path)


# KonIQ-10k -----------------------------------------------------------------------------------------------------------

KONIQ_NAMES = ["10004473376.jpg", "10007357496.jpg", "10043785683.jpg"]


def make_koniq10k(folder: Path, with_split: bool = True, size: str = "1024x768") -> None:
    for name in KONIQ_NAMES:
        write_image(folder / size / name)
    if with_split:
        (folder / "koniq10k_distributions_sets.csv").write_text(
            "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
            "10004473376.jpg,0.0,0.0,0.238,0.695,0.067,105,77.38,0.527,training\n"
            "10007357496.jpg,0.0,0.031,0.469,0.489,0.010,96,68.73,0.580,test\n"
            "10043785683.jpg,0.0,0.0,0.434,0.566,0.0,106,71.20,0.498,validation\n"
        )
    else:
        rows = zip(KONIQ_NAMES, ("3.83", "3.48", "3.57"), ("77.38", "68.73", "71.20"), strict=True)
        (folder / "koniq10k_scores_and_distributions.csv").write_text(
            '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n'
            + "".join(f'"{name}",0,0,25,73,7,105,{mos},0.5,{zscore}\n' for name, mos, zscore in rows)
        )


@pytest.mark.parametrize("with_split", [True, False])
def test_koniq10k(tmp_path, with_split):
    make_koniq10k(tmp_path, with_split)
    koniq = load_scored_set("koniq10k", tmp_path)
    assert relative(koniq.images, tmp_path / "1024x768") == KONIQ_NAMES
    np.testing.assert_array_equal(koniq.scores, [77.38, 68.73, 71.20])
    assert koniq.split == (("train", "test", "train") if with_split else None)
    assert koniq.groups == tuple(KONIQ_NAMES)


def test_koniq10k_prefers_the_larger_photos_but_takes_the_smaller(tmp_path):
    make_koniq10k(tmp_path, size="512x384")
    assert load_scored_set("koniq10k", tmp_path).images[0].parent.name == "512x384"
    make_koniq10k(tmp_path)
    assert load_scored_set("koniq10k", tmp_path).images[0].parent.name == "1024x768"


def test_koniq10k_with_another_set(tmp_path):
    make_koniq10k(tmp_path)
    scores = tmp_path / "koniq10k_distributions_sets.csv"
    scores.write_text(scores.read_text().replace("validation", "extra"))
    with pytest.raises(ValueError, match="split should be one of training, validation, test, got extra"):
        load_scored_set("koniq10k", tmp_path)


# LIVE-FB -------------------------------------------------------------------------------------------------------------


def make_flive(folder: Path, images: str = "database", scores: str = "labels_image.csv") -> None:
    write_image(folder / images / "blur_dataset/motion0044.jpg", 640, 640)
    write_image(folder / images / "voc_emotic_ava/AVA__12958.jpg", 641, 8)
    write_image(folder / images / "EE371R/rq59.jpg", 8, 641)
    write_image(folder / images / "patches/rq59.jpg_patch_1.jpg")
    (folder / scores).write_text(
        "name,mos\nblur_dataset/motion0044.jpg,75.44\nvoc_emotic_ava/AVA__12958.jpg,74.1\nEE371R/rq59.jpg,0.0\n"
    )


@pytest.mark.parametrize(
    ("images", "scores"),
    [("database", "labels_image.csv"), ("database", "database/labels_image.csv"), ("", "labels_image.csv")],
)
def test_flive(tmp_path, images, scores):
    make_flive(tmp_path, images, scores)
    flive = load_scored_set("flive", tmp_path)
    assert relative(flive.images, tmp_path / images) == [
        "blur_dataset/motion0044.jpg",
        "voc_emotic_ava/AVA__12958.jpg",
        "EE371R/rq59.jpg",
    ]
    np.testing.assert_array_equal(flive.scores, [75.44, 74.1, 0])
    assert flive.split == ("train", "test", "test")  # a side above 640 px
    assert len(set(flive.groups)) == 3


# BIQ2021 -------------------------------------------------------------------------------------------------------------


def make_biq2021(folder: Path, suffix: str = " (Images and MOS)", score: str = "0.7321") -> None:
    for name in ("ss03 (7805).jpg", "ss01 (10).jpg", "ss02 (167).jpg"):
        write_image(folder / "Images" / name)
    (folder / f"Train{suffix}.csv").write_text(f"Image Name,MOS\nss03 (7805).jpg,{score}\nss02 (167).jpg,-0.0047\n")
    (folder / f"Test{suffix}.csv").write_text("Image Name,MOS\nss01 (10).jpg,0.2\n")


@pytest.mark.parametrize("suffix", [" (Images and MOS)", ""])
def test_biq2021(tmp_path, suffix):
    make_biq2021(tmp_path, suffix)
    biq = load_scored_set("biq2021", tmp_path)
    assert [path.name for path in biq.images] == ["ss03 (7805).jpg", "ss02 (167).jpg", "ss01 (10).jpg"]
    np.testing.assert_array_equal(biq.scores, [0.7321, -0.0047, 0.2])
    assert biq.split == ("train", "train", "test")
    assert len(set(biq.groups)) == 3


def test_biq2021_never_takes_one_list_of_each_version(tmp_path):
    make_biq2021(tmp_path)
    make_biq2021(tmp_path, "", score="0.5")
    assert load_scored_set("biq2021", tmp_path).scores[0] == 0.7321
    (tmp_path / "Test (Images and MOS).csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no Test \(Images and MOS\)\.csv"):
        load_scored_set("biq2021", tmp_path)


# All -----------------------------------------------------------------------------------------------------------------

MAKERS = {
    "live": make_live,
    "csiq": make_csiq,
    "tid2013": make_tid2013,
    "kadid10k": make_kadid10k,
    "live_challenge": make_live_challenge,
    "koniq10k": make_koniq10k,
    "flive": make_flive,
    "biq2021": make_biq2021,
}
PARTS = {
    "live": ["dmos_realigned.mat", "refnames_all.mat", "jp2k", "jpeg", "wn", "gblur", "fastfading"],
    "csiq": ["csiq.DMOS.xlsx", "dst_imgs"],
    "tid2013": ["mos_with_names.txt", "distorted_images"],
    "kadid10k": ["dmos.csv", "images"],
    "live_challenge": ["Data/AllImages_release.mat", "Data/AllMOS_release.mat", "Images"],
    "koniq10k": ["koniq10k_distributions_sets.csv", "1024x768"],
    "flive": ["labels_image.csv"],
    "biq2021": ["Train (Images and MOS).csv", "Test (Images and MOS).csv", "Images"],
}


def test_every_loader_is_tested():
    assert set(MAKERS) == set(PARTS) == set(LOADERS)


@pytest.mark.parametrize("name", MAKERS)
def test_a_wrong_path_says_what_was_expected(tmp_path, name):
    with pytest.raises(
        FileNotFoundError, match=r"there is no folder .*nowhere; expected .* as|there is no folder .*BIQ"
    ):
        load_scored_set(name, tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in PARTS.items() for part in parts])
def test_a_missing_part_is_named(tmp_path, name, part):
    MAKERS[name](tmp_path)
    (tmp_path / part).rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError) as error:
        load_scored_set(name, tmp_path)
    found, expected = str(error.value).split("; expected ")
    assert str(tmp_path) in found
    assert part in found
    assert Path(part).name in expected


@pytest.mark.parametrize(
    ("name", "photo", "left"),
    [
        ("live", "wn/img5.bmp", 978),
        ("csiq", "dst_imgs/BLUR/boston.BLUR.2.png", 5),
        ("tid2013", "distorted_images/i25_03_2.bmp", 2),
        ("kadid10k", "images/I81_25_05.png", 2),
        ("live_challenge", "Images/4.bmp", 2),
        ("koniq10k", "1024x768/10043785683.jpg", 2),
        ("flive", "database/EE371R/rq59.jpg", 2),
        ("biq2021", "Images/ss02 (167).jpg", 2),
    ],
)
@pytest.mark.parametrize("fault", ["missing", "corrupt"])
def test_a_photo_that_cannot_be_read_is_named_and_skipped(tmp_path, name, photo, left, fault):
    MAKERS[name](tmp_path)
    whole = load_scored_set(name, tmp_path)
    path = tmp_path / photo
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(b"no image")
    with pytest.warns(UserWarning, match="skipped") as warned:
        rest = load_scored_set(name, tmp_path)
    assert [path.name in str(warning.message) for warning in warned] == [True]
    assert [entry.path.name for entry in rest.skipped] == [path.name]
    assert len(rest.images) == len(rest.scores) == len(rest.groups) == left
    of = dict(zip(whole.images, zip(whole.scores, whole.groups, strict=True), strict=True))
    assert [of[image] for image in rest.images] == list(zip(rest.scores, rest.groups, strict=True))
    assert rest.fingerprint != whole.fingerprint


def test_a_split_with_one_side_left_is_an_error(tmp_path):
    make_biq2021(tmp_path)
    (tmp_path / "Images" / "ss01 (10).jpg").unlink()
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(ValueError, match="biq2021: split should have images of both sides, got only train"),
    ):
        load_scored_set("biq2021", tmp_path)


# CSV -----------------------------------------------------------------------------------------------------------------


def test_csv_with_every_column(tmp_path):
    for name in ("a.png", "sub/b.png", "c.png"):
        write_image(tmp_path / name)
    (tmp_path / "scores.csv").write_text(
        "image,mos,reference,split,extra\na.png,1,r,train,0\nsub/b.png,2.5,r,train,0\nc.png, 3,s,validation,0\n"
    )
    scored = load_scored_set("mine", tmp_path / "scores.csv")
    assert (scored.name, scored.target) == ("mine", "MOS")
    assert relative(scored.images, tmp_path) == ["a.png", "sub/b.png", "c.png"]
    np.testing.assert_array_equal(scored.scores, [1, 2.5, 3])
    assert scored.groups == ("r", "r", "s")
    assert scored.split == ("train", "train", "test")


def test_csv_file_under_the_name_of_a_loader(tmp_path):
    write_image(tmp_path / "a.png")
    (tmp_path / "scores.csv").write_text("image,score\na.png,1\n")
    scored = load_scored_set("live", tmp_path / "scores.csv")
    assert (scored.groups, scored.split, scored.target) == (("a.png",), None, "score")


def test_csv_file_that_make_dataset_wrote(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name)
    header = "image,reference,type,level,value,seed,opinion"
    (tmp_path / "scores.csv").write_text(f"{header}\na.png,r,jpeg,4,7,0,1.95\nb.png,r,jpeg,1,43,1,4.34\n")
    scored = load_scored_set("mine", tmp_path / "scores.csv")
    assert (scored.target, scored.groups) == ("opinion", ("r", "r"))
    assert list(scored.scores) == [1.95, 4.34]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,quality\na.png,1\n", r"columns image and score \(or mos, or opinion\), got image, quality"),
        ("", r"is not a CSV file \(it is empty\)"),
        ("image,score\na.png,good\n", "line 2 has no finite score"),
        ("image,score\na.png,1\na.png,2\n", r"a\.png is listed twice"),
        ("image,score,split\na.png,1,train\n", "split should have images of both sides, got only train"),
        ("image,score,split\na.png,1,left\n", "split should be one of train, test, validation, got left"),
    ],
)
def test_csv_with_a_fault(tmp_path, text, message):
    write_image(tmp_path / "a.png")
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_scored_set("mine", tmp_path / "scores.csv")


def test_a_name_that_no_loader_has(tmp_path):
    with pytest.raises(ValueError, match=r"no loader is called 'imagenet' \(there are: live, csiq, .*biq2021\)"):
        load_scored_set("imagenet", tmp_path)
