"""TVTensors that travel with an image: its pristine reference and its sensitivity map."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves  # noqa: TID251  torchvision's own way; there is no public one
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from dsmix_aug._checks import check_integer
from dsmix_aug._tensors import wrap_like
from dsmix_aug.maps.patch_grid import grid_size


class Reference(tv_tensors.TVTensor):
    """The pristine version of an image in the same sample, (..., C, H, W).

    Every geometric transform of torchvision v2 (flips, crops, pads, resizes, rotations, affine, perspective, elastic)
    moves it as it moves the image, with the same parameters and the same result as for a ``tv_tensors.Image``. Colour
    and quality transforms, ``v2.Normalize`` and ``v2.RandomErasing`` do not change it: what they change in the image is
    part of the distortion. It does not subclass ``Image``, so a plain tensor next to it is still treated as the image;
    for the same reason random crops and resizes need an image in the sample, and cannot move a ``Reference`` without.

    The image should be a tensor, plain or ``tv_tensors.Image``. A PIL photo is rotated, resized and warped by Pillow,
    whose interpolation differs from the tensor kernels that move the ``Reference``: put ``v2.ToImage()`` first.

    dtypes: ``v2.ToDtype(torch.float32, scale=True)`` converts only images, and a uint8 reference of a float image is
    scaled where it is used. ``v2.ToDtype({tv_tensors.Image: torch.float32, Reference: torch.float32}, scale=True)``
    and ``v2.ConvertImageDtype`` convert both.

    Where a transform takes ``fill`` by type, give ``Reference`` the fill of the image. ``v2.CutMix``, ``v2.MixUp`` and
    ``v2.AutoAugment`` and its kin do not see a ``Reference``: they change only the image.

    Args:
        data: Anything that ``torch.as_tensor`` takes, or a PIL image; (H, W) becomes (1, H, W).
        dtype: Default: that of ``data``.
        device: Default: that of ``data``.
        requires_grad: Default: that of ``data``.

    Raises:
        ValueError: If ``data`` has fewer than two dimensions.

    Example:
        >>> import torch
        >>> from torchvision.transforms import v2
        >>> from dsmix_aug import Reference
        >>> image = torch.rand(3, 64, 64)
        >>> image, reference = v2.RandomCrop(32)(image, Reference(image))
        >>> type(reference).__name__, torch.equal(image, reference)
        ('Reference', True)

        A PIL photo becomes a tensor first, so that both are moved by the same kernels:

        >>> photo = v2.functional.to_pil_image(image)
        >>> move = v2.Compose([v2.ToImage(), v2.RandomRotation(30, interpolation=v2.InterpolationMode.BILINEAR)])
        >>> rotated, reference = move(photo, Reference(photo))
        >>> torch.equal(rotated.as_subclass(torch.Tensor), reference.as_subclass(torch.Tensor))
        True
    """

    def __new__(  # noqa: D102
        cls,
        data: Any,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> Reference:
        if isinstance(data, PIL.Image.Image):
            data = F.pil_to_tensor(data)
        tensor = cls._to_tensor(data, dtype=dtype, device=_device_of(data, device), requires_grad=requires_grad)
        if tensor.ndim < 2:
            raise ValueError(f"data should have at least 2 dimensions, got {tensor.ndim}")
        return (tensor.unsqueeze(0) if tensor.ndim == 2 else tensor).as_subclass(cls)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr()


class SensitivityMap(tv_tensors.TVTensor):
    """How much each patch of an image counts: the DSM, or any other non-negative map; (B, h, w) or (h, w).

    One value per patch of ``patch_size`` x ``patch_size`` px, h = ceil(H / patch_size), w = ceil(W / patch_size). The
    last row and column may belong to partial patches.

    Flips of an image whose sides the patch size divides, and crops and constant pads on the patch grid, move the map
    exactly as they move the image (padding counts as unchanged: 0). Under every other geometric transform the map of
    the result cannot be computed from the map, and an error says so. Transforms that are not geometric do not change
    it.

    Args:
        data: Anything that ``torch.as_tensor`` takes.
        patch_size: Side of a patch in px.
        canvas_size: Height and width of the image in px. Default: whole patches, (h * patch_size, w * patch_size).
        dtype: Default: that of ``data``.
        device: Default: that of ``data``.
        requires_grad: Default: that of ``data``.

    Raises:
        TypeError: If ``patch_size`` or a side of ``canvas_size`` is not an integer.
        ValueError: If ``data`` has fewer than two dimensions or not the grid of ``canvas_size``.

    Example:
        >>> import torch
        >>> from dsmix_aug import SensitivityMap
        >>> dsm = SensitivityMap(torch.rand(8, 7, 4), patch_size=16, canvas_size=(100, 64))
        >>> dsm.patch_size, dsm.canvas_size
        (16, (100, 64))
    """

    patch_size: int
    canvas_size: tuple[int, int]

    def __new__(  # noqa: D102
        cls,
        data: Any,
        *,
        patch_size: int = 16,
        canvas_size: tuple[int, int] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | int | None = None,
        requires_grad: bool | None = None,
    ) -> SensitivityMap:
        patch_size = check_integer("patch_size", patch_size)
        if canvas_size is not None:
            canvas_size = _check_canvas_size(canvas_size)
        tensor = cls._to_tensor(data, dtype=dtype, device=_device_of(data, device), requires_grad=requires_grad)
        if tensor.ndim < 2:
            raise ValueError(f"data should have at least 2 dimensions, got {tensor.ndim}")
        grid = (tensor.shape[-2], tensor.shape[-1])
        canvas = (grid[0] * patch_size, grid[1] * patch_size) if canvas_size is None else canvas_size
        if grid_size(canvas, patch_size) != grid:
            raise ValueError(
                f"data should have one value per patch: expected {grid_size(canvas, patch_size)} for "
                f"canvas_size={canvas} and patch_size={patch_size}, got {grid}"
            )
        return cls._wrap(tensor, patch_size=patch_size, canvas_size=canvas)

    @classmethod
    def _wrap(cls, tensor: Tensor, *, patch_size: int, canvas_size: tuple[int, int]) -> SensitivityMap:
        wrapped = tensor.as_subclass(cls)
        wrapped.patch_size = patch_size
        wrapped.canvas_size = canvas_size
        return wrapped

    @classmethod
    def wrap(cls, tensor: Tensor, like: SensitivityMap, **kwargs: Any) -> SensitivityMap:
        """Give a plain tensor the class and metadata of ``like``; called by ``torchvision.tv_tensors.wrap``."""
        return cls._wrap(
            tensor,
            patch_size=kwargs.get("patch_size", like.patch_size),
            canvas_size=kwargs.get("canvas_size", like.canvas_size),
        )

    @classmethod
    def _wrap_output(cls, output: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Carry the metadata through ``clone``, ``to`` and the like, as torchvision's ``BoundingBoxes`` does."""
        source = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, SensitivityMap))
        if isinstance(output, Tensor) and not isinstance(output, SensitivityMap):
            return cls.wrap(output, source)
        if isinstance(output, (tuple, list)):
            return type(output)(cls._wrap_output(part, args, kwargs) for part in output)
        return output

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr(patch_size=self.patch_size, canvas_size=self.canvas_size)


