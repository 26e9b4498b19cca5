"""Files, seeds, rows and runs: what a run writes before it starts, and when it refuses to."""

import json
import multiprocessing
import shutil
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.base.files import replace_when_done, write_json
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator
from dsmix_aug.nriqa.runs.config import Config, Machine
from dsmix_aug.nriqa.runs.folder import RunFolder
from dsmix_aug.nriqa.runs.names import REMARKS
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, ROWS, pretrainings_of, rows_of
from dsmix_aug.nriqa.runs.run import Run

SMOKE = PRESETS["smoke"]
SCORES = [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_seeds_depend_on_every_part():
    parts = [(0, "dsm", 1), (1, "dsm", 1), (0, "pretrain", 1), (0, "dsm", 2)]
    assert len({derive_seed(*entry) for entry in parts}) == 4
    assert all(0 <= derive_seed(*entry) < 2**63 for entry in parts)
    assert make_generator(0, "a").initial_seed() == derive_seed(0, "a")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})

    def write_half():
        with replace_when_done(path) as temporary:
            temporary.write_text("{")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_teacher_nothing_is_distilled():
    config = replace(SMOKE, rows=tuple(ROWS))
    assert set(rows_of(config)) == set(ROWS)
    without = replace(config, teacher="none")
    kept = [name for name, pretraining in PRETRAININGS.items() if pretraining.distill]
    assert "dsmix" in kept
    assert "dsmix_undistilled" not in kept
    with_other_teachers = ["lite1_and_no_mixing_opinions", "lite1_and_dsmix_annoyance", "lite1_and_averaged"]
    assert list(rows_of(without)) == [*kept, *with_other_teachers, "random"]
    assert list(pretrainings_of(without)) == kept
    assert not any(pretraining.distill for pretraining in pretrainings_of(without).values())
    assert pretrainings_of(config) == PRETRAININGS
    weightless = pretrainings_of(replace(config, distillation_weight=0.0))
    assert list(weightless) == list(PRETRAININGS)
    assert not any(pretraining.distill for pretraining in weightless.values())
    with pytest.raises(ValueError, match=r"rows: teacher needs a teacher, got teacher='none'"):
        rows_of(replace(config, rows=("teacher",), teacher="none"))
    with pytest.raises(ValueError, match=r"rows: unknown 'cutout'; known are no_mixing, "):
        rows_of(replace(config, rows=("cutout",)))


def test_a_run_writes_what_it_takes_to_repeat_it(tmp_path):
    run = Run(tmp_path / "run", SMOKE, Machine())
    written = json.loads((run.folder / "config.json").read_text())
    assert Config.from_dict(written["config"]) == SMOKE
    assert written["data"] == {"photos": run.photos.fingerprint}
    Run(tmp_path / "run", SMOKE, Machine())
    sessions = json.loads((run.folder / "sessions.json").read_text())
    assert len(sessions) == 2
    assert {"torch", "numpy", "dsmix-aug"} <= set(sessions[0]["versions"])
    assert {"git_commit", "device", "python", "started"} <= set(sessions[0])


def test_another_config_in_the_same_folder_is_an_error(tmp_path):
    Run(tmp_path, SMOKE, Machine())
    with pytest.raises(ValueError, match=r"holds a run with another config; .* What differs: seed: 0 before, 1 now"):
        Run(tmp_path, replace(SMOKE, seed=1), Machine())


