"""The reader of a run's folder: what is there, what is not there yet, and what is damaged."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.base.files import save_tensors, write_json
from dsmix_aug.nriqa.networks.probe import Probe
from dsmix_aug.nriqa.runs.folder import FORMAT, RESULT_COLUMNS, RunFolder
from dsmix_aug.nriqa.runs.networks import KIND, new_backbone
from dsmix_aug.nriqa.runs.predictions import COLUMNS, Predictions
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import ROWS

CONFIG = replace(PRESETS["smoke"], rows=("teacher", "random"))
WIDTH = 2 * 2 * sum((32, 16, 24, 40, 80, 112, 192, 320, 1280))  # scales, statistics, maps of EfficientNet-Lite0


@pytest.fixture
def run(tmp_path):
    """A folder as a finished run leaves it, without its training."""
    run = RunFolder(tmp_path / "run")
    write_json(run.config_path, {"format": FORMAT, "config": CONFIG.to_dict(), "data": {"photos": "hash"}})
    for part in ("dsm", "probe", "evaluate"):
        write_json(run.marker_path(part), {"seconds": 1.5})
    run.estimator_path.parent.mkdir(parents=True)
    DSMEstimator(16, 16, 1, 2).save_pretrained(run.estimator_path)
    run.log_path("dsm").write_text('{"step": 0, "loss": 2.0}\n{"step": 1, "loss": 1.0}\n')
    rng = np.random.default_rng(0)
    for row in CONFIG.rows:
        low, mean, coefficients = rng.normal(size=(3, WIDTH))
        probe = Probe(low, low + 1, mean, np.ones(WIDTH), coefficients, 0.5)
        probe.save(
            run.probe_path(row, "toy set"),
            {"row": row, "dataset": "toy set", "target": "MOS", "score_range": [0.0, 1.0]},
        )
    images = [f"a/{number}.png" for number in range(4)]
    entry = {"row": "teacher", "trained_on": "toy set", "tested_on": "toy set", "split": 0}
    table = pd.DataFrame({**entry, "image": images, "content": images, "target": range(4), "prediction": range(4)})
    Predictions(table).write(run.predictions_path)
    values = {name: ["x"] if kind is str else [kind("1")] for name, kind in RESULT_COLUMNS.items()}
    write_csv(run.results_path, values)
    return RunFolder(run.folder)


def test_all_of_a_run_is_read(run):
    assert run.config == CONFIG
    assert list(run.rows) == ["teacher", "random"]
    assert run.log("dsm")[-1] == {"step": 1, "loss": 1.0}
    assert run.targets == {"toy set": "MOS"}
    assert run.predictions.table["image"].tolist() == [f"a/{number}.png" for number in range(4)]
    assert list(run.predictions.table) == list(COLUMNS)
    assert run.results["images"].tolist() == [1]
    assert run.seconds() == {"dsm": 1.5, "probe": 1.5, "evaluate": 1.5}
    assert run.estimator()(torch.rand(1, 3, 32, 32)).shape == (1, 2, 2)
    assert run.remark == "Preset smoke: a few steps that show that the code runs; its numbers mean nothing."


def test_the_quality_model_of_a_row(run):
    model = run.quality_model()
    assert (model.row, model.target, model.trained_on) == (ROWS["teacher"], "MOS", "toy set")
    assert model.remark == run.remark
    assert not any(network.training for network in model.networks)
    assert run.quality_model("random").row == ROWS["random"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda run: run.networks("dsmix"), "row should be one of teacher, random, got 'dsmix'"),
        (lambda run: run.probe("teacher", "other"), "no probe of row 'teacher' and dataset 'other'; it has: "),
        (lambda run: run.log("pretrain/dsmix"), "has no pre-trained 'dsmix': run the stage 'pretrain' first"),
    ],
)
def test_what_is_not_there_is_named(run, ask, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        ask(run)


@pytest.mark.parametrize(
    ("part", "ask"),
    [
        ("dsm", lambda run: run.estimator()),
        ("dsm", lambda run: run.correlation),
        ("probe", lambda run: run.predictions),
        ("probe", lambda run: run.quality_model()),
        ("evaluate", lambda run: run.results),
    ],
)
def test_a_stage_that_has_not_run_is_named(run, part, ask):
    run.marker_path(part).unlink()
    with pytest.raises(FileNotFoundError, match=f"run the stage '{part}' first"):
        ask(run)


@pytest.mark.parametrize("damage", ["deleted", "cut"])
@pytest.mark.parametrize(
    ("path", "marker", "ask"),
    [
        ("dsm/estimator.safetensors", "dsm", lambda run: run.estimator()),
        ("dsm/log.jsonl", "dsm", lambda run: run.log("dsm")),
        ("probe/predictions.csv", "probe", lambda run: run.predictions),
        ("probe/teacher-toy_set.safetensors", "probe", lambda run: run.quality_model(dataset="toy set")),
        ("results.csv", "evaluate", lambda run: run.results),
        ("finished/dsm.json", "dsm", lambda run: run.seconds()),
    ],
)
def test_damage_is_one_message_that_names_the_file_and_the_way_out(run, path, marker, ask, damage):
    file = run.folder / path
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif path != f"finished/{marker}.json":
        file.unlink()
    else:
        return  # a part without a marker has not run
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        ask(run)
    if "has no probe" not in str(error.value):
        assert str(file) in str(error.value)
        assert f"delete {run.marker_path(marker)}" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"config": {"remark": "x"}, "data": {}}, "has format 1, this version of dsmix_aug reads 3: finish or read"),
        ({"format": 99, "config": {}, "data": {}}, "has format 99"),
        ({"format": FORMAT, "config": {**CONFIG.to_dict(), "speed": 1}}, "the setting speed is unknown"),
        ({"format": FORMAT, "data": {}}, "does not fit this version"),
        ([], "has format None"),
    ],
)
def test_a_config_of_another_version_is_refused_with_what_to_do(run, content, message):
    run.config_path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        RunFolder(run.folder).config  # noqa: B018


def test_no_run_and_no_json(run, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no run in "):
        RunFolder(tmp_path).config  # noqa: B018
    run.config_path.write_text("{")
    with pytest.raises(ValueError, match=r"config.json is not a JSON file"):
        RunFolder(run.folder).config  # noqa: B018


def test_an_averaged_network_has_the_mean_of_its_pre_trainings_weights(tmp_path):
    config = replace(PRESETS["smoke"], rows=("lite1_and_averaged",))
    run = RunFolder(tmp_path / "run")
    write_json(run.config_path, {"format": FORMAT, "config": config.to_dict(), "data": {}})
    states = {}
    for number, name in enumerate(("dsmix_annoyance", "no_mixing_opinions")):
        network = new_backbone(config, "random")
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.add_(number + 1) if tensor.is_floating_point() else tensor.fill_(7)
        states[name] = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        run.backbone_path(name).parent.mkdir(parents=True)
        save_tensors(run.backbone_path(name), KIND, name, states[name])
        write_json(run.marker_path(f"pretrain/{name}"), {"seconds": 1.0})
    networks = RunFolder(run.folder).networks("lite1_and_averaged")
    assert len(networks) == 2
    averaged = networks[1]
    assert not averaged.training
    assert not any(parameter.requires_grad for parameter in averaged.parameters())
    first, second = states.values()
    for key, tensor in averaged.state_dict().items():
        expected = (first[key].double() + second[key].double()) / 2
        assert tensor.dtype == first[key].dtype
        np.testing.assert_allclose(tensor.double(), expected, rtol=1e-6, atol=1e-6)
    run.marker_path("pretrain/no_mixing_opinions").unlink()
    with pytest.raises(FileNotFoundError, match="no pre-trained 'no_mixing_opinions'"):
        RunFolder(run.folder).networks("lite1_and_averaged")
