"""The base class of all distortions: name, table of levels, random draws and maths."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from dsmix_aug._generator import check_generator
from dsmix_aug._tensors import to_device, wrap_like
from dsmix_aug.distortions import _checks

RangeMode = Literal["clip", "kadis"]

#: The random draws of one sample: numbers and small CPU tensors by name, empty for a deterministic distortion.
Draws = dict[str, Any]

#: A sample whose values span no more than this many epsilons of the working dtype is flat: the span is rounding error
#: of the distortion, which a stretch would turn into noise.
FLAT_SPAN = 64

REGISTRY: dict[str, type[Distortion]] = {}


def register(cls: type[Distortion]) -> type[Distortion]:
    """Make a distortion known by its name to :class:`~dsmix_aug.DistortionBank`.

    Raises:
        ValueError: If the name is taken.
    """
    if cls.name in REGISTRY or cls.name == "pristine":
        raise ValueError(f"name: a distortion called {cls.name!r} is registered already")
    REGISTRY[cls.name] = cls
    return cls


class Distortion(ABC):
    """One type of distortion at graded levels, applied to a batch with a level per sample.

    A subclass sets the class attributes below and writes :meth:`distort`; one with randomness also writes
    :meth:`draw`. Everything else (levels, dtypes, value range, checks, identity levels) is done here, once.

    Args:
        range_mode: What keeps results in [0, 1]. ``"clip"`` clamps them. ``"kadis"`` stretches the input and the
            result of each sample to its own minimum and maximum, as the KADIS-700k generator does.

    Example:
        >>> import torch
        >>> from dsmix_aug import DistortionBank
        >>> blur = DistortionBank()["gaussian_blur"]
        >>> blur(torch.rand(4, 3, 64, 64), level=3).shape
        torch.Size([4, 3, 64, 64])
    """

    name: ClassVar[str]
    #: Kind of distortion. A composition takes at most one distortion of each family.
    family: ClassVar[str]
    #: Meaning and unit of :attr:`values`, e.g. ``"sigma in px"``.
    parameter: ClassVar[str]
    #: The parameter at level 1, 2, ...
    values: ClassVar[tuple[float, ...]]
    #: Levels that leave the image as it is.
    identity_levels: ClassVar[tuple[int, ...]] = ()
    #: Mean opinion of each level, 1 (bad) to 5 (excellent), where people were asked or an estimate was made; the types
    #: of KADID-10k have theirs in the package. See :attr:`~dsmix_aug.DistortionBank.opinion_scores`.
    opinions: ClassVar[tuple[float, ...] | None] = None
    #: Whether the maths needs three channels; otherwise one channel works too.
    needs_color: ClassVar[bool] = False
    #: Smallest height and width in px that the maths is defined for.
    min_size: ClassVar[int] = 1
    #: Whether :meth:`distort` gets single samples on the CPU, so that a long chain of operations stays in its cache.
    one_at_a_time: ClassVar[bool] = False

    def __init__(self, range_mode: RangeMode = "clip") -> None:
        _checks.check_range_mode(range_mode)
        self.range_mode = range_mode

    def __repr__(self) -> str:
        return f"{type(self).__name__}(range_mode={self.range_mode!r})"

    def draw(self, generator: torch.Generator | None) -> Draws:
        """Draw everything random of one sample on the host; the same for every image size and level."""
        return {}

    @abstractmethod
    def distort(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        """Return the distorted batch as a new tensor; the result may leave [0, 1].

        A result that the generator of KADIS-700k clamps before it stretches it is clamped here too.

        Args:
            images: (N, C, H, W) in [0, 1], float32 or float64, N >= 1, contiguous. Not to be modified.
            values: The parameter of each sample: N entries of :attr:`values`, none of an identity level.
            draws: N results of :meth:`draw`.
        """

    def distort_batch(self, images: Tensor, levels: Sequence[int], draws: Sequence[Draws]) -> Tensor:
        """Distort a batch without drawing anything: equal arguments give bitwise equal results on one device.

        No gradient flows through a distortion. Nothing is checked.

        Args:
            images: (N, C, H, W), float in [0, 1] or uint8.
            levels: N levels, from 1.
            draws: N results of :meth:`draw`.

        Returns:
            A new tensor of the shape and dtype of ``images``.
        """
        images = images.detach()
        moving = [i for i, level in enumerate(levels) if level not in self.identity_levels]
        values = [self.values[levels[i] - 1] for i in moving]
        if len(moving) == len(levels) and moving:
            return self._distort_moving(images, values, draws)
        result = stretch_range(images) if self.range_mode == "kadis" else images.clone()
        if moving:
            index = to_device(moving, images.device)
            distorted = self._distort_moving(images.index_select(0, index), values, [draws[i] for i in moving])
            put_samples(result, index, distorted)
        return result

    def _distort_moving(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        if not self.one_at_a_time or images.device.type != "cpu":
            return self._distort_together(images, values, draws)
        result = torch.empty_like(images)
        for i in range(len(images)):
            part = slice(i, i + 1)
            result[part] = self._distort_together(images[part], values[part], draws[part])
        return result

    def _distort_together(self, images: Tensor, values: Sequence[float], draws: Sequence[Draws]) -> Tensor:
        work = to_working_dtype(images).contiguous()
        with torch.autocast(images.device.type, enabled=False):  # pixels need more than the 8 bits of bfloat16
            # By keyword: a subclass with the old signature, which took levels here, fails instead of misreading them.
            if self.range_mode == "kadis":
                distorted = stretch_range(self.distort(stretch_range(work), values=values, draws=draws))
            else:
                distorted = self.distort(work, values=values, draws=draws).clamp_(0, 1)
        return from_working_dtype(distorted, images.dtype)

    def __call__(
        self, images: Tensor, level: int | Tensor | Sequence[int], *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Distort images at the given level.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device.
            level: One level for all, or B of them (CPU tensor or list), from 1 to ``len(values)``.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.

        Returns:
            A new tensor of the shape, dtype and device of ``images``.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor, ``level`` not integer, or ``generator`` no
                generator.
            ValueError: If a shape, a pixel value (on CPU tensors) or a level is out of its range, or ``generator`` is
                on another device or in a worker may be a copy.
        """
        _checks.check_images(images)
        check_generator(generator)
        self.check_image_size(images)
        batch = images if images.ndim == 4 else images.unsqueeze(0)
        levels = _checks.levels_list(level, len(batch), len(self.values))
        draws = [self.draw(generator) for _ in levels]
        distorted = self.distort_batch(batch.as_subclass(Tensor), levels, draws)
        return wrap_like(distorted.reshape(images.shape), images)

    def check_image_size(self, images: Tensor) -> None:
        """Raise ``ValueError`` if the distortion is not defined for the channels or the size of ``images``."""
        channels, height, width = images.shape[-3:]
        if self.needs_color and channels != 3:
            raise ValueError(f"images: {self.name} needs 3 colour channels, got {channels}")
        if min(height, width) < self.min_size:
            raise ValueError(
                f"images: {self.name} needs a height and width of at least {self.min_size} px, got {height}x{width}"
            )