def _device_of(data: Any, device: torch.device | str | int | None) -> torch.device | str | int | None:
    """Return the device that is asked for, or a tensor's own, which torch's default device would replace."""
    return data.device if device is None and isinstance(data, Tensor) else device


def _check_canvas_size(canvas_size: object) -> tuple[int, int]:
    if not isinstance(canvas_size, Sequence) or len(canvas_size) != 2:
        raise TypeError(f"canvas_size should be (height, width) in px, got {canvas_size!r}")
    height, width = (check_integer("canvas_size", side, minimum=0) for side in canvas_size)
    return height, width


# ---------------------------------------------------------------------------------------------------------------------
# Reference: the kernels of Image, to_dtype for those who name Reference in v2.ToDtype, and queries of its size

GEOMETRIC = (
    "affine",
    "center_crop",
    "crop",
    "elastic",
    "five_crop",
    "horizontal_flip",
    "pad",
    "perspective",
    "resize",
    "resized_crop",
    "rotate",
    "ten_crop",
    "vertical_flip",
)


def _register_image_kernel(name: str) -> None:
    kernel = getattr(F, f"{name}_image")

    @functools.wraps(kernel)
    def follow(reference: Reference, *args: Any, **kwargs: Any) -> Any:
        output = kernel(reference.as_subclass(Tensor), *args, **kwargs)
        if isinstance(output, tuple):
            return tuple(wrap_like(crop, reference) for crop in output)
        return wrap_like(output, reference) if isinstance(output, Tensor) else output

    F.register_kernel(name, Reference)(follow)


for _name in (*GEOMETRIC, "to_dtype", "get_dimensions", "get_num_channels", "get_size"):
    _register_image_kernel(_name)


# ---------------------------------------------------------------------------------------------------------------------
# SensitivityMap: flips and windows on the grid; the rest raises


