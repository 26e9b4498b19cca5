"""The whole path at smoke size, through the scripts that users run: results, resuming, bad photos, bad arguments."""

import itertools
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import safetensors.torch
import torch
import torchvision
from factories import run_script
from PIL import Image
from torchvision.models import WeightsEnum

from dsmix_aug import DSMEstimator
from dsmix_aug.nriqa.networks.backbones import build_backbone
from dsmix_aug.nriqa.networks.features import extract_features
from dsmix_aug.nriqa.networks.teacher import build_teacher
from dsmix_aug.nriqa.runs.config import Machine
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.dsm import run_dsm
from dsmix_aug.nriqa.stages.pretrain import run_pretrain

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
MAIN_ROWS = [
    f"{prefix}{row}" for prefix in ("", "teacher_and_") for row in ("no_mixing", "cutmix", "dsmix", "dsmix_shuffled")
]

KILL_AT_WRITE = Path(__file__).parents[1] / "kill_at_write.py"
#: Signal, end of a file's path and how many such files before: one run, ended in the middle of each of its stages.
ENDS = {
    "each stage": [
        (signal.SIGKILL, "dsm/checkpoint.safetensors", 1),
        (signal.SIGTERM, "pretrain/dsmix/log.jsonl", 1),
        (signal.SIGINT, "probe/dsmix-held-out_photos.safetensors", 1),
        (signal.SIGKILL, "results.csv", 1),
    ]
}
if KILLS := int(os.environ.get("DSMIX_AUG_KILLS", "0")):  # `make fuzz`: one end after the other, at any file
    SIGNALS = itertools.cycle([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    DRAW = random.Random(0)
    FILES = {"any": ("", 12), "all_dsm": ("/dsm/", 4), "all_pretrain": ("/pretrain/", 4), "all_probe": ("/probe/", 3)}
    FILES["all_evaluate"] = ("/results.csv", 1)
    for name, (part, most) in FILES.items():
        ENDS[name] = [(next(SIGNALS), part, DRAW.randint(1, most) if number else 1) for number in range(KILLS)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run that nothing interrupted."""
    out = tmp_path_factory.mktemp("runs")
    run_script("examples/nriqa_pipeline.py", "--preset", "smoke", "--out", out, "--name", "whole")
    return out / "whole"


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "copy"))


def test_all_that_a_run_leaves(finished):
    results = pd.read_csv(finished / "results.csv")
    assert list(results["row"]) == list(PRESETS["smoke"].rows)
    assert results[["srcc", "plcc", "krcc", "rmse"]].notna().all(axis=None)
    assert results["target"].str.contains("SSIM").all()
    DSMEstimator.from_pretrained(finished / "dsm" / "estimator.safetensors")
    for row in ("dsmix", "dsmix_undistilled"):
        assert safetensors.torch.load_file(finished / "pretrain" / row / "backbone.safetensors")
        assert len((finished / "pretrain" / row / "log.jsonl").read_text().splitlines()) == 4
    for part in ("dsm", "pretrain/dsmix"):
        assert any((finished / "tensorboard" / part).iterdir())
    left = [path.name for path in finished.rglob("*") if path.name.startswith(".tmp.") or path.suffix == ".pt"]
    assert not left


def test_report_stands_alone_and_names_target_and_size(finished):
    page = (finished / "report.html").read_text()
    text = re.sub(r"base64,[\w+/=]+", "", page)  # where any four letters may come up
    assert "http" not in text.replace("http-equiv", "")
    assert page.count(";base64,") > 20
    assert page.count("its numbers mean nothing") >= 5
    assert page.count("SSIM to the pristine photo (a stand-in, not a human score)") >= 2
    for row in pd.read_csv(finished / "results.csv").itertuples():
        assert f"<td>{row.srcc:.3f}</td>" in page


def test_held_out_photos_are_not_trained_on(finished):
    contents = {path.name.split("_")[1].split(".")[0] for path in (finished / "held_out").glob("*.png")}
    assert "chelsea" in contents
    assert not contents & {"astronaut", "coffee", "hubble", "ihc", "motorcycle", "retina"}


def test_starting_again_changes_nothing(copy, capsys):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.suffix in (".csv", ".safetensors", ".jsonl")}
    run_script("examples/nriqa_pipeline.py", "--preset", "smoke", "--out", copy.parent, "--name", "copy")
    assert {path: path.read_bytes() for path in before} == before
    printed = capsys.readouterr().out
    assert "DSMix, no distillation" in printed
    assert "its numbers mean nothing. Target: held-out photos: SSIM" in printed
    assert f"Report: {(copy / 'report.html').resolve()}" in printed


def test_each_stage_alone_gives_the_same_numbers(finished, tmp_path, capsys):
    arguments = ("--preset", "smoke", "--out", tmp_path, "--name", "stages")
    for script in ("pretrain_dsm.py", "pretrain_dsmix.py", "linear_probe.py"):
        run_script(f"examples/{script}", *arguments)
    for name in ("results.csv", "dsm/correlation.csv", "probe/predictions.csv", "pretrain/dsmix/log.jsonl"):
        assert (tmp_path / "stages" / name).read_bytes() == (finished / name).read_bytes()
    assert "color_block" in capsys.readouterr().out


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_ended_and_started_again_gives_the_same_numbers(finished, tmp_path, ends):
    """By a signal at the moment when a file is about to get its name."""
    arguments = ["--preset", "smoke", "--out", str(tmp_path), "--name", "ended"]
    folder, at_first_end = tmp_path / "ended", tmp_path / "at_first_end"
    for ended_by, file, number in ends:
        command = [sys.executable, KILL_AT_WRITE, ended_by.name, file, str(number), EXAMPLES / "nriqa_pipeline.py"]
        ended = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if ended.returncode == 0:  # fewer files than that were left to write: from the first end again
            shutil.rmtree(folder)
            shutil.copytree(at_first_end, folder)
        elif ended_by == signal.SIGINT:
            assert ended.returncode == 130
            assert "interrupted; the same command, or --resume " in ended.stderr.splitlines()[-1]
            assert "Traceback" not in ended.stderr
        else:
            assert ended.returncode == -ended_by
        assert ended.returncode == 0 or file == "" or not (folder / file).exists()
        if not at_first_end.exists():
            shutil.copytree(folder, at_first_end)
    run_script("examples/nriqa_pipeline.py", *arguments)
    parts = ("dsm/log.jsonl", "dsm/correlation.csv", "pretrain/dsmix/log.jsonl", "probe/predictions.csv")
    for name in ("results.csv", *parts):
        assert (folder / name).read_bytes() == (finished / name).read_bytes()
    assert not list(folder.rglob(".tmp.*"))


def test_a_full_disk_is_a_line_and_what_was_done_counts(finished, tmp_path):
    """A limit on the size of files has the same effect: the backbone's checkpoint does not fit."""
    limit = (finished / "pretrain" / "dsmix" / "backbone.safetensors").stat().st_size // 2
    arguments = ["--preset", "smoke", "--out", str(tmp_path), "--name", "full"]
    full = subprocess.run(
        [sys.executable, EXAMPLES / "nriqa_pipeline.py", *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )
    assert full.returncode == 1
    message = full.stderr.splitlines()[-1]
    assert "stage pretrain: " in message
    assert "checkpoint.safetensors could not be written: " in message
    assert "Traceback" not in full.stderr
    assert not list((tmp_path / "full").rglob(".tmp.*"))
    run_script("examples/nriqa_pipeline.py", *arguments)
    for name in ("results.csv", "dsm/log.jsonl", "pretrain/dsmix/log.jsonl", "probe/predictions.csv"):
        assert (tmp_path / "full" / name).read_bytes() == (finished / name).read_bytes()


#: The pipeline, whose worker dies as if memory had run out, or cannot read a photo.
BAD_WORKER = """
import os, signal
from dsmix_aug.nriqa.command_line import run_pipeline
from dsmix_aug.nriqa.stages.batches import DistortedCrops

draw = DistortedCrops._draw_crop

def end(self, generator):
    crop = draw(self, generator)
    if {dies}:
        os.kill(os.getpid(), signal.SIGKILL)
    raise FileNotFoundError("photos/cat.png: the file is missing")

DistortedCrops._draw_crop = end
run_pipeline("")
"""


def last_line_of_bad_worker(folder, dies):
    script = folder / "nriqa_pipeline.py"
    script.write_text(BAD_WORKER.format(dies=dies))
    arguments = ["--preset", "smoke", "--out", str(folder), "--workers", "1"]
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_killed_worker_is_a_line_that_names_the_photo(tmp_path):
    line = last_line_of_bad_worker(tmp_path, dies=True)
    reason = "stage dsm: a worker process was killed, perhaps for memory, which fewer --workers need less of, at "
    found = re.search(f"{reason}(.+); the same command goes on from here$", line)
    assert found, line
    assert Path(found[1]).is_file()
    assert Path(found[1]).suffix in (".png", ".jpg")


def test_a_photo_that_a_worker_cannot_read_is_a_line(tmp_path):
    assert last_line_of_bad_worker(tmp_path, dies=False).endswith("stage dsm: photos/cat.png: the file is missing")


@pytest.mark.parametrize("backbone", ["resnet50", "vit_small_patch16_224"])
def test_the_papers_preset_runs_a_few_steps(tmp_path, backbone, monkeypatch):
    """With its networks and crops, on a few photos; weights that would be downloaded are random here."""
    resnet = torchvision.models.resnet50()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda self, *args, **kwargs: resnet.state_dict())
    paper = PRESETS["paper"]
    few = {"steps": 2, "batch_size": 4, "shards": 2}
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", number, side=240)
    config = replace(
        paper, backbone=backbone, initial_weights="random", photos=str(tmp_path / "photos"), rows=("dsmix",),
        held_out_side=96,  # of photos that are looked at only after training
        dsm=replace(paper.dsm, **few), pretrain=replace(paper.pretrain, **few),
    )  # fmt: skip
    run = Run(tmp_path / "run", config, Machine(), stages=("dsm", "pretrain"))
    stages = {"pretrain/dsmix": run_pretrain}
    if backbone == "resnet50":  # the other stage knows no backbone
        stages["dsm"] = run_dsm
    for part, stage in stages.items():
        stage(run)
        losses = [json.loads(line)["loss"] for line in (run.folder / part / "log.jsonl").read_text().splitlines()]
        assert len(losses) == 2
        assert np.isfinite(losses).all()
    (network,) = run.networks("dsmix")
    assert all(torch.isfinite(features).all() for features in network(torch.rand(1, 3, 100, 120)))


def test_a_share_sets_back_what_stands_alone_and_started_from_imagenet(tmp_path):
    rows = ("no_mixing", "dsmix_from_scratch", "teacher_and_no_mixing")
    config = replace(PRESETS["smoke"], rows=rows, trained_share=0.0)
    run = Run(tmp_path, config, Machine())
    run_pretrain(run)
    alone, scratch, beside = (run.networks(row)[-1].state_dict() for row in rows)
    saved = safetensors.torch.load_file(tmp_path / "pretrain" / "no_mixing" / "backbone.safetensors")
    imagenet = build_backbone("efficientnet_lite0", "imagenet").state_dict()
    weights = [name for name in imagenet if not name.endswith("num_batches_tracked")]
    assert all(torch.equal(alone[name], imagenet[name]) for name in weights)
    assert all(torch.equal(beside[name], saved[name]) for name in weights)
    assert not all(torch.equal(beside[name], imagenet[name]) for name in weights)
    assert scratch["network._bn0.running_mean"].abs().max() > 0  # where training starts from random weights, it is 0


def test_another_config_under_the_same_name_is_refused(copy, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(
            "examples/nriqa_pipeline.py", "--preset", "smoke", "--out", copy.parent, "--name", "copy", "--seed", 1
        )
    assert stop.value.code == 2
    assert "What differs: seed: 0 before, 1 now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("nriqa_pipeline.py", ["--preset", "huge"], "invalid choice: 'huge'"),
        ("nriqa_pipeline.py", ["--stages", "bake"], "invalid choice: 'bake'"),
        ("nriqa_pipeline.py", ["--data", "scores.csv"], "--data should be NAME=PATH, got 'scores.csv'"),
        ("nriqa_pipeline.py", ["--set", "weighting"], "--set should be SETTING=VALUE, got 'weighting'"),
        ("pretrain_dsmix.py", ["--set", "pretrain.steps=few"], "pretrain.steps should be int, got 'few'"),
        ("nriqa_pipeline.py", ["--data", "a=x.csv", "--data", "a=y.csv"], "--data gives a name twice: a, a"),
        ("nriqa_pipeline.py", ["--data", "a=/nowhere/x.csv"], "there is no file /nowhere/x.csv"),
        ("nriqa_pipeline.py", ["--photos", "/nowhere"], "there is no folder /nowhere"),
        ("nriqa_pipeline.py", ["--teacher", "nobody"], "teacher should be 'efficientnet_lite0', 'effic"),
        ("nriqa_pipeline.py", ["--stages", "probe"], "no pre-trained 'dsmix': run the stage 'pretrain' first"),
        ("linear_probe.py", [], "no pre-trained 'dsmix': run the stage 'pretrain' first"),
        ("score_images.py", ["/nowhere.png"], "there is no file or folder /nowhere.png"),
        ("compare_runs.py", ["/nowhere"], "there is no run in /nowhere"),
        ("compare_runs.py", ["/nowhere", "--pairs", "dsmix"], "--pairs should be ROW:BASELINE, got dsmix"),
    ],
)
def test_bad_arguments_end_with_a_message(script, arguments, message, tmp_path, capsys):
    folder = ["--run" if script == "score_images.py" else "--out", tmp_path]
    has_preset = script not in ("score_images.py", "compare_runs.py") and "--preset" not in arguments
    preset = ["--preset", "smoke"] if has_preset else []
    with pytest.raises(SystemExit) as stop:
        run_script(f"examples/{script}", *folder, *preset, *arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def save_photo(path, seed, side=96):
    path.parent.mkdir(parents=True, exist_ok=True)
    low = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(low).resize((side, side), Image.Resampling.BICUBIC).save(path)


def test_own_photos_and_scores_with_corrupt_files_among_them(tmp_path, capsys):
    for number in range(4):
        save_photo(tmp_path / "pristine" / f"{number}.png", number)
    (tmp_path / "pristine" / "broken.jpg").write_bytes(b"no photo")
    data = []
    for start, name in ((0, "first"), (50, "second")):
        rows = [{"image": f"{name}_{number}.png", "score": number % 5} for number in range(12)]
        for seed, row in enumerate(rows, start):
            save_photo(tmp_path / row["image"], seed, side=64)
        rows.append({"image": "missing.png", "score": 3})
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", index=False)
        data += ["--data", f"{name}={tmp_path / name}.csv"]
    with pytest.warns(UserWarning, match="skipped") as caught:
        run_script(
            "examples/nriqa_pipeline.py", "--preset", "smoke", "--out", tmp_path / "runs", "--name", "own",
            "--photos", tmp_path / "pristine", "--teacher", "none", *data,
        )  # fmt: skip
    messages = [str(warning.message) for warning in caught]
    assert any(f"skipped 1 of 5 photos: {tmp_path / 'pristine' / 'broken.jpg'}" in message for message in messages)
    assert sum(f"skipped 1 of 13 photos: {tmp_path / 'missing.png'}: the file" in message for message in messages) == 2
    printed = capsys.readouterr().out
    assert "3 photo(s) skipped:" in printed
    results = pd.read_csv(tmp_path / "runs" / "own" / "results.csv")
    assert set(results["row"]) == {"dsmix", "random"}  # nothing is left that needs a teacher
    pairs = set(zip(results["trained_on"], results["tested_on"], strict=True))
    assert pairs == {(a, b) for a in ("first", "second") for b in ("first", "second")}
    across = results[results["trained_on"] != results["tested_on"]]
    assert (across["images"] == 12).all()
    page = (tmp_path / "runs" / "own" / "report.html").read_text()
    assert "Across datasets" in page
    assert "SSIM to the pristine photo" not in page


def test_the_ablation_compares_rows_over_seeds(tmp_path, capfd):
    scores = []
    for number in range(12):
        save_photo(tmp_path / f"{number}.png", number, side=64)
        scores.append({"image": f"{number}.png", "score": number % 5})
    pd.DataFrame(scores).to_csv(tmp_path / "scores.csv", index=False)
    smallest = ["--set", "pretrain.steps=1", "--set", "split_count=1"]
    command = ["examples/ablation.py", "--preset", "smoke", "--out", tmp_path / "runs", *smallest]
    seeds = ["--seeds", "5", "6", "--rows", *MAIN_ROWS, "teacher"]
    run_script(*command, *seeds, "--data", f"toy={tmp_path / 'scores.csv'}")
    rows = pd.read_csv(tmp_path / "runs" / "rows.csv").set_index("row")
    assert (rows["seeds"] == 2).all()
    differences = pd.read_csv(tmp_path / "runs" / "differences.csv")
    assert ("dsmix", "cutmix") in set(zip(differences["row"], differences["baseline"], strict=True))
    capfd.readouterr()
    with pytest.raises(SystemExit) as stop:
        run_script(*command, "--seeds", "5", "--data", "nothing")
    assert stop.value.code == 2
    refused = capfd.readouterr().err
    assert "--data should be NAME=PATH, got 'nothing'" in refused
    assert "Traceback" not in refused


def test_label_gap_of_a_run(finished, capsys):
    log = (finished / "pretrain" / "dsmix" / "log.jsonl").read_text().splitlines()
    run_script("docs/recipes/label_gap.py", finished, "dsmix")
    loss, entropy, gap = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out))
    assert loss == pytest.approx(json.loads(log[-1])["classes"], abs=1e-3)  # the last quarter of four steps
    assert 0 < entropy < np.log(2)  # two labels at most share an image
    assert gap == pytest.approx(loss - entropy, abs=2e-3)


def test_scores_and_maps_of_photos(finished, tmp_path, capsys):
    for number in range(2):
        save_photo(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no photo")
    with pytest.raises(SystemExit) as stop:
        run_script(
            "examples/score_images.py", tmp_path / "photos", "--run", finished,
            "--csv", tmp_path / "scores.csv", "--maps", tmp_path / "maps",
        )  # fmt: skip
    assert stop.value.code == 1
    captured = capsys.readouterr()
    assert "broken.png: " in captured.err
    printed = captured.out
    assert "2 photo(s) scored, 1 skipped." in printed
    assert "SSIM to the pristine photo (a stand-in, not a human score), predicted by 'DSMix'" in printed
    table = pd.read_csv(tmp_path / "scores.csv")
    assert [Path(image).name for image in table["image"]] == ["0.png", "1.png"]
    assert np.isfinite(table["score"]).all()
    with Image.open(tmp_path / "maps" / "0-dsm.png") as both:
        assert both.width > 2 * 96  # the photo, its map and the colour bar


def test_scores_are_the_rows_features_through_its_head(finished, tmp_path):
    image = sorted((finished / "held_out").glob("*.png"))[0]
    run_script(
        "examples/score_images.py", image, "--run", finished, "--row", "teacher", "--csv", tmp_path / "scores.csv"
    )
    features = extract_features(build_teacher("efficientnet_lite0"), [image], "cpu")
    head = safetensors.numpy.load_file(finished / "probe" / "teacher-held-out_photos.safetensors")
    mean_score = pd.read_csv(finished / "held_out" / "scores.csv")["score"].mean()
    clipped = features[0].clip(head["low"], head["high"])
    expected = mean_score + (clipped - head["mean"]) / head["scale"] @ head["coefficients"]
    assert pd.read_csv(tmp_path / "scores.csv")["score"].item() == pytest.approx(expected, abs=1e-5)
