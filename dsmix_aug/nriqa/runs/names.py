"""The names of stages and presets, which ``--help`` prints; it imports nothing that takes time."""

from __future__ import annotations

#: The stages, in order. The part of a pre-training is ``pretrain/NAME``; those of the others have the stage's name.
STAGE_NAMES = DSM, PRETRAIN, PROBE, EVALUATE = "dsm", "pretrain", "probe", "evaluate"

#: How far the numbers of each preset can be trusted; printed next to them, without influence on them.
REMARKS = {
    "small": "about three hours on a CPU core; far shorter than the paper's training",
    "demo": "a smoke test, not a result (a handful of photos, minutes of training)",
    "ablation": "every row on a budget of minutes each, to compare rows with one another",
    "dsm_study": "is it the DSM? 102,400 crops per row, minutes of a CPU core each",
    "paper": "the scale of the paper; where the paper is silent, the choices are ours",
    "smoke": "a few steps that show that the code runs; its numbers mean nothing",
}


def describe(preset: str) -> str:
    """Return the sentence that says how far the numbers of a preset can be trusted."""
    remark = REMARKS.get(preset)
    return f"Preset {preset}: {remark}." if remark else f"Preset {preset}."