def _map_kernel(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return F.register_kernel(name, SensitivityMap)


def _impossible(what: str) -> ValueError:
    return ValueError(f"SensitivityMap: {what} has no exact result on the patch grid; compute the map after geometry")


@_map_kernel("horizontal_flip")
def _horizontal_flip(inpt: SensitivityMap) -> SensitivityMap:
    return _flip(inpt, axis=-1)


@_map_kernel("vertical_flip")
def _vertical_flip(inpt: SensitivityMap) -> SensitivityMap:
    return _flip(inpt, axis=-2)


def _flip(inpt: SensitivityMap, axis: int) -> SensitivityMap:
    if inpt.canvas_size[axis] % inpt.patch_size:
        raise _impossible(
            f"a flip of an image of size {inpt.canvas_size}, which patch_size={inpt.patch_size} does not divide,"
        )
    return SensitivityMap.wrap(inpt.as_subclass(Tensor).flip(axis), inpt)


@_map_kernel("crop")
def _crop(inpt: SensitivityMap, top: int, left: int, height: int, width: int) -> SensitivityMap:
    rows, above, below = _visible_patches(inpt, 0, top, height)
    columns, before, after = _visible_patches(inpt, 1, left, width)
    kept = inpt.as_subclass(Tensor)[..., rows, columns]
    padded = torch.nn.functional.pad(kept, (before, after, above, below))
    return SensitivityMap.wrap(padded, inpt, canvas_size=(height, width))


def _visible_patches(inpt: SensitivityMap, axis: int, start: int, length: int) -> tuple[slice, int, int]:
    """Return which patches a window along one axis shows, and how many patches of padding come before and after."""
    side, patch_size = inpt.canvas_size[axis], inpt.patch_size
    end = start + length
    cuts_a_patch = start % patch_size or (end < side and end % patch_size)
    pads_a_partial_patch = end > side and side % patch_size
    if cuts_a_patch or pads_a_partial_patch or end <= 0 or start >= side:
        raise _impossible(
            f"a crop or pad of an image of size {inpt.canvas_size} to {start}..{end} px along its "
            f"{('height', 'width')[axis]}, with patch_size={patch_size},"
        )
    first, last, patches = start // patch_size, -(-end // patch_size), -(-side // patch_size)
    return slice(max(first, 0), min(last, patches)), max(-first, 0), max(last - patches, 0)


@_map_kernel("pad")
def _pad(
    inpt: SensitivityMap, padding: int | list[int], fill: Any = None, padding_mode: str = "constant"
) -> SensitivityMap:
    if padding_mode != "constant":
        raise _impossible(f"padding_mode={padding_mode!r}")
    sides = [padding] if isinstance(padding, int) else list(padding)
    left, top, right, bottom = sides if len(sides) == 4 else (sides * 4)[:4]
    height, width = inpt.canvas_size
    return _crop(inpt, -top, -left, height + top + bottom, width + left + right)


@_map_kernel("center_crop")
def _center_crop(inpt: SensitivityMap, output_size: int | Sequence[int]) -> SensitivityMap:
    height, width = _height_and_width(output_size)
    tops = (_center_start(side, length) for side, length in zip(inpt.canvas_size, (height, width), strict=True))
    return _crop(inpt, *tops, height, width)


def _center_start(side: int, length: int) -> int:
    """Return where torchvision's center_crop starts: padding is rounded down, the crop half to even."""
    return -((length - side) // 2) if length > side else round((side - length) / 2)


def _height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    sides = [size] if isinstance(size, int) else list(size)
    return sides[0], sides[-1]


@_map_kernel("five_crop")
def _five_crop(inpt: SensitivityMap, size: int | Sequence[int]) -> tuple[SensitivityMap, ...]:
    height, width = _height_and_width(size)
    bottom, right = inpt.canvas_size[0] - height, inpt.canvas_size[1] - width
    if bottom < 0 or right < 0:
        raise ValueError(f"Requested crop size {size} is bigger than input size {inpt.canvas_size}")
    corners = ((0, 0), (0, right), (bottom, 0), (bottom, right))
    return (*(_crop(inpt, top, left, height, width) for top, left in corners), _center_crop(inpt, (height, width)))


@_map_kernel("ten_crop")
def _ten_crop(
    inpt: SensitivityMap, size: int | Sequence[int], vertical_flip: bool = False
) -> tuple[SensitivityMap, ...]:
    flipped = _flip(inpt, axis=-2 if vertical_flip else -1)
    return (*_five_crop(inpt, size), *_five_crop(flipped, size))


def _register_impossible(name: str) -> None:
    def refuse(inpt: SensitivityMap, *args: Any, **kwargs: Any) -> SensitivityMap:
        raise _impossible(name)

    _map_kernel(name)(refuse)


for _name in ("affine", "elastic", "perspective", "resize", "resized_crop", "rotate"):
    _register_impossible(_name)
