"""The presets: one entry per size of run."""

from __future__ import annotations

from dsmix_aug.nriqa.config import Config, LoopConfig

DEMO_ROWS = ("dsmix", "cutmix", "dsmix_undistilled", "teacher_and_dsmix", "random", "teacher")

PRESETS = {
    "demo": Config(
        preset="demo",
        remark="a smoke test, not a result (a handful of photos, minutes of training)",
        rows=DEMO_ROWS,
        dsm=LoopConfig(steps=300, batch_size=24, crop_size=128, learning_rate=2e-3, checkpoint_every=100),
        pretrain=LoopConfig(steps=120, batch_size=24, crop_size=96, learning_rate=1e-3, checkpoint_every=30),
        estimator={"embed_dim": 128, "depth": 4, "num_heads": 4},
        held_out_side=160,
        stand_in_levels=(1, 3, 5),
    ),
    "smoke": Config(
        preset="smoke",
        remark="a few steps that show that the code runs; its figures mean nothing",
        rows=("dsmix", "dsmix_undistilled", "teacher_and_dsmix", "random", "teacher"),
        dsm=LoopConfig(steps=4, batch_size=4, crop_size=64, learning_rate=1e-3, checkpoint_every=2),
        pretrain=LoopConfig(steps=4, batch_size=4, crop_size=64, learning_rate=5e-4, checkpoint_every=2),
        estimator={"embed_dim": 32, "depth": 1, "num_heads": 2},
        held_out_side=64,
        stand_in_levels=(3,),
        split_count=3,
    ),
}
