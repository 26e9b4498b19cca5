"""Files, seeds, rows and runs: what a run writes before it starts, and when it refuses to."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dsmix_aug.nriqa.base.files import replace_when_done, write_json
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator
from dsmix_aug.nriqa.runs.config import Config, Machine
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, ROWS, pretrainings_of, rows_of
from dsmix_aug.nriqa.runs.run import Run

SMOKE = PRESETS["smoke"]


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
    kept = ["no_mixing", "mixup", "cutmix", "dsmix", "dsmix_shuffled", "dsmix_dsm_head", "dsmix_from_scratch"]
    assert list(rows_of(without)) == [*kept, "random"]
    assert list(pretrainings_of(without)) == kept
    assert not any(pretraining.distill for pretraining in pretrainings_of(without).values())
    assert pretrainings_of(config) == PRETRAININGS
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
        (folder / "checkpoint.pt").touch()
    assert run.is_finished("pretrain/dsmix")
    assert not (folder / "checkpoint.pt").exists()
    assert list(run.seconds()) == ["pretrain/dsmix"]
