"""Published quality metrics that need no reference, from PyPI, for `bench_quality`.

Each takes one uint8 array (H, W, 3) and gives one number. All three are lower for better photos, so their sign is
turned around here.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.misc
from PIL import Image

Photo = npt.NDArray[np.uint8]
#: A photo -> a score, higher is better.
Metric = Callable[[Photo], float]


def niqe() -> Metric:
    """Return NIQE as scikit-video has it, with the parameters in that package, which are not the authors'.

    Source: Mittal, Soundararajan & Bovik, "Making a completely blind image quality analyzer", IEEE SPL 2013.
    """
    # Names that NumPy and SciPy have removed, and scikit-video 1.1.11 still uses.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, value in (("int", int), ("float", float), ("bool", bool)):
            if not hasattr(np, name):
                setattr(np, name, value)
        if not hasattr(scipy.misc, "imresize"):
            scipy.misc.imresize = _halve
        module = importlib.import_module("skvideo.measure")
    return lambda photo: -float(module.niqe(_luma(photo)[None])[0])


def brisque() -> Metric:
    """Return BRISQUE with the published model, from the package of its name.

    Source: Mittal, Moorthy & Bovik, "No-reference image quality assessment in the spatial domain", IEEE TIP 2012.
    """
    module = importlib.import_module("brisque")

    class Brisque(module.BRISQUE):  # type: ignore[name-defined]
        def scale_features(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            # Version 0.2.0 hands on arrays of one number where it needs numbers: NumPy 2.5 refuses that.
            return np.asarray(super().scale_features([np.ravel(feature)[0] for feature in features]))

    model = Brisque(url=False)
    return lambda photo: -float(np.ravel(model.score(photo))[0])


def piqe() -> Metric:
    """Return PIQE, from pypiqe.

    Source: Venkatanath et al., "Blind image quality evaluation using perception based features", NCC 2015.
    """
    module = importlib.import_module("pypiqe")
    return lambda photo: -float(module.piqe(photo)[0])


METRICS: dict[str, Callable[[], Metric]] = {"NIQE": niqe, "BRISQUE": brisque, "PIQE": piqe}


def _luma(photo: Photo) -> Photo:
    return np.asarray(Image.fromarray(photo).convert("L"))


def _halve(image: npt.NDArray[np.floating], size: float, interp: str, mode: str) -> npt.NDArray[np.float32]:
    height, width = (int(length * size) for length in image.shape)
    return np.asarray(Image.fromarray(image.astype(np.float32), mode).resize((width, height), Image.Resampling.BICUBIC))
