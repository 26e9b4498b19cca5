"""The distortion bank as a torchvision v2 transform."""

from __future__ import annotations

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
from dsmix_aug.distortions.bank import PRISTINE, DistortionBank


class RandomDistortion(v2.Transform):
    """Distort the images of a sample or of a batch, each sample with a class drawn from a distortion bank.

    The structure of the input is kept and everything that is not an image is returned as it is; which tensors are
    images is decided as in every torchvision v2 transform. Several images in one sample (of any size) get the same
    distortion. Images are (C, H, W) or (B, C, H, W), float in [0, 1] or uint8, on any device.

    Args:
        bank: The bank to draw from. Default: ``DistortionBank()``.
        p: Probability that a sample is distorted, drawn per sample.
        return_labels: Whether to return ``(sample, labels)``, with the class of each sample as an int64 tensor,
            (B,) or 0-d, on the images' device.

    Raises:
        TypeError: If ``bank`` is not a DistortionBank; on a call, if the sample holds a PIL image or no image.
        ValueError: If ``p`` is not in [0, 1], or samples may be left alone and labelled but ``bank`` has no pristine
            class; on a call, if images differ in batch size or are out of their range.

    Example:
        >>> import torch
        >>> from dsmix_aug import DistortionBank, RandomDistortion
        >>> distort = RandomDistortion(DistortionBank(["jpeg"]), p=0.5, return_labels=True)
        >>> sample, labels = distort({"image": torch.rand(8, 3, 64, 64), "name": "batch 0"})
        >>> sample["image"].shape, labels.shape, sample["name"]
        (torch.Size([8, 3, 64, 64]), torch.Size([8]), 'batch 0')
    """

    _transformed_types = (tv_tensors.Image, is_pure_tensor, tv_tensors.Video, PIL.Image.Image)

    def __init__(self, bank: DistortionBank | None = None, p: float = 1.0, return_labels: bool = False) -> None:
        super().__init__()
        if not isinstance(bank, (DistortionBank, type(None))):
            raise TypeError(f"bank should be a DistortionBank, got {type(bank).__name__}")
        p = check_probability(p)
        self.bank = DistortionBank() if bank is None else bank
        if return_labels and p < 1 and not self.bank.pristine:
            raise ValueError(f"bank should have a pristine class to label the samples that p={p} leaves alone")
        self.p = p
        self.return_labels = return_labels

    def extra_repr(self) -> str:
        """Return the settings that make the object."""
        return f"bank={self.bank!r}, p={self.p}, return_labels={self.return_labels}"

    def forward(self, *inputs: Any, generator: torch.Generator | None = None) -> Any:
        """Distort the images among ``inputs``.

        Args:
            *inputs: Any structure with at least one image.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker it has to
                be made there: workers get copies of the main process's, which all give the same draws, and the same
                again in every epoch.
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
        """Draw ``{"distortions": one entry per sample, "labels": (B,) int64}`` for :meth:`transform`."""
        drawn = self.bank.make_params(images[0], generator=generator)
        for image in images[1:]:
            for name in {entry.type for entry in drawn} - {"pristine"}:
                self.bank[name].check_image_size(image)
        if self.p < 1:
            kept = torch.rand(len(drawn), generator=generator, dtype=torch.float32, device="cpu") < self.p
            drawn = [entry if keep else PRISTINE for entry, keep in zip(drawn, kept.tolist(), strict=True)]
        labels = [self.bank.encode(entry.type, entry.level) for entry in drawn] if self.return_labels else []
        return {"distortions": drawn, "labels": torch.tensor(labels, dtype=torch.int64)}

    def transform(self, inpt: Tensor, params: dict[str, Any]) -> Tensor:
        """Distort one image or batch as drawn."""
        return self.bank.apply(inpt, params["distortions"])
