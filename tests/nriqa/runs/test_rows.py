"""The rows and the studies of them."""

import dataclasses
import runpy
from pathlib import Path

import pytest

from dsmix_aug.nriqa.networks.backbones import EFFICIENTNET_LITES
from dsmix_aug.nriqa.networks.row import averaged_names
from dsmix_aug.nriqa.runs.presets import PRESETS
from dsmix_aug.nriqa.runs.rows import DSM_STUDY_ROWS, PRETRAININGS, ROWS

SCRIPT = Path(__file__).parents[3] / "examples" / "ablation.py"
STUDIES = runpy.run_path(str(SCRIPT))["STUDIES"]


@pytest.mark.parametrize("name", list(ROWS))
def test_networks_of_a_row_are_known(name):
    networks = {one for network in ROWS[name].networks for one in averaged_names(network)}
    assert networks <= {*PRETRAININGS, *EFFICIENTNET_LITES, "teacher", "random"}


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_study_compares_rows_that_it_runs(name):
    study = STUDIES[name]
    assert set(study.rows) <= set(PRESETS[study.preset].rows)
    assert {row for pair in study.pairs for row in pair} <= set(study.rows)
    assert all(row != baseline for row, baseline in study.pairs)


def test_every_weighting_of_the_dsm_study_has_its_control():
    controlled = [name for name in DSM_STUDY_ROWS if f"{name}_shuffled" in DSM_STUDY_ROWS]
    assert controlled == ["dsmix_opinions", "dsmix_annoyance", "dsmix_mass_and_area", "dsmix_like_scores"]
    for name in controlled:
        own, control = PRETRAININGS[name], PRETRAININGS[f"{name}_shuffled"]
        assert not own.shuffled_maps
        assert control == dataclasses.replace(own, title=control.title, shuffled_maps=True)
        assert (name, f"{name}_shuffled") in STUDIES["dsm"].pairs


def test_the_dsm_study_trains_on_at_least_100_000_crops():
    config = PRESETS["dsm_study"]
    assert config.pretrain.steps * config.pretrain.batch_size >= 100_000
    assert 1287 // config.held_out_every >= 200  # photos that it is meant for
