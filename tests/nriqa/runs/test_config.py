"""Configs: JSON and back, settings by name, and what is refused before anything is written."""

import json
from dataclasses import replace

import pytest

from dsmix_aug.nriqa.runs.config import Config, LoopConfig, Machine, differences, settings
from dsmix_aug.nriqa.runs.names import REMARKS, describe
from dsmix_aug.nriqa.runs.presets import PRESETS

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
        ("teacher", "none", "none"),
        ("photos", "/data/photos", "/data/photos"),
        ("estimator.depth", "3", 3),
        ("stand_in_levels", "2,4", [2, 4]),
        ("seed", "4294967295", 2**32 - 1),
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
        ("weighting", "area", "weighting should be one of mass, mass_per_class, .*, got 'area'"),
        ("dsm.autocast", "1", "dsm.autocast should be one of true, false, got '1'"),
        ("trained_share", "1.5", r"trained_share should be in \[0, 1\], got 1.5"),
        ("pretrain.stepz", "3", r"no setting 'pretrain.stepz'. did you mean pretrain.steps\?"),
        ("steps", "3", r"no setting 'steps'. did you mean dsm.steps or pretrain.steps\? Settings are: dsm.steps, "),
        ("pretrain", "3", "there is no setting 'pretrain'"),
        ("rows", "dsmix", "there is no setting 'rows'"),
        ("stand_in_levels", "1,x", "stand_in_levels should be int, got 'x'"),
        ("stand_in_levels", "1,9", "levels"),
        ("pretrain.steps", "0", "^pretrain.steps should be at least 1, got 0"),
        ("dsm.batch_size", "0", "^dsm.batch_size should be at least 1, got 0"),
        ("pretrain.shards", "3", "^pretrain.batch_size should be a multiple of shards, got 4 and 3"),
        ("dsm.checkpoint_every", "0", "^dsm.checkpoint_every should be at least 1, got 0"),
        ("dsm.learning_rate", "nan", "^dsm.learning_rate should be at least 0, got nan"),
        ("pretrain.crop_size", "0", "^pretrain.crop_size should be at least 1, got 0"),
        ("pretrain.crop_size", "31", "^pretrain.crop_size should be at least 48 px .* got 31"),
        ("dsm.crop_size", "400", r"^dsm.crop_size should .* at most photo_side \(384 px\), got 400"),
        ("held_out_side", "10", "^held_out_side should be at least 48 px"),
        ("photo_side", "10", r"at most photo_side \(10 px\), got 64"),
        ("patch_size", "0", "^patch_size should be at least 1, got 0"),
        ("patch_size", "128", "crop_size should be at least 128 px"),
        ("split_count", "0", "^split_count should be at least 1, got 0"),
        ("seed", "-1", r"^seed should be in \[0, 4294967295\], got -1"),
        ("seed", "4294967296", "^seed should be in"),
        ("mix_probability", "2", r"^mix_probability should be in \[0, 1\], got 2"),
        ("estimated_share", "0.6", r"^estimated_share should be in \[0, 0.5\], got 0.6"),
        ("held_out_every", "1", "^held_out_every should be at least 2, got 1"),
        ("hidden_units", "-4", r"^hidden_units should be in \[0, 4096\], got -4"),
        ("hidden_units", "4100", r"^hidden_units should be in \[0, 4096\], got 4100"),
        ("hidden_units", "6", "^hidden_units should be a multiple of 4, got 6"),
        ("distillation_weight", "-1", "^distillation_weight should be at least 0, got -1"),
        ("estimator.embed_dim", "30", "^estimator.embed_dim should be a multiple of 4 and of num_heads, got 30 and 2"),
    ],
)
def test_a_wrong_setting_is_named(name, text, message):
    with pytest.raises(ValueError, match=message):
        SMOKE.with_setting(name, text)


def test_every_scalar_can_be_set():
    scalars = {
        f"{outer}.{inner}" if inner else outer
        for outer, value in SMOKE.to_dict().items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    assert set(settings()) == scalars - {"preset", "rows", "data", "joint"}


def test_a_config_of_before_a_setting_was_added_has_its_default():
    content = SMOKE.to_dict()
    del content["split_count"], content["pretrain"]["shards"]
    assert Config.from_dict(content) == replace(SMOKE, split_count=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"remark": "old"}, "the setting remark is unknown to this version"),
        ({"dsm": {**SMOKE.to_dict()["dsm"], "speed": 1}}, "the setting dsm.speed is unknown"),
        ({"dsm": {"steps": 1}}, "the setting dsm.batch_size is missing"),
    ],
)
def test_settings_of_another_version_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Config.from_dict({**SMOKE.to_dict(), **changes})


@pytest.mark.parametrize("name", ["nope", "cuda:99", "gpu", "meta", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(ValueError, match=f"^device.*'{name}'"):
        Machine(name)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="workers should be at least 0, got -1"):
        Machine("cpu", -1)


def test_every_preset_says_what_its_figures_are_worth():
    assert set(REMARKS) == set(PRESETS)
    assert describe("smoke") == "Preset smoke: a few steps that show that the code runs; its numbers mean nothing."


def test_presets_can_be_sharded():
    for config in PRESETS.values():
        for loop in (config.dsm, config.pretrain):
            assert isinstance(loop, LoopConfig)
            assert loop.batch_size % loop.shards == 0
