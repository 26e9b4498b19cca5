"""The NR-IQA pipeline: DSM pre-training, DSMix pre-training, linear probe, evaluation, report, and scoring photos.

A ladder, each rung imports only what is below it: base, datasets, networks, quality_model, runs, stages, report. Each
asks for the packages that it needs: the extra ``score`` for what scores photos, ``pipeline`` for runs and stages,
``report`` for the report and comparisons. Nothing above this package imports it.
"""
