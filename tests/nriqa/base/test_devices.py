"""Devices that are not there are refused by name."""

import pytest
import torch

from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.devices import check_device, is_fast_in_bfloat16


@pytest.mark.parametrize("name", ["cpu", "cpu:0", torch.device("cpu")])
def test_what_is_there_passes(name):
    check_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "GPU 0"])
def test_unknown_names(name):
    with pytest.raises(
        ValueError, match=rf"device should be one that torch knows, such as 'cpu' or 'cuda', got '{name}'"
    ):
        check_device(name)


@pytest.mark.parametrize(("name", "count"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_cuda_without_a_card(name, count, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ValueError, match=rf"device: '{name}' is not there, torch finds {count} CUDA"):
        check_device(name)


def test_cuda_with_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device("cuda")
    check_device("cuda:1")


@pytest.mark.parametrize("name", ["meta", "hpu", "xla"])
def test_devices_that_hold_no_numbers_here(name):
    with pytest.raises(ValueError, match=rf"device: '{name}' cannot be used on this machine") as caught:
        check_device(name)
    assert "\n" not in str(caught.value)


def test_each_process_checks_its_own_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ValueError, match="'cuda:1' is not there"):
        distributed.start("cuda")


@pytest.mark.parametrize(
    ("capability", "fast"), [("AVX512", True), ("AVX2", False), ("DEFAULT", False), ("NEON", False), ("VSX", False)]
)
def test_cpus_that_are_fast_in_bfloat16(capability, fast, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert is_fast_in_bfloat16("cpu") is fast
    assert is_fast_in_bfloat16(torch.device("cpu", 0)) is fast


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((12, 0), True)])
def test_cards_that_are_fast_in_bfloat16(capability, fast, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert is_fast_in_bfloat16("cuda:1") is fast


def test_other_devices_stay_in_float32():
    assert not is_fast_in_bfloat16("mps")
