"""CSV files as spreadsheets and scripts write them, and what of them a dataset refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dsmix_aug.nriqa.command_line import make_parser
from dsmix_aug.nriqa.datasets import check_dataset_name, load_scored_set
from dsmix_aug.nriqa.datasets.csv_table import read_csv_table
from dsmix_aug.nriqa.pipeline import make_config

COLUMNS = {"image": "image", "score": "score"}


@pytest.fixture
def folder(tmp_path):
    """A folder with the images a.png to d.png, each of another content, and sub/b.png, equal to b.png."""
    (tmp_path / "sub").mkdir()
    for index, name in enumerate("abcd"):
        Image.new("RGB", (8, 8), (40 * index, 0, 0)).save(tmp_path / f"{name}.png")
    (tmp_path / "sub" / "b.png").write_bytes((tmp_path / "b.png").read_bytes())
    return tmp_path


def load(folder, text, **options):
    (folder / "scores.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_scored_set("mine", folder / "scores.csv", **options)


def names(scored, folder):
    return [path.relative_to(folder).as_posix() for path in scored.images]


# What is read --------------------------------------------------------------------------------------------------------


def test_a_comma_at_the_end_of_rows_shifts_nothing(folder):
    scored = load(folder, "image,reference,score,std\na.png,b.png,3.5,0.2,\nc.png,d.png,4.5,0.9,,\n")
    assert names(scored, folder) == ["a.png", "c.png"]
    assert scored.scores.tolist() == [3.5, 4.5]
    assert scored.groups == ("b.png", "d.png")
    assert load(folder, "image,score\na.png,3.5,\nc.png,4.5,\n").scores.tolist() == [3.5, 4.5]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["image{0}score", "Image{0}MOS", "IMAGE {0} Score", '"image"{0}"mos"'])
def test_separators_and_upper_case(folder, separator, header):
    scored = load(folder, header.format(separator) + f'\na.png{separator} 1.5\n"c.png"{separator}-2e-1\n')
    assert names(scored, folder) == ["a.png", "c.png"]
    assert scored.scores.tolist() == [1.5, -0.2]


def test_names_may_hold_other_separators(folder):
    for name in ("x;y.png", "x,y.png"):
        (folder / "a.png").rename(folder / name)
        quoted = f'"{name}"' if "," in name else name
        assert names(load(folder, f"image,score\n{quoted},1\n"), folder) == [name]
        (folder / name).rename(folder / "a.png")


@pytest.mark.parametrize("name", ["NA", "None", "null", "nan", "NaN", "N/A", "1600", "True", "1e3"])
def test_every_text_is_a_name(folder, name):
    scored = load(folder, f"image,score,reference\na.png,1,{name}\nc.png,2,{name}\nd.png,3,other\n")
    assert scored.groups == (name, name, "other")
    if "/" not in name:
        (folder / "a.png").rename(folder / name)
        assert names(load(folder, f"image,score\n{name},1\n"), folder) == [name]


def test_byte_order_mark_line_ends_and_blank_lines(folder):
    scored = load(folder, b"\xef\xbb\xbfimage,score\r\n\r\na.png,1\r\n,\r\n\r\nc.png,2\r\n\r\n")
    assert names(scored, folder) == ["a.png", "c.png"]
    assert load(folder, "\n\nimage;score\na.png;1\n").scores.tolist() == [1]


def test_backslashes_and_blanks(folder):
    scored = load(folder, "image,score,reference\nsub\\b.png ,1 , r \n.\\a.png,2,r\n")
    assert names(scored, folder) == ["sub/b.png", "a.png"]
    assert scored.groups == ("r", "r")


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["image,score\n", "image,score", "\ufeffImage;MOS\r\n\r\n", "image,score\n,\n"])
def test_a_header_alone(folder, header):
    with pytest.raises(ValueError, match=r"scores\.csv lists no image"):
        load(folder, header)


@pytest.mark.parametrize("blank", ["", "\n", ",\n", "\n\n  \n"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c.png,good", "has no finite score, got 'good'"),
        ("c.png,", "has no finite score, got ''"),
        ("c.png", "has no finite score, got ''"),
        ("c.png,nan", "has no finite score, got 'nan'"),
        ("c.png,1e999", "has no finite score, got '1e999'"),
        ("c.png,True", "has no finite score, got 'True'"),
        ("c.png,FALSE", "has no finite score, got 'FALSE'"),
        ("c.png,1_0", "has no finite score, got '1_0'"),
        (",3", "has no image"),
        ('c.png,"3,5"', "has the score 3,5 with a decimal comma; write 3.5"),
        ("c.png,3,5", "has 3 cells, the header 2; numbers need a decimal point"),
    ],
)
def test_errors_name_the_line(folder, blank, row, message):
    before = f"image,score\na.png,1\n{blank}"
    with pytest.raises(ValueError, match=rf"line {before.count(chr(10)) + 1} ") as error:
        load(folder, f"{before}{row}\n")
    assert message in str(error.value)


def test_a_line_break_in_quotes_does_not_shift_line_numbers(folder):
    with pytest.raises(ValueError, match="line 4 has no finite score"):
        load(folder, 'image,score,remark\na.png,1,"two\nlines"\nc.png,good,\n')


def test_decimal_commas_are_named(folder):
    with pytest.raises(ValueError, match="line 2 has the score -3,5 with a decimal comma"):
        load(folder, "image;score\na.png;-3,5\n")


@pytest.mark.parametrize(
    "content", [b"", b"\n \n", b"image,score\n\xff\xfe,1\n", b'image,score\n"a.png,1\n', b"\x00" * 99]
)
def test_what_is_not_a_csv_file(folder, content):
    with pytest.raises(ValueError, match=r"scores\.csv (is not a CSV file|should have the columns)"):
        load(folder, content)


@pytest.mark.parametrize("header", ["image,score,Score", "image,IMAGE,score"])
def test_a_column_twice(folder, header):
    with pytest.raises(ValueError, match=r"has the column (image|score) twice"):
        load(folder, f"{header}\na.png,1,1\n")


def test_missing_columns_are_named_as_the_file_has_them(tmp_path):
    (tmp_path / "a.csv").write_text("Image,Quality\nx,1\n")
    with pytest.raises(ValueError, match="should have the columns image, score, got Image, Quality"):
        read_csv_table(tmp_path / "a.csv", COLUMNS)


# One image under several names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["./a.png", "sub/../a.png", ".//a.png", ".\\a.png", "{folder}/a.png"])
def test_one_image_listed_twice(folder, spelled):
    with pytest.raises(ValueError, match=r"mine: .*a\.png is listed twice"):
        load(folder, f"image,score\na.png,1\n{spelled.format(folder=folder)},5\n")


def test_equal_files_are_one_content(folder):
    scored = load(folder, "image,score\na.png,1\nb.png,2\nsub/b.png,3\nc.png,4\n")
    assert scored.groups == ("a.png", "b.png", "b.png", "c.png")
    (folder / "link.png").symlink_to(folder / "a.png")
    assert load(folder, "image,score\na.png,1\nlink.png,3\n").groups == ("a.png", "a.png")


def test_equal_files_join_all_that_share_a_reference_with_them(folder):
    text = "image,score,reference\na.png,1,r\nb.png,2,r\nsub/b.png,3,s\nc.png,4,s\nd.png,5,t\n"
    assert load(folder, text).groups == ("r", "r", "r", "r", "t")


def test_a_reference_that_is_a_file_in_the_folder_is_found(folder):
    names = ["sub/b.png", "sub\\b.png", "sub", "../outside.png", "scene" * 100]
    rows = "".join(f"{image}.png,1,{name}\n" for image, name in zip("abcd", names[:4], strict=True))
    (folder.parent / "outside.png").write_bytes((folder / "a.png").read_bytes())
    scored = load(folder, f"image,score,reference\n{rows}")
    assert scored.references == (folder / "sub/b.png", folder / "sub/b.png", None, None)
    assert load(folder, f"image,score,reference\na.png,1,{names[4]}\n").references == (None,)
    assert load(folder, "image,score\na.png,1\n").references == ()
    Image.new("RGB", (9, 9)).save(folder / "sub/b.png")
    assert load(folder, f"image,score,reference\n{rows}").fingerprint != scored.fingerprint


def test_a_reference_that_cannot_be_read_is_named_and_counts_as_unknown(folder):
    (folder / "text.png").write_text("not a photo")
    with pytest.warns(UserWarning, match=r"skipped 1 of 1 photos: .*text\.png"):
        scored = load(folder, "image,score,reference\na.png,1,text.png\nb.png,2,text.png\n")
    assert scored.references == (None, None)
    assert len(scored.images) == 2


def test_equal_files_on_two_sides_of_a_split_are_named(folder):
    text = "image,score,split\na.png,1,train\nb.png,2,train\nsub/b.png,3,test\n"
    with pytest.warns(UserWarning, match=r"mine: .*b\.png and .*sub.b\.png are equal, but on two sides of the split"):
        load(folder, text)


# Where images may be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["../a.png", "x/../../a.png", "..\\a.png", "{above}/a.png", "/etc/hostname", ".."])
def test_images_outside_of_the_folder_are_refused(tmp_path, spelled):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="lies outside of"):
        load(tmp_path / "set", f"image,score\n{spelled.format(above=tmp_path)},1\n")


@pytest.mark.parametrize("spelled", ["../a.png", "{above}/a.png"])
def test_images_outside_of_the_folder_when_allowed(tmp_path, spelled):
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    scored = load(tmp_path / "set", f"image,score\n{spelled.format(above=tmp_path)},1\n", allow_outside=True)
    assert scored.images[0].resolve() == (tmp_path / "a.png").resolve()


def test_links_in_the_folder_are_followed(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    (tmp_path / "disk").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "disk" / "a.png")
    (tmp_path / "set" / "more").symlink_to(tmp_path / "disk")
    assert len(load(tmp_path / "set", "image,score\nmore/a.png,1\n").images) == 1
    monkeypatch.chdir(tmp_path / "set")
    assert len(load_scored_set("mine", (tmp_path / "set/scores.csv").relative_to(Path.cwd())).images) == 1


# Images that are missing ---------------------------------------------------------------------------------------------


def test_many_missing_images_are_one_warning(folder):
    text = "image,score\n" + "".join(f"{number}.png,1\n" for number in range(30)) + "a.png,1\n"
    with pytest.warns(
        UserWarning, match=r"skipped 30 of 31 photos: .*0\.png: .*1\.png: .*2\.png: .*; and 27 more$"
    ) as all_:
        scored = load(folder, text)
    assert len(all_) == 1
    assert [entry.path.name for entry in scored.skipped] == [f"{number}.png" for number in range(30)]


def test_names_that_are_too_long_are_skipped(folder):
    with pytest.warns(UserWarning, match="skipped 2 of 3 photos"):
        scored = load(folder, f"image,score\n{'x' * 300}.png,1\na.png,2\n{'y/' * 3000}z.png,3\n")
    assert names(scored, folder) == ["a.png"]


# Names of datasets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "koniq10k", "my-set_2.1", "9", "x" * 64])
def test_names_of_datasets(name):
    check_dataset_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../../x",
        "a/b",
        "a\\b",
        ".hidden",
        "..",
        "x" * 65,
        r"$\frac{$",
        "a b",
        "a\n",
        "ä",
        "-x",
        "_x",
        "a:b",
        "nul\0",
    ],
)
def test_names_that_datasets_cannot_have(tmp_path, name):
    with pytest.raises(ValueError, match="the name of a dataset should be 1 to 64 letters"):
        check_dataset_name(name)
    with pytest.raises(ValueError, match="the name of a dataset"):
        load_scored_set(name, tmp_path / "scores.csv")
    if name:
        with pytest.raises(ValueError, match="the name of a dataset"):
            make_config(make_parser("").parse_args([f"--data={name}=scores.csv"]))


def test_names_of_datasets_that_differ_in_case_only():
    with pytest.raises(ValueError, match="--data gives a name twice: Mine, mine"):
        make_config(make_parser("").parse_args(["--data=Mine=a.csv", "--data=mine=b.csv"]))


def test_the_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = make_config(make_parser("").parse_args(["--photos=~/photos", "--data=mine=~/a.csv"]))
    assert config.photos == str(tmp_path.resolve() / "photos")
    assert config.data == (("mine", str(tmp_path.resolve() / "a.csv")),)


def test_scores_are_exact(folder):
    values = np.random.default_rng(0).normal(size=4)
    text = "image,score\n" + "".join(
        f"{name}.png,{value!r}\n" for name, value in zip("abcd", values.tolist(), strict=True)
    )
    np.testing.assert_array_equal(load(folder, text).scores, values)
