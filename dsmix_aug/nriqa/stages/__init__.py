"""The four stages of the pipeline, in order; each is finished once per run, and goes on where it was interrupted."""

from collections.abc import Callable

from dsmix_aug.nriqa.runs.names import DSM, EVALUATE, PRETRAIN, PROBE
from dsmix_aug.nriqa.runs.run import Run
from dsmix_aug.nriqa.stages.dsm import run_dsm
from dsmix_aug.nriqa.stages.evaluate import run_evaluate
from dsmix_aug.nriqa.stages.pretrain import run_pretrain
from dsmix_aug.nriqa.stages.probe import run_probe

STAGES: dict[str, Callable[[Run], None]] = {
    DSM: run_dsm,
    PRETRAIN: run_pretrain,
    PROBE: run_probe,
    EVALUATE: run_evaluate,
}

__all__ = ["STAGES", "run_dsm", "run_evaluate", "run_pretrain", "run_probe"]