def test_changed_data_in_the_same_folder_is_an_error(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    config = replace(SMOKE, photos=str(folder))
    Run(tmp_path / "run", config, Machine(), stages=("dsm",))
    Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(folder / "1.png")
    with pytest.raises(ValueError, match=r"data.photos: '\w+' before, '\w+' now"):
        Run(tmp_path / "run", config, Machine(), stages=("dsm",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": "nobody"}, "teacher should be"),
        ({"backbone": "nothing"}, "backbone should be"),
        ({"rows": ("nope",)}, "rows: unknown 'nope'"),
        ({"data": (("toy", "/nowhere/scores.csv"),)}, "there is no file /nowhere/scores.csv"),
        ({"data": (("toy", "/nowhere/scores.txt"),)}, "no loader is called 'toy'"),
        ({"photos": "/nowhere"}, "there is no folder /nowhere"),
    ],
)
def test_what_cannot_be_met_is_said_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Run(tmp_path / "run", replace(SMOKE, **changes), Machine())
    assert not (tmp_path / "run").exists()


def write_photos(folder, count, side=70):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        photo = np.random.default_rng(number).integers(0, 256, (side, side + 10, 3), dtype=np.uint8)
        Image.fromarray(photo).save(folder / f"{number:02d}.png")
    return folder


def write_scores(path, scores):
    names = [f"{number:02d}.png" for number in range(len(scores))]
    write_photos(path.parent, len(scores))
    write_csv(path, {"image": names, "score": scores})
    return path


@pytest.mark.parametrize(
    ("count", "scores", "message"),
    [
        (4, None, "2 held-out photos are needed, got 1 of .* at least 11 photos, of which every 10th is held out"),
        (4, [1.0, 2, 3], "toy: both sides of a split need at least 2 images, got 1 on the test side of 3 images"),
        (4, [2.0] * 8, "toy: all images on the training side of split 0 have the score 2"),
    ],
)
def test_too_little_data_is_refused_before_a_folder_is_claimed(tmp_path, count, scores, message):
    config = replace(SMOKE, photos=str(write_photos(tmp_path / "photos", count)))
    if scores:
        config = replace(config, data=(("toy", str(write_scores(tmp_path / "data" / "scores.csv", scores))),))
    with pytest.raises(ValueError, match=message):
        Run(tmp_path / "run", config, Machine())
    assert not (tmp_path / "run").exists()


def test_only_the_data_of_the_stages_is_read(tmp_path):
    config = replace(SMOKE, data=(("toy", "/nowhere/scores.csv"),))
    run = Run(tmp_path / "run", config, Machine(), stages=("dsm", "pretrain"))
    assert list(run.fingerprints) == ["photos"]
    with pytest.raises(FileNotFoundError, match="there is no file /nowhere"):
        Run(tmp_path / "run", config, Machine(), stages=("probe",))


def test_data_may_move_but_not_change(tmp_path):
    photos, scores = write_photos(tmp_path / "photos", 3), write_scores(tmp_path / "data" / "scores.csv", SCORES)
    config = replace(SMOKE, photos=str(photos), data=(("toy", str(scores)),))
    Run(tmp_path / "run", config, Machine())
    photos.rename(tmp_path / "moved")
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = replace(config, photos=str(tmp_path / "moved"), data=(("toy", str(tmp_path / "elsewhere" / "scores.csv")),))
    run = Run(tmp_path / "run", moved, Machine())
    assert RunFolder(run.folder).config == moved
    write_scores(tmp_path / "elsewhere" / "scores.csv", SCORES[::-1])
    with pytest.raises(ValueError, match=r"was started with other data; .* data.toy: '\w+' before, '\w+' now"):
        Run(tmp_path / "run", moved, Machine())


@pytest.mark.parametrize("damage", ["deleted", "cut", "another"])
def test_a_stand_in_that_changed_is_refused_and_made_again_when_deleted(tmp_path, damage):
    config = replace(SMOKE, photos=str(write_photos(tmp_path / "photos", 11)))
    before = Run(tmp_path / "run", config, Machine()).scored_sets[0].fingerprint
    run = Run(tmp_path / "run", config, Machine())
    image = sorted(run.held_out_path.glob("*.png"))[3]
    if damage == "deleted":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(image.read_bytes()[:500])
    else:
        Image.new("RGB", (64, 64)).save(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was skipped
        with pytest.raises(ValueError, match=r"other data; delete .*held_out, which is then made again"):
            run.scored_sets  # noqa: B018
    shutil.rmtree(run.held_out_path)
    assert Run(tmp_path / "run", config, Machine()).scored_sets[0].fingerprint == before


def test_a_new_remark_does_not_change_a_run(tmp_path, monkeypatch):
    Run(tmp_path, SMOKE, Machine(), stages=("dsm",))
    monkeypatch.setitem(REMARKS, "smoke", "said otherwise")
    assert Run(tmp_path, SMOKE, Machine(), stages=("dsm",)).remark == "Preset smoke: said otherwise."


def test_parts_are_finished_only_without_an_error(tmp_path):
    run = Run(tmp_path, SMOKE, Machine())

    def fail():
        with run.part("pretrain/dsmix"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not run.is_finished("pretrain/dsmix")
    with run.part("pretrain/dsmix") as folder:
        folder.mkdir(parents=True)
        (folder / "checkpoint.safetensors").touch()
    assert run.is_finished("pretrain/dsmix")
    assert not (folder / "checkpoint.safetensors").exists()
    assert list(run.seconds()) == ["pretrain/dsmix"]


def _start(folder, connection):
    torch.set_num_threads(1)
    run = Run(folder, SMOKE, Machine())
    connection.send("started")
    time.sleep(300)
    assert run


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the children use one thread
def test_two_processes_cannot_run_in_one_folder(tmp_path):
    """The second is refused with the first one's number, until that one is dead; no session is lost."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    first = context.Process(target=_start, args=(tmp_path, sender))
    first.start()
    try:
        assert receiver.recv() == "started"
        (tmp_path / ".tmp.1.part").touch()
        with pytest.raises(BlockingIOError, match=rf"{tmp_path} is in use by process {first.pid}: wait until"):
            Run(tmp_path, SMOKE, Machine())
        assert len(json.loads((tmp_path / "sessions.json").read_text())) == 1
        assert (tmp_path / ".tmp.1.part").exists()  # it may be the first one's
    finally:
        first.kill()
        first.join()
    Run(tmp_path, SMOKE, Machine())
    assert len(json.loads((tmp_path / "sessions.json").read_text())) == 2
    assert not list(tmp_path.rglob(".tmp.*"))


def test_a_device_that_is_not_there_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="device should be one that torch knows"):
        Run(tmp_path / "run", SMOKE, Machine(device="gpu"))
    assert not (tmp_path / "run").exists()
