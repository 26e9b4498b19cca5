"""Checkpoints, from which a training loop continues as if it had never been interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from dsmix_aug.nriqa.base.files import load_tensors, save_tensors, with_remedy
from dsmix_aug.nriqa.runs.folder import History

KIND = "dsmix_aug.Checkpoint"
#: Name of the checkpoints of versions before formats were numbered.
PICKLE = "checkpoint.pt"


def write_checkpoint(path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> None:
    """Write weights, buffers, the optimizer's state and the history to one file, in one piece, with a checksum."""
    text = torch.frombuffer(bytearray(json.dumps(history).encode()), dtype=torch.uint8)
    objective_state = {f"objective/{name}": tensor for name, tensor in objective.state_dict().items()}
    save_tensors(path, KIND, len(history), {"history": text, **objective_state, **_optimizer_tensors(optimizer)})


def read_checkpoint(path: Path, objective: nn.Module, optimizer: torch.optim.Optimizer) -> History:
    """Set objective and optimizer to the state of a checkpoint, and return its history; nothing happens without one.

    Raises:
        ValueError: If the checkpoint is damaged or does not fit, or is one of an older version: those were pickles,
            which can run code when loaded, and are not read.
    """
    pickle = path.with_name(PICKLE)
    if pickle.exists():
        raise ValueError(
            f"{pickle} is a pickle, which can run code when loaded: it is not read; delete it and run again"
        )
    if not path.is_file():
        return []
    with with_remedy("delete it and run again, to train this part anew"):
        _, tensors = load_tensors(path, KIND)
        return _restore(path, tensors, objective, optimizer)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimizer's state by parameter and name; its settings come from the config."""
    states = optimizer.state_dict()["state"]
    return {f"optimizer/{number}/{key}": value for number, state in states.items() for key, value in state.items()}


def _restore(path: Path, tensors: dict[str, Tensor], objective: nn.Module, optimizer: torch.optim.Optimizer) -> History:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    try:
        history: History = json.loads(tensors.pop("history").numpy().tobytes())
        for name, tensor in tensors.items():
            owner, _, key = name.partition("/")
            if owner == "objective":
                weights[key] = tensor
            else:
                number, _, key = key.partition("/")
                states.setdefault(int(number), {})[key] = _laid_out_as(parameters[int(number)], tensor)
        objective.load_state_dict(weights)
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not fit what is trained: {error}") from error
    return history


def _laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """Return the tensor in the memory format of its parameter, on which the last bits of a step depend."""
    return torch.empty_like(parameter, device="cpu").copy_(tensor) if tensor.shape == parameter.shape else tensor
