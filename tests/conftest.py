"""What all tests share."""

import functools
import os
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``device`` runs on the CPU, and on CUDA where there is one."""
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked ``fake_cuda`` where torch is too old for it."""
    if item.get_closest_marker("fake_cuda") and not fake_cuda_works():
        pytest.skip(f"torch {torch.__version__} cannot write to fake CUDA tensors without a CUDA driver")


@functools.cache
def fake_cuda_works() -> bool:
    """Tell whether fake CUDA tensors can be written and viewed: torch 2.14 can, 2.6 and 2.7 need a driver."""
    if torch.__version__ >= (2, 14):
        return True
    try:
        with FakeTensorMode():
            images = torch.empty(2, 3, device="cuda")
            images[:1] = 0
            images.as_subclass(torch.Tensor)
    except RuntimeError:
        return False
    return True


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real photos and scores that development uses and the repository does not hold.

    ``DSMIX_AUG_SHARED_DATA``, or ``shared/data`` beside the repository; a test that needs it is skipped without it.
    """
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DSMIX_AUG_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"the development data is not here: {folder}")
    return folder
