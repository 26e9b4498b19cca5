"""The presets: one entry per size of run."""

from __future__ import annotations

from dataclasses import replace

from dsmix_aug.nriqa.runs.config import Config, EstimatorConfig, LoopConfig
from dsmix_aug.nriqa.runs.rows import DSM_STUDY_ROWS, ROWS

ABLATION = Config(
    preset="ablation",
    rows=tuple(ROWS),
    dsm=LoopConfig(steps=12_000, batch_size=32, crop_size=128, learning_rate=2e-3, checkpoint_every=200, autocast=True),
    pretrain=LoopConfig(steps=400, batch_size=32, crop_size=128, learning_rate=1e-3),
    estimator=EstimatorConfig(embed_dim=192, depth=6, num_heads=3),
    weighting="mass_per_class",  # as when the results of both studies were measured
    distillation_weight=4.0,
    trained_share=0.5,
    feature_autocast=True,
)

#: The model that ships: a network that knows distortions and how bad people find them, and one from ImageNet.
SMALL = replace(
    ABLATION,
    preset="small",
    rows=("lite1_and_averaged", "teacher"),
    teacher="efficientnet_lite1",
    backbone="efficientnet_lite1",
    pretrain=replace(ABLATION.pretrain, steps=3000),
    weighting="mass_and_area",
    mix_probability=0.5,
    estimated_share=0.3,
    hidden_units=128,
    trained_share=1.0,
)

#: 1,600 steps are 102,400 crops. A small network, as 30 are trained; from random weights and without distillation, so
#: that all it knows comes from the labels that are compared.
DSM_STUDY = replace(
    ABLATION,
    preset="dsm_study",
    rows=DSM_STUDY_ROWS,
    pretrain=LoopConfig(steps=1600, batch_size=64, crop_size=64, learning_rate=6e-3, checkpoint_every=200),
    backbone="mobilenetv3_small_050",
    initial_weights="random",
    distillation_weight=0.0,
    photo_side=192,
    patch_size=8,
    trained_share=1.0,
    held_out_every=6,
)

PAPER_LOOP = LoopConfig(
    steps=50_000,
    batch_size=256,
    crop_size=224,
    learning_rate=1e-3,
    shards=8,
    checkpoint_every=1000,
    autocast=True,
)

PRESETS = {
    "demo": Config(
        preset="demo",
        rows=("dsmix", "cutmix", "dsmix_undistilled", "teacher_and_dsmix", "random", "teacher"),
        dsm=LoopConfig(steps=300, batch_size=24, crop_size=128, learning_rate=2e-3, checkpoint_every=100),
        pretrain=LoopConfig(steps=120, batch_size=24, crop_size=96, learning_rate=1e-3, checkpoint_every=30),
        estimator=EstimatorConfig(embed_dim=128, depth=4, num_heads=4),
        held_out_side=160,
        stand_in_levels=(1, 3, 5),
    ),
    "small": SMALL,
    "ablation": ABLATION,
    "dsm_study": DSM_STUDY,
    "paper": Config(
        preset="paper",
        rows=("dsmix", "cutmix", "no_mixing", "dsmix_undistilled", "random", "teacher"),
        dsm=PAPER_LOOP,
        pretrain=PAPER_LOOP,
        estimator=EstimatorConfig(embed_dim=384, depth=12, num_heads=6),
        teacher="ResNet50_Weights.IMAGENET1K_V2",
        backbone="resnet50",
        held_out_side=224,
        distillation_weight=4.0,
        feature_autocast=True,
    ),
    "smoke": Config(
        preset="smoke",
        rows=("dsmix", "dsmix_undistilled", "teacher_and_dsmix", "random", "teacher"),
        dsm=LoopConfig(steps=4, batch_size=4, crop_size=64, learning_rate=1e-3, checkpoint_every=2),
        pretrain=LoopConfig(steps=4, batch_size=4, crop_size=64, learning_rate=5e-4, checkpoint_every=2),
        estimator=EstimatorConfig(embed_dim=32, depth=1, num_heads=2),
        held_out_side=64,
        stand_in_levels=(3,),
        split_count=3,
    ),
}
