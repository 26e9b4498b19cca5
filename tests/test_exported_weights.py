"""Exported weights by name, folder or file: the quality model and the estimator that belongs to it."""

import pytest

from dsmix_aug.weights.exported import find_exported

MODEL, ESTIMATOR = "quality_model-tiny.safetensors", "dsm_estimator-tiny.safetensors"


@pytest.mark.parametrize("given", ["", MODEL, ESTIMATOR], ids=["folder", "model", "estimator"])
def test_either_file_or_their_folder_finds_both(tmp_path, given):
    for name in (MODEL, ESTIMATOR):
        (tmp_path / name).touch()
    assert find_exported(str(tmp_path / given)) == (str(tmp_path / MODEL), str(tmp_path / ESTIMATOR))


def test_weights_that_ship_are_found_by_name():
    assert find_exported("small") == ("small", "small")


def test_any_other_file_is_a_quality_model(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.touch()
    assert find_exported(str(path))[0] == str(path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there are no weights nothing; give a file, a folder or one of small"):
        find_exported("nothing")
    with pytest.raises(FileNotFoundError, match=r"holds no quality_model-NAME.safetensors"):
        find_exported(str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / f"quality_model-{name}.safetensors").touch()
    with pytest.raises(ValueError, match=r"holds several weights; give one of .*model-a.safetensors, .*model-b"):
        find_exported(str(tmp_path))