def per_sample(values: Sequence[float], like: Tensor) -> Tensor:
    """Return one number per sample as (N, 1, 1, 1), with dtype and device of ``like``.

    Example:
        >>> import torch
        >>> per_sample([0.5, 2], torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 1, 1, 1])
    """
    return to_device(values, like.device, like.dtype).view(-1, 1, 1, 1)


def by_group(images: Tensor, keys: Sequence[Hashable], distort: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """Call ``distort(samples, their positions)`` once for all samples of equal key, and put the results together."""
    members = {key: [i for i, other in enumerate(keys) if other == key] for key in dict.fromkeys(keys)}
    if len(members) == 1:
        return distort(images, list(range(len(keys))))
    result = torch.empty_like(images)
    for positions in members.values():
        index = to_device(positions, images.device)
        put_samples(result, index, distort(images.index_select(0, index), positions))
    return result


def put_samples(images: Tensor, index: Tensor, samples: Tensor) -> None:
    """Write samples to their positions in a batch, which are on its device."""
    if images.device.type != "cpu":
        images.index_copy_(0, index, samples)
        return
    for position, sample in zip(index.tolist(), samples, strict=True):  # on the CPU index_copy_ goes value by value
        images[position] = sample


def to_working_dtype(images: Tensor) -> Tensor:
    """Return images as float32 (float64 stays) in [0, 1]; uint8 is scaled by 255."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    return images if images.dtype == torch.float64 else images.to(torch.float32)


def from_working_dtype(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images in [0, 1] in ``dtype``; uint8 is rounded to the nearest level, half up as the generator saves."""
    if dtype == torch.uint8:
        return images.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8)
    return images.to(dtype)


def stretch_range(images: Tensor) -> Tensor:
    """Stretch each sample to [0, 1] by its joint minimum and maximum (``mapmm``); a flat sample is only clamped."""
    work = to_working_dtype(images)
    low, high = work.amin((1, 2, 3), keepdim=True), work.amax((1, 2, 3), keepdim=True)
    span = high - low
    flat = span <= FLAT_SPAN * torch.finfo(work.dtype).eps
    stretched = (work - low.masked_fill(flat, 0)).div_(span.masked_fill(flat, 1)).clamp_(0, 1)
    return from_working_dtype(stretched, images.dtype)
