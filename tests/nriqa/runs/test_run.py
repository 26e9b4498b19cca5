"""Configs, files and run folders: what a run writes before it starts, and when it refuses to."""

import json
import multiprocessing
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dsmix_aug.nriqa.base.files import replace_when_done, write_json
from dsmix_aug.nriqa.base.seeds import derive_seed, make_generator
from dsmix_aug.nriqa.runs.config import Config, LoopConfig, Machine, differences
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import PRETRAININGS, ROWS, pretrainings_of, rows_of
from dsmix_aug.nriqa.runs.run import Run

SMOKE = PRESETS["smoke"]


@pytest.mark.parametrize("name", PRESETS)
def test_configs_survive_json(name):
    config = replace(PRESETS[name], data=(("koniq", "/data/koniq.csv"),))
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_differences_are_named_with_both_values():
    old = SMOKE.to_dict()
    new = replace(SMOKE, seed=3, dsm=replace(SMOKE.dsm, steps=9)).to_dict()
    assert differences(old, new) == ["dsm.steps: 4 before, 9 now", "seed: 0 before, 3 now"]
    assert differences(old, old) == []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pretrain.steps", "7", 7),
        ("dsm.learning_rate", "1e-3", 1e-3),
        ("pretrain.autocast", "true", True),
        ("feature_autocast", "false", False),
        ("mix_probability", "1", 1.0),
        ("weighting", "mass", "mass"),
    ],
)
def test_settings_are_changed_by_name(name, text, value):
    changed = SMOKE.with_setting(name, text)
    entries, (*outer, field) = changed.to_dict(), name.split(".")
    entries = entries[outer[0]] if outer else entries
    assert entries[field] == value
    assert type(entries[field]) is type(value)
    left = [line for line in differences(SMOKE.to_dict(), changed.to_dict()) if not line.startswith(f"{name}:")]
    assert left == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pretrain.steps", "many", "pretrain.steps should be int, got 'many'"),
        ("weighting", "area", "weighting should be one of mass, mass_per_class, retained, got 'area'"),
        ("dsm.autocast", "1", "dsm.autocast should be one of true, false, got '1'"),
        ("trained_share", "1.5", r"trained_share should be in \[0, 1\], got 1.5"),
        ("pretrain.stepz", "3", "pretrain.stepz is no setting"),
        ("pretrain", "3", "pretrain is no setting"),
        ("rows", "dsmix", "rows is no setting"),
        ("probe.steps", "3", "probe.steps is no setting"),
    ],
)
def test_a_wrong_setting_is_named(name, text, message):
    with pytest.raises(ValueError, match=message):
        SMOKE.with_setting(name, text)


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
    with pytest.raises(ValueError, match=r"holds a run with another config; .* config.seed: 0 before, 1 now"):
        Run(tmp_path, replace(SMOKE, seed=1), Machine())


def test_changed_data_in_the_same_folder_is_an_error(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    config = replace(SMOKE, photos=str(folder))
    Run(tmp_path / "run", config, Machine())
    Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(folder / "1.png")
    with pytest.raises(ValueError, match=r"data.photos: '\w+' before, '\w+' now"):
        Run(tmp_path / "run", config, Machine())


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
        (folder / "checkpoint.safetensors").touch()
    assert run.is_finished("pretrain/dsmix")
    assert not (folder / "checkpoint.safetensors").exists()
    assert list(run.seconds()) == ["pretrain/dsmix"]


def test_presets_can_be_sharded():
    for config in PRESETS.values():
        for loop in (config.dsm, config.pretrain):
            assert isinstance(loop, LoopConfig)
            assert loop.batch_size % loop.shards == 0


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
