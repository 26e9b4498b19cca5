"""The distortion bank as a torchvision v2 transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten  # noqa: TID251  torchvision's own way; no public one
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import is_pure_tensor

from dsmix_aug._checks import check_probability
from dsmix_aug.distortions import _checks
from dsmix_aug.distortions._composition import Composition
from dsmix_aug.distortions._params import PRISTINE, steps_of
from dsmix_aug.distortions.bank import Applied, DistortionBank


class RandomDistortion(v2.Transform):
    """Distort the images of a sample or of a batch, each sample by itself, as drawn from a distortion bank.

    By default a sample gets one class of the bank, drawn uniformly. With ``num_distortions=(low, high)`` it gets that
    many distortions, one after the other: of different families (:attr:`DistortionBank.families`), in random order.

    The structure of the input is kept and everything that is not an image is returned as it is; which tensors are
    images is decided as in every torchvision v2 transform. Several images in one sample (of any size) get the same
    distortion. Images are (C, H, W) or (B, C, H, W), float in [0, 1] or uint8, on any device.

    Args:
        bank: The bank to draw from. Default: ``DistortionBank()``.
        p: Probability that a sample is distorted, drawn per sample.
        return_labels: Whether to return ``(sample, labels)``, labels on the images' device. With
            ``num_distortions=1`` they are the class of each sample, int64, (B,) or 0-d; else they are multi-hot,
            float32, (B, num_classes) or (num_classes,), with a 1 for each distortion, or for pristine if there is none.
        num_distortions: 1, or how many distortions a sample gets: a number, or the least and the most of them, drawn
            uniformly. 0 leaves a sample pristine.
        level_probabilities: How often each level of the bank is drawn, relative to each other, whatever the type; a
            distortion's family and then its type are drawn uniformly. Default: equally often.

    Raises:
        TypeError: If ``bank`` is not a DistortionBank, or a setting is of another type; on a call, if the sample holds
            a PIL image or no image.
        ValueError: If ``p`` is not in [0, 1], another setting is out of its range, or samples may be left alone and
            labelled but ``bank`` has no pristine class; on a call, if images differ in batch size, are out of their
            range, or have channels or a size that a distortion of ``bank`` is not defined for (whether it is drawn or
            not: 1 channel and less than 48 px in the default bank), or if ``generator`` is on another device or in a
            worker may be a copy.

    Example:
        >>> import torch
        >>> from dsmix_aug import DistortionBank, RandomDistortion
        >>> distort = RandomDistortion(DistortionBank(["jpeg"]), p=0.5, return_labels=True)
        >>> sample, labels = distort({"image": torch.rand(8, 3, 64, 64), "name": "batch 0"})
        >>> sample["image"].shape, labels.shape, sample["name"]
        (torch.Size([8, 3, 64, 64]), torch.Size([8]), 'batch 0')

        One to four distortions of different families, as a multi-hot label:

        >>> compose = RandomDistortion(num_distortions=(1, 4), return_labels=True)
        >>> images, labels = compose(torch.rand(8, 3, 64, 64))
        >>> labels.shape, bool(labels.sum(1).max() <= 4)
        (torch.Size([8, 122]), True)
    """

    _transformed_types = (tv_tensors.Image, is_pure_tensor, tv_tensors.Video, PIL.Image.Image)

    # Defaults for objects pickled before compositions existed.
    num_distortions: int | tuple[int, int] = 1
    level_probabilities: tuple[float, ...] | None = None

    def __init__(
        self,
        bank: DistortionBank | None = None,
        p: float = 1.0,
        return_labels: bool = False,
        *,
        num_distortions: int | tuple[int, int] = 1,
        level_probabilities: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(bank, (DistortionBank, type(None))):
            raise TypeError(f"bank should be a DistortionBank, got {type(bank).__name__}")
        p = check_probability(p)
        self.bank: DistortionBank = DistortionBank() if bank is None else bank
        self.p: float = p
        self.return_labels: bool = return_labels
        self.num_distortions = num_distortions
        fewest = 1
        if not _checks.is_integer(num_distortions) or num_distortions != 1 or level_probabilities is not None:
            fewest = Composition(self.bank, num_distortions, level_probabilities).low
        if level_probabilities is not None:
            self.level_probabilities = tuple(float(probability) for probability in level_probabilities)
        if return_labels and not self.bank.pristine and (p < 1 or fewest == 0):
            raise ValueError(
                f"bank should have a pristine class to label the samples that p={p} and "
                f"num_distortions={num_distortions} leave alone"
            )

    def extra_repr(self) -> str:
        """Return the settings that make the object."""
        return (
            f"bank={self.bank!r}, p={self.p}, return_labels={self.return_labels}, "
            f"num_distortions={self.num_distortions}, level_probabilities={self.level_probabilities}"
        )

    def forward(self, *inputs: Any, generator: torch.Generator | None = None) -> Any:
        """Distort the images among ``inputs``.

        Args:
            *inputs: Any structure with at least one image.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.
        """
        flat_inputs, spec = tree_flatten(inputs if len(inputs) > 1 else inputs[0])
        needed = self._needs_transform_list(flat_inputs)
        images = [inpt for inpt, is_image in zip(flat_inputs, needed, strict=True) if is_image]
        self.check_inputs(images)
        params = self.make_params(images, generator=generator)
        outputs = [
            self.transform(inpt, params) if is_image else inpt
            for inpt, is_image in zip(flat_inputs, needed, strict=True)
        ]
        sample = tree_unflatten(outputs, spec)
        if not self.return_labels:
            return sample
        labels = params["labels"].to(images[0].device, non_blocking=True)
        return sample, labels if images[0].ndim == 4 else labels.squeeze(0)

    def check_inputs(self, images: list[Any]) -> None:
        """Raise unless there is an image, and all of them are tensors of one batch size and in their range."""
        if not images:
            raise TypeError(f"{type(self).__name__}() got no image in the sample")
        for image in images:
            if isinstance(image, (PIL.Image.Image, tv_tensors.Video)):
                raise TypeError(
                    f"{type(self).__name__}() does not support PIL images and videos, got {type(image).__name__}; "
                    "v2.ToImage() makes a tensor of a PIL image"
                )
            _checks.check_images(image)
            if image.shape[:-3] != images[0].shape[:-3]:
                raise ValueError(
                    f"{type(self).__name__}(): images in a sample should have one batch size, got shapes "
                    f"{tuple(images[0].shape)} and {tuple(image.shape)}"
                )

    def make_params(self, images: list[Tensor], generator: torch.Generator | None = None) -> dict[str, Any]:
        """Draw the distortions of each sample, for :meth:`transform`.

        Returns:
            ``{"distortions": B entries as the bank's make_params or make_composed_params gives them}``, and
            ``"labels"`` with ``return_labels=True``, on the CPU.
        """
        if self.num_distortions == 1 and self.level_probabilities is None:
            drawn: Sequence[Applied] = self.bank.make_params(images[0], generator=generator)
        else:
            drawn = self.bank.make_composed_params(
                images[0], self.num_distortions, level_probabilities=self.level_probabilities, generator=generator
            )
        if self.p < 1:
            kept = (torch.rand(len(drawn), generator=generator, dtype=torch.float32, device="cpu") < self.p).tolist()
            drawn = [entry if keep else PRISTINE for entry, keep in zip(drawn, kept, strict=True)]
        return {"distortions": drawn} | ({"labels": self._labels(drawn)} if self.return_labels else {})

    def _labels(self, drawn: Sequence[Applied]) -> Tensor:
        if self.num_distortions != 1:
            return self.bank.encode_multi_hot(drawn)
        steps = [(*steps_of(entry), PRISTINE)[0] for entry in drawn]
        classes = [self.bank.encode(step.type, step.level) for step in steps]
        return torch.tensor(classes, dtype=torch.int64, device="cpu")

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Distort one image or batch as drawn."""
        return self.bank.apply(inpt, params["distortions"])
