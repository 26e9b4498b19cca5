"""DSMix: CutMix for image quality, with labels weighted by the distortion that their region shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, get_args

import PIL.Image
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten  # noqa: TID251  torchvision's own way; no public one
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional import is_pure_tensor

from dsmix_aug._checks import check_choice, check_integer, check_probability
from dsmix_aug._generator import check_generator
from dsmix_aug._tensors import to_device, wrap_like
from dsmix_aug.maps._patch_error import mean_patch_error
from dsmix_aug.maps.patch_grid import pixels_per_patch
from dsmix_aug.maps.sensitivity import check_map, check_pair
from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap
from dsmix_aug.mixing import _host, functional
from dsmix_aug.mixing import boxes as _boxes
from dsmix_aug.mixing import labels as _labels
from dsmix_aug.mixing._checks import (
    check_alpha,
    check_images,
    check_is_batch,
    check_labels_fit,
    check_no_view,
    check_own_labels,
)
from dsmix_aug.mixing.boxes import NO_BOX, Box, BoxMode, PartnerMode
from dsmix_aug.mixing.functional import WEIGHTINGS, Weighting

# KeyPoints came with torchvision 0.23.
_UNSUPPORTED = tuple(
    getattr(tv_tensors, name) for name in ("BoundingBoxes", "Mask", "KeyPoints", "Video") if hasattr(tv_tensors, name)
)


class DSMix(v2.Transform):
    """Cut a box from each image's partner, paste it in, and weigh the two labels by the distortion that is seen.

    Used exactly as ``v2.CutMix``, on batches: ``mix(images, labels, Reference(references))`` after collating, on the
    CPU or a GPU, with any structure (tuple, list, dict, nested) that holds images and labels. The structure comes
    back; images, ``Reference`` and ``SensitivityMap`` are mixed alike, so that
    ``sensitivity_map(mixed image, mixed reference)`` equals the mixed map, and everything else is returned as it is.
    As in every v2 transform, the first plain tensor is the image, unless the sample holds a ``tv_tensors.Image``.
    Labels and map are skipped. Several Images get the same box and partner; the map is that of the first. Mixing also
    happens in ``eval()`` mode, as in torchvision.

    The map comes from, in this order: ``map_getter``, a ``SensitivityMap`` in the sample, a ``Reference`` in the
    sample, ``estimator``. A ``Reference`` has to meet its image before ``v2.Normalize``; normalised batches use a map.
    ``weighting="area"`` needs none.

    ``weighting`` decides lambda, the weight of an image's own label; the partner's gets 1 - lambda. The mass of a
    region is the sum of map value x pixels over its patches:

    - ``"mass"``: kept mass / (kept mass + pasted mass), each label's share of the visible distortion;
    - ``"retained"``: the same with each mass divided by that of its whole image (0 where that is 0), how much of each
      distortion survived the cut;
    - ``"area"``: CutMix's share of the pixels.

    Where both terms are zero, area decides. Mass follows amplitude, not visibility.

    Labels: (B,) integers of any integer dtype with ``num_classes``; (B, K) soft labels; (B,) or (B, 1) scores in
    floating point with ``num_classes=None``. Class labels come out (B, K) in floating point, soft also where ``p``
    skips; scores keep shape and dtype. Weighing scores by anything but ``"area"`` is ours and untested in the
    literature.

    Images are (B, C, H, W), float or uint8. All tensors are on one device. Values are checked only on the CPU: labels,
    maps, and images where a map is computed from them. On CUDA nothing waits for the device.

    Args:
        num_classes: Number of classes, for labels that are indices.
        alpha: Both parameters of the Beta distribution that the area of the box is drawn from. Below 0.005 half of the
            image is cut too often, as with CutMix, whose sampler this is (24 % of the boxes at 0.001).
        patch_size: Side of a patch in px. Edges of boxes are snapped to this grid, so that each patch of a mixed image
            comes from one source.
        weighting: ``"mass"``, ``"retained"`` or ``"area"``.
        box: ``"batch"``: one box for all, as CutMix; ``"sample"``: one each.
        partner: ``"roll"``: sample i - 1, as CutMix; ``"random"``: any other sample, each used once.
        p: Probability that a box is cut, drawn with the box: once per batch, or per sample with ``box="sample"``.
        estimator: Any callable from images to a map, such as a :class:`DSMEstimator`; given uint8 images as float in
            [0, 1], and otherwise a copy of the images. A module is used in eval mode and without gradient, and does
            not become a submodule: move it to the images' device yourself.
        map_getter: Callable from the sample to its map (B, h, w), like ``labels_getter``. A tensor of the sample itself
            is mixed too; a view of one is refused, because the tensor would stay unmixed.
        labels_getter: ``"default"``: as CutMix, the second item or a key like "labels"; or a callable that takes the
            sample and returns the labels, which have to be one of the sample's own tensors. For a key of a dict:
            ``operator.itemgetter("y")``.

    Raises:
        TypeError: If a setting has the wrong type; on a call, if a dtype is not supported.
        ValueError: If a setting is out of range; on a call, if the sample holds PIL images, videos, bounding boxes,
            keypoints or masks, shapes, devices or values do not fit, there is no map, or ``generator`` is on another
            device or in a worker may be a copy. Before anything is drawn, but for what ``estimator`` returns, which is
            called only if a box is cut.

    Source: Shi, Gao, Peng, Qin, "DSMix", ECCV 2024, for the idea; the formulas are ours. Boxes: Yun et al., "CutMix",
    ICCV 2019.

    Example:
        >>> import torch
        >>> from dsmix_aug import DistortionBank, DSMix, Reference
        >>> references = torch.rand(4, 3, 64, 64)
        >>> bank = DistortionBank(["mean_shift"])
        >>> images, labels = bank(references)
        >>> mix = DSMix(num_classes=bank.num_classes)
        >>> images, labels, references = mix(images, labels, Reference(references))
        >>> images.shape, labels.shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 5]))
    """

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        alpha: float = 1.0,
        patch_size: int = 16,
        weighting: Weighting = "mass",
        box: BoxMode = "batch",
        partner: PartnerMode = "roll",
        p: float = 1.0,
        estimator: Callable[[Tensor], Tensor] | None = None,
        map_getter: Callable[[Any], Tensor] | None = None,
        labels_getter: str | Callable[[Any], Tensor] | None = "default",
    ) -> None:
        super().__init__()
        self.num_classes = None if num_classes is None else check_integer("num_classes", num_classes)
        self.alpha = check_alpha(alpha)
        self.patch_size = check_integer("patch_size", patch_size)
        check_choice("weighting", weighting, WEIGHTINGS)
        check_choice("box", box, get_args(BoxMode))
        check_choice("partner", partner, get_args(PartnerMode))
        self.weighting = weighting
        self.box = box
        self.partner = partner
        self.p = check_probability(p)
        for name, value in (("estimator", estimator), ("map_getter", map_getter)):
            if value is not None and not callable(value):
                raise TypeError(f"{name} should be callable or None, got {type(value).__name__}")
        self._estimator = (estimator,)  # in a tuple: an nn.Module attribute would become a submodule
        self.map_getter = map_getter
        self.labels_getter = labels_getter
        self._labels_getter = _labels.parse_labels_getter(labels_getter)

    @property
    def estimator(self) -> Callable[[Tensor], Tensor] | None:
        """The callable that predicts maps where nothing else gives them."""
        return self._estimator[0]

    def extra_repr(self) -> str:
        """Return the settings that make the object; callables only where there is one."""
        names = ["num_classes", "alpha", "patch_size", "weighting", "box", "partner", "p"]
        names += [name for name in ("estimator", "map_getter") if getattr(self, name) is not None]
        names += ["labels_getter"] if self.labels_getter != "default" else []
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)

    @torch.compiler.disable  # draws on the host; compile dsmix_aug.mixing.functional.dsmix instead
    def forward(self, *inputs: Any, generator: torch.Generator | None = None) -> Any:
        """Mix a batch.

        Args:
            *inputs: Images and labels, and what else belongs to the batch, in any structure.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.
        """
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, spec = tree_flatten(sample)
        batch = self._read(sample, leaves)
        drawn = self.make_params(batch.tensors, generator=generator, given_map=batch.given_map)
        params = {"labels": batch.labels, "map": batch.given_map, **drawn}
        mixed = [
            self.transform(leaf, params) if is_mixed else leaf
            for leaf, is_mixed in zip(leaves, batch.is_mixed, strict=True)
        ]
        return tree_unflatten(mixed, spec)

    def _read(self, sample: Any, leaves: list[Any]) -> _Batch:
        """Find labels, map and images in a sample, and check all that can be said without the values of the images."""
        self.check_inputs(leaves)
        labels = self._labels_getter(sample)
        given_map = None if self.map_getter is None else self.map_getter(sample)
        others = [None if leaf is labels or leaf is given_map else leaf for leaf in leaves]
        is_tensor = [
            needed and (isinstance(leaf, (tv_tensors.Image, Reference, SensitivityMap)) or is_pure_tensor(leaf))
            for leaf, needed in zip(others, self._needs_transform_list(others), strict=True)
        ]
        tensors = [leaf for leaf, chosen in zip(leaves, is_tensor, strict=True) if chosen]
        rest = [None if chosen else leaf for leaf, chosen in zip(others, is_tensor, strict=True)]
        check_own_labels(labels, leaves)
        for tensor in tensors:
            if not isinstance(tensor, SensitivityMap):
                check_is_batch(tensor)
        _labels.check_labels(labels, self.num_classes)
        check_labels_fit(labels, tensors)
        if given_map is None:
            self._check_there_is_a_map(tensors, rest)
        else:
            check_no_view(given_map, rest)
        is_mixed = [
            chosen or leaf is labels or leaf is given_map for leaf, chosen in zip(leaves, is_tensor, strict=True)
        ]
        return _Batch(labels, given_map, tensors, is_mixed)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise ``ValueError`` if there is a leaf that cannot be mixed."""
        if any(isinstance(leaf, (PIL.Image.Image, *_UNSUPPORTED)) for leaf in flat_inputs):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, videos, bounding boxes, keypoints and masks."
            )
        for leaf in flat_inputs:
            if isinstance(leaf, tv_tensors.Image):
                check_is_batch(leaf)

    def _check_there_is_a_map(self, tensors: Sequence[Tensor], rest: Sequence[Any] = ()) -> None:
        has_map = any(isinstance(tensor, (Reference, SensitivityMap)) for tensor in tensors)
        if has_map or self.weighting == "area" or self.estimator is not None:
            return
        message = (
            f"{type(self).__name__}() found no map for weighting={self.weighting!r}: put a Reference or a "
            "SensitivityMap into the sample, or pass map_getter or estimator"
        )
        for position, leaf in enumerate(rest, start=1):
            if is_pure_tensor(leaf) and leaf.shape == tensors[0].shape:
                message += (
                    f". Item {position} of the sample, a tensor of the images' shape, looks like a reference that lost "
                    "its type: default_collate drops TVTensors; use collate_tv_tensors or Reference(...)"
                )
                break
        raise ValueError(message)

    def make_params(
        self, flat_inputs: list[Any], generator: torch.Generator | None = None, given_map: Tensor | None = None
    ) -> dict[str, Any]:
        """Draw on the host everything that is random, and weigh the labels: all that :meth:`transform` needs.

        Args:
            flat_inputs: The batch's images, and its ``Reference`` and ``SensitivityMap`` where there are any.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.
            given_map: The map that ``map_getter`` returned, where there is one; it comes before all others.

        Returns:
            ``"box"``: (x1, y1, x2, y2) in px, with ``box="sample"`` a list of B of them; where nothing is cut,
            (0, 0, 0, 0). ``"partner"``: list of B indices, whose box goes into sample i. ``"lam"``: (B,) float64 on
            the maps' device, the weight of each sample's own label.

        Raises:
            TypeError: If a dtype is not supported, or ``generator`` is no generator.
            ValueError: If shapes, devices or values do not fit, there is no map, or ``generator`` is on another device
                or in a worker may be a copy.
        """
        images, references, maps = _sort(flat_inputs)
        check_images(images, references)
        check_generator(generator)
        known_map = self._known_map(images[0], references, maps, given_map)
        batch_size, size = len(images[0]), (images[0].shape[-2], images[0].shape[-1])
        count = 1 if self.box == "batch" else batch_size
        boxes = _boxes.draw_boxes(count, size, self.alpha, self.p, self.patch_size, generator)
        roll = self.partner == "roll"
        partner = _boxes.roll(batch_size) if roll else _boxes.draw_derangement(batch_size, generator)
        lam = self._weigh(images[0], known_map, boxes, partner)
        return {"box": boxes[0] if self.box == "batch" else boxes, "partner": partner, "lam": lam}

    def _known_map(
        self, images: Tensor, references: list[Tensor], maps: list[Tensor], given_map: Tensor | None
    ) -> Tensor | None:
        """Return the map that the sample gives, or None if the estimator has to, or none is needed."""
        for dsm in maps:
            check_map("SensitivityMap", dsm, images, self.patch_size)
        if given_map is not None:
            check_map("map_getter", given_map, images, self.patch_size)
        else:
            self._check_there_is_a_map([images, *references, *maps])
        if self.weighting == "area":
            return None
        if given_map is not None or maps:
            return (maps[0] if given_map is None else given_map).as_subclass(Tensor)
        if not references:
            return None
        reference = references[0]
        check_pair(images, reference, "images", "Reference")
        if images.dtype == torch.uint8 and reference.dtype != torch.uint8:
            raise TypeError(f"Reference should be uint8 like the images, got {reference.dtype}")
        return mean_patch_error(images.as_subclass(Tensor), reference.as_subclass(Tensor), self.patch_size)

    def _weigh(self, images: Tensor, known_map: Tensor | None, boxes: list[Box], partner: list[int]) -> Tensor:
        size = (images.shape[-2], images.shape[-1])
        if self.weighting == "area" or all(box == NO_BOX for box in boxes):
            areas = [_boxes.kept_area(box, size) for box in boxes]
            return to_device(areas, images.device, torch.float64).expand(len(images))
        maps = self._estimate(images) if known_map is None else known_map
        whole = (0, 0, size[1], size[0])
        pixels = pixels_per_patch(_boxes.to_corners([whole, *boxes], maps.device), size, self.patch_size)
        pasted, kept = pixels[1:], pixels[:1] - pixels[1:]
        return functional.mixing_weight(maps, _boxes.take_partners(maps, partner), pasted, kept, self.weighting)

    def _estimate(self, images: Tensor) -> Tensor:
        estimator: Any = self.estimator
        plain = images.detach().as_subclass(Tensor)
        given = plain.to(torch.float32) / 255 if plain.dtype == torch.uint8 else plain.clone()  # it may write to it
        with torch.no_grad(), _eval_mode(estimator):
            estimate = estimator(given)
        check_map("estimator", estimate, images, self.patch_size)
        return estimate.as_subclass(Tensor)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Mix one leaf as drawn; repeats bitwise on one device.

        Images, ``Reference`` and ``SensitivityMap`` are known by their type; labels are the leaf that is
        ``params["labels"]``, a plain map the one that is ``params["map"]``.

        Args:
            inpt: A leaf of the sample.
            params: From :meth:`make_params`, for labels with the entry ``"labels"`` added.
        """
        if not isinstance(inpt, Tensor):
            return inpt
        plain = inpt.as_subclass(Tensor)
        boxes: list[Box] = [params["box"]] if isinstance(params["box"], tuple) else params["box"]
        partner: list[int] = params["partner"]
        if inpt is params.get("labels"):
            soft = _labels.soft_labels(plain, self.num_classes)
            return functional.mix_labels(soft, _boxes.take_partners(soft, partner), params["lam"])
        if inpt is params.get("map") or isinstance(inpt, SensitivityMap):
            boxes = _boxes.to_patches(boxes, self.patch_size)
        elif not isinstance(inpt, (tv_tensors.Image, Reference)) and not is_pure_tensor(inpt):
            return inpt
        return wrap_like(_cut_and_paste(plain, boxes, partner), inpt)


class _Batch(NamedTuple):
    """The parts of a sample that DSMix works on."""

    labels: Tensor
    given_map: Tensor | None  #: By ``map_getter``; a leaf of the sample or not.
    tensors: list[Tensor]  #: Images, references and maps, for ``make_params``.
    is_mixed: list[bool]  #: Of each leaf.


def _sort(tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Return images, references and maps."""
    images: list[Tensor] = []
    references: list[Tensor] = []
    maps: list[Tensor] = []
    for tensor in tensors:
        kind = maps if isinstance(tensor, SensitivityMap) else references if isinstance(tensor, Reference) else images
        kind.append(tensor)
    return images, references, maps


def _cut_and_paste(inputs: Tensor, boxes: list[Box], partner: list[int]) -> Tensor:
    """Paste partners' boxes, by whichever way is fastest; the values are the same on all."""
    if len(boxes) == 1 and _boxes.is_roll(partner):
        x1, y1, x2, y2 = boxes[0]
        mixed = inputs.clone()
        mixed[1:, ..., y1:y2, x1:x2] = inputs[:-1, ..., y1:y2, x1:x2]
        mixed[:1, ..., y1:y2, x1:x2] = inputs[-1:, ..., y1:y2, x1:x2]
        return mixed
    if inputs.ndim == 4 and _host.is_on_host(inputs):
        return _host.cut_and_paste_each(inputs, boxes, partner)
    corners = _boxes.to_corners(boxes, inputs.device)
    return functional.paste(inputs, _boxes.take_partners(inputs, partner), corners)


@contextlib.contextmanager
def _eval_mode(estimator: object) -> Iterator[None]:
    """Put a module into eval mode, and each of its parts back into the mode that it was in."""
    modules = list(estimator.modules()) if isinstance(estimator, nn.Module) else []
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
