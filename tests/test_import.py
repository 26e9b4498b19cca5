"""Importing the package is cheap, and changes nothing for anybody else in the process."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: Prints the state that the whole process shares, as one JSON line, before and after the package is used.
STATE = """
import json, logging, os, random, signal, sys, threading, warnings
import cv2, numpy, torch, torchvision.transforms.v2

def state():
    return json.loads(json.dumps({
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads(), cv2.getNumThreads()],
        "running": threading.active_count(),
        "seeds": [torch.initial_seed(), torch.get_rng_state().tolist()],
        "numpy": repr(numpy.random.get_state()),
        "numpy_errors": numpy.geterr(),
        "random": repr(random.getstate()),
        "warnings": repr(warnings.filters),
        "defaults": [str(torch.get_default_dtype()), str(torch.get_default_device())],
        "modes": [torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(),
                  torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision(), cv2.useOptimized()],
        "environment": dict(os.environ),
        "signals": [repr(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "hooks": [repr(sys.excepthook), repr(sys.displayhook)],
        "loggers": repr(logging.root.handlers),
        "cuda": torch.cuda.is_initialized(),
    }))

before = state()
from dsmix_aug import *
import dsmix_aug.functional, dsmix_aug.distortions
DistortionBank(), DSMix(), DSMEstimator.from_pretrained("small")
print(json.dumps([before, state()]))
"""
#: What `import dsmix_aug` may load besides Python's own modules, and what the library needs when it is used.
RUN_TIME = {"torch", "torchvision", "numpy", "cv2", "skimage", "scipy", "PIL", "safetensors"}
#: Of the extras, which the library never loads.
EXTRAS = {"timm", "tqdm", "sklearn", "pandas", "tensorboard", "openpyxl", "matplotlib", "efficientnet_lite_pytorch"}


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout


def modules_after(*statements: str) -> list[set[str]]:
    """Return the packages that are loaded after each statement of a fresh process, by name."""
    look = "print(json.dumps(list(sys.modules)))"
    lines = run("\n".join(["import json, sys", *(f"{statement}; {look}" for statement in statements)])).splitlines()
    return [{name.partition(".")[0] for name in json.loads(line)} for line in lines]


def test_nothing_that_others_share_changes():
    before, after = json.loads(run(STATE))
    changed = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    assert not changed
    assert after["cuda"] is False


def test_dsmix_needs_little_more_than_torchvision_and_the_library_loads_no_extra():
    """A test of time would be one of the machine: what takes time is the packages that are loaded."""
    package, torchvision, dsmix, others, library = modules_after(
        "import dsmix_aug",
        "import torchvision.transforms.v2",
        "dsmix_aug.DSMix",
        "import skimage, scipy",
        "from dsmix_aug import *; DistortionBank(); RandomDistortion(); DSMix(); DSMEstimator()",
    )
    assert not package & (RUN_TIME | EXTRAS)
    assert (dsmix - torchvision) & (RUN_TIME | EXTRAS) <= {"safetensors"}
    assert not (library - others) & EXTRAS
