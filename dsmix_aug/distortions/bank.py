"""A named collection of distortions with class labels, applied to a batch with a type and level per sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dsmix_aug._tensors import to_device, wrap_like
from dsmix_aug.distortions import _checks
from dsmix_aug.distortions._distortion import REGISTRY, Distortion, Draws, RangeMode

#: The 25 distortion types of KADID-10k, in its order.
KADID_10K = (
    "gaussian_blur",
    "lens_blur",
    "motion_blur",
    "color_diffusion",
    "color_shift",
    "color_quantization",
    "color_saturation_hsv",
    "color_saturation_lab",
    "jpeg2000",
    "jpeg",
    "white_noise",
    "white_noise_color",
    "impulse_noise",
    "multiplicative_noise",
    "denoise",
    "brighten",
    "darken",
    "mean_shift",
    "jitter",
    "non_eccentricity_patch",
    "pixelate",
    "quantization",
    "color_block",
    "high_sharpen",
    "contrast_change",
)


class DistortionParams(NamedTuple):
    """All that was drawn for one sample: its type and level (``"pristine"``, 0 for none) and the type's own draws."""

    type: str
    level: int
    draws: Draws


PRISTINE = DistortionParams("pristine", 0, {})


class DistortionBank(Mapping[str, Distortion]):
    """The 25 distortion types x 5 levels of KADID-10k and KADIS-700k, batched, on CPU and CUDA tensors.

    Iterates over its distortions' names; ``bank["jpeg"]`` is a :class:`Distortion`, ``bank["jpeg"](images, level=3)``
    applies that one alone. Every (type, level) that changes the image is a class; class 0 is the pristine image.
    A level that changes nothing shares class 0.

    Sizes such as radii, shifts and patch counts are in pixels of a 512x384 image and are not rescaled to smaller
    crops. ``mean_shift`` and ``contrast_change`` are two-sided, as published: their levels run from one direction to
    the other and do not grow in strength.

    Args:
        distortions: Names or :class:`Distortion` objects. Default: the 25 types of KADID-10k in its order.
        levels: The levels to draw from and to count as classes.
        pristine: Whether there is a class 0 for images left as they are.
        range_mode: ``"clip"`` clamps results to [0, 1]; ``"kadis"`` stretches each input and result to its own
            minimum and maximum, as the generator of KADIS-700k does.

    Raises:
        TypeError: If ``distortions`` or ``levels`` are of another type.
        ValueError: If a name is unknown or given twice, or a level does not exist.

    Source: Lin, Hosu, Saupe, "KADID-10k: A Large-scale Artificially Distorted IQA Database", QoMEX 2019.

    Example:
        >>> import torch
        >>> from dsmix_aug import DistortionBank
        >>> bank = DistortionBank()
        >>> len(bank), bank.num_classes
        (25, 122)
        >>> distorted, labels = bank(torch.rand(4, 3, 64, 64), labels=bank.encode("jpeg", 5))
        >>> distorted.shape, labels.tolist()
        (torch.Size([4, 3, 64, 64]), [47, 47, 47, 47])
        >>> bank.decode(47)
        ('jpeg', 5)
    """

    def __init__(
        self,
        distortions: Sequence[str | Distortion] | None = None,
        levels: Sequence[int] = (1, 2, 3, 4, 5),
        *,
        pristine: bool = True,
        range_mode: RangeMode = "clip",
    ) -> None:
        _checks.check_range_mode(range_mode)
        if isinstance(distortions, str) or not isinstance(distortions, (Sequence, type(None))):
            raise TypeError(f"distortions should be a sequence of names or Distortion objects, got {distortions!r}")
        self.range_mode: RangeMode = range_mode
        self.pristine = bool(pristine)
        self.levels = _check_levels(levels)
        self._distortions: dict[str, Distortion] = {}
        for given in KADID_10K if distortions is None else distortions:
            self._add(given)
        if not self._distortions:
            raise ValueError("distortions: at least one is needed, got none")
        self._classes: list[tuple[str, int]] = [("pristine", 0)] if self.pristine else []
        self._classes += [
            (name, level)
            for name, distortion in self.items()
            for level in self.levels
            if level not in distortion.identity_levels
        ]
        self._labels = {key: label for label, key in enumerate(self._classes)}
        if not self._classes:
            raise ValueError(f"levels: no distortion changes the image at {self.levels}, so there is no class")

    def _add(self, given: str | Distortion) -> None:
        if isinstance(given, str):
            if given not in REGISTRY:
                raise ValueError(f"distortions: {given!r} is unknown, expected one of {', '.join(REGISTRY)}")
            given = REGISTRY[given](self.range_mode)
        if not isinstance(given, Distortion):
            raise TypeError(f"distortions should hold names or Distortion objects, got {given!r}")
        if given.name in self._distortions:
            raise ValueError(f"distortions: {given.name!r} is given twice")
        if given.range_mode != self.range_mode:
            raise ValueError(
                f"distortions: {given.name!r} has range_mode={given.range_mode!r}, expected the bank's "
                f"{self.range_mode!r}"
            )
        missing = [level for level in self.levels if level > len(given.values)]
        if missing:
            raise ValueError(f"levels: {given.name!r} has levels 1 to {len(given.values)}, got {missing[0]}")
        self._distortions[given.name] = given

    def __getitem__(self, name: str) -> Distortion:
        try:
            return self._distortions[name]
        except KeyError:
            raise KeyError(f"{name!r} is not in this bank, expected one of {', '.join(self)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._distortions)

    def __len__(self) -> int:
        return len(self._distortions)

    def __repr__(self) -> str:
        return (
            f"DistortionBank({len(self)} distortions, levels={self.levels}, pristine={self.pristine}, "
            f"range_mode={self.range_mode!r})"
        )

    @property
    def num_classes(self) -> int:
        """Number of classes, one per (type, level) that changes the image, and the pristine one."""
        return len(self._classes)

    @property
    def class_names(self) -> list[str]:
        """Name of each class in the order of the labels, ``"pristine"``, ``"gaussian_blur_2"``, ..."""
        return [f"{name}_{level}" if level else name for name, level in self._classes]

    @property
    def type_names(self) -> list[str]:
        """``"pristine"`` and the distortions' names, which the entries of :attr:`type_index` stand for."""
        return ["pristine", *self]

    @property
    def type_index(self) -> Tensor:
        """Index into :attr:`type_names` for each label, (num_classes,) int64 on the CPU; 0 is pristine."""
        index = {name: i for i, name in enumerate(self.type_names)}
        return torch.tensor([index[name] for name, _ in self._classes])

    @property
    def level_index(self) -> Tensor:
        """Level of each label, (num_classes,) int64 on the CPU; 0 is pristine."""
        return torch.tensor([level for _, level in self._classes])

    def encode(self, type: str, level: int) -> int:
        """Return the label of a type at a level; 0 for a level that changes nothing and for ``("pristine", 0)``.

        Raises:
            ValueError: If the type or the level has no class in this bank.
        """
        if type in self._distortions and level in self[type].identity_levels and level in self.levels:
            type, level = "pristine", 0
        if (type, level) not in self._labels:
            raise ValueError(
                f"type, level: ({type!r}, {level!r}) has no class in this bank of types {', '.join(self.type_names)} "
                f"and levels {self.levels} (pristine={self.pristine})"
            )
        return self._labels[type, level]

    def decode(self, label: int) -> tuple[str, int]:
        """Return the type and level of a label; ``("pristine", 0)`` for the pristine class.

        Raises:
            ValueError: If the label is not in [0, num_classes).
        """
        if not 0 <= int(label) < self.num_classes:
            raise ValueError(f"label should be in [0, {self.num_classes}), got {label}")
        return self._classes[int(label)]

    def make_params(
        self,
        images: Tensor,
        labels: Tensor | Sequence[int] | int | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> list[DistortionParams]:
        """Draw on the host everything random that :meth:`apply` needs, one entry per sample.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device; only looked at.
            labels: The classes to apply: one for all, or B of them (CPU tensor or list). Default: drawn uniformly.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker it has to
                be made there: workers get copies of the main process's, which all give the same draws, and the same
                again in every epoch.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor, or ``labels`` not integer or not on the CPU.
            ValueError: If a shape, a pixel value (on CPU tensors) or a label is out of its range, or a distortion
                that may be drawn is not defined for the channels or the size of ``images``.
        """
        _checks.check_images(images)
        return self._draw(images, labels, generator)

    def _draw(
        self, images: Tensor, labels: Tensor | Sequence[int] | int | None, generator: torch.Generator | None
    ) -> list[DistortionParams]:
        batch_size = len(images) if images.ndim == 4 else 1
        if labels is None:
            for distortion in self.values():
                distortion.check_image_size(images)
            chosen = torch.randint(self.num_classes, (batch_size,), generator=generator).tolist()
        else:
            chosen = _checks.host_integers("labels", labels, batch_size)
            wrong = [label for label in chosen if not 0 <= label < self.num_classes]
            if wrong:
                raise ValueError(f"labels should be in [0, {self.num_classes}), got {wrong[0]}")
            for name in {self._classes[label][0] for label in chosen} - {"pristine"}:
                self[name].check_image_size(images)
        drawn = []
        for name, level in (self._classes[label] for label in chosen):
            drawn.append(DistortionParams(name, level, self[name].draw(generator)) if level else PRISTINE)
        return drawn

    def apply(self, images: Tensor, params: Sequence[DistortionParams]) -> Tensor:
        """Distort a batch as drawn; equal arguments give bitwise equal results on the same device.

        A sample's result does not depend on the other samples of its batch.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device.
            params: B entries from :meth:`make_params`.

        Returns:
            A new tensor of the shape, dtype, device and memory format of ``images``.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor.
            ValueError: If a shape or a pixel value (on CPU tensors) is wrong, or there are not B entries.
        """
        _checks.check_images(images)
        return self._apply(images, params)

    def _apply(self, images: Tensor, params: Sequence[DistortionParams]) -> Tensor:
        batch = (images if images.ndim == 4 else images.unsqueeze(0)).detach().as_subclass(Tensor)
        if len(params) != len(batch):
            raise ValueError(f"params should have one entry per sample: expected {len(batch)}, got {len(params)}")
        distorted = torch.empty_like(batch)
        for name in dict.fromkeys(entry.type for entry in params):
            members = [i for i, entry in enumerate(params) if entry.type == name]
            index = to_device(members, batch.device)
            group = batch.index_select(0, index)
            if name != "pristine":
                group = self[name].apply(group, [params[i].level for i in members], [params[i].draws for i in members])
            distorted.index_copy_(0, index, group)
        return wrap_like(distorted.reshape(images.shape), images)

    def __call__(
        self,
        images: Tensor,
        labels: Tensor | Sequence[int] | int | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Distort a batch: :meth:`make_params`, then :meth:`apply`.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device.
            labels: The classes to apply: one for all, or B of them (CPU tensor or list). Default: drawn uniformly.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker it has to
                be made there: workers get copies of the main process's, which all give the same draws, and the same
                again in every epoch.

        Returns:
            The distorted images, like ``images`` in shape, dtype and device, and their labels, int64 on the same
            device: (B,), or 0-d for a single image.

        Raises:
            TypeError: As :meth:`make_params`.
            ValueError: As :meth:`make_params`.
        """
        _checks.check_images(images)
        params = self._draw(images, labels, generator)
        applied = to_device([self._labels[entry.type, entry.level] for entry in params], images.device, torch.int64)
        return self._apply(images, params), applied if images.ndim == 4 else applied.squeeze(0)


def _check_levels(levels: object) -> tuple[int, ...]:
    if not isinstance(levels, Sequence) or not all(isinstance(level, int) for level in levels):
        raise TypeError(f"levels should be a sequence of integers, got {levels!r}")
    if not levels or min(levels) < 1 or len(set(levels)) != len(levels):
        raise ValueError(f"levels should be different integers from 1, got {levels!r}")
    return tuple(levels)
