"""DSMix: CutMix for image quality, with labels weighted by the distortion that their region shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2.functional._utils import is_pure_tensor

from dsmix_aug._tensors import to_device
from dsmix_aug.maps.sensitivity import check_pair, mean_patch_error
from dsmix_aug.maps.tv_tensors import Reference, SensitivityMap, wrap_like
from dsmix_aug.mixing import _device, _host
from dsmix_aug.mixing import labels as _labels
from dsmix_aug.mixing.boxes import NO_BOX, Box, draw_boxes, draw_derangement, kept_area, roll, to_patches
from dsmix_aug.mixing.checks import check_images, check_map, check_settings

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
    Which plain tensor is the image is decided as in every torchvision v2 transform, labels and map left out: the first
    one, and none if there is a ``tv_tensors.Image``. Several Images get the same box and partner; the map is that of
    the first. Mixing also happens in ``eval()`` mode, as in torchvision.

    The map comes from, in this order: ``map_getter``, a ``SensitivityMap`` in the sample, a ``Reference`` in the
    sample, ``estimator``. A ``Reference`` has to meet its image before ``v2.Normalize``; normalised batches use a map.
    ``weighting="area"`` needs none.

    lambda, the weight of an image's own label (the partner's gets 1 - lambda), is by ``weighting``, where the mass of
    a region is the sum of map value x pixels over its patches:

    - ``"mass"``: kept mass / (kept mass + pasted mass), each label's share of the visible distortion;
    - ``"retained"``: the same with each mass divided by that of its whole image (0 where that is 0), how much of each
      distortion survived the cut;
    - ``"area"``: CutMix's share of the pixels.

    Where both terms are zero, area decides. Mass follows amplitude, not visibility.

    Labels: (B,) integers of any integer dtype with ``num_classes``; (B, K) soft labels; (B,) or (B, 1) scores in
    floating point with ``num_classes=None``. Class labels come out (B, K) in floating point, soft also where ``p``
    skips; scores keep shape and dtype. Weighing scores by anything but ``"area"`` is ours and untested in the
    literature.

    Images are (B, C, H, W), float or uint8. All tensors are on one device. Values are checked on the CPU alone: labels,
    maps, and images where a map is computed from them. On CUDA nothing waits for the device.

    Args:
        num_classes: Number of classes, for labels that are indices.
        alpha: Both parameters of the Beta distribution that the area of the box is drawn from.
        patch_size: Side of a patch in px. Edges of boxes are snapped to this grid, so that each patch of a mixed image
            comes from one source.
        weighting: ``"mass"``, ``"retained"`` or ``"area"``.
        box: ``"batch"``: one box for all, as CutMix; ``"sample"``: one each.
        partner: ``"roll"``: sample i - 1, as CutMix; ``"random"``: any other sample, each used once.
        p: Probability that a box is cut, drawn with the box: once per batch, or per sample with ``box="sample"``.
        estimator: Any callable from images to a map, such as a :class:`DSMEstimator`; given uint8 images as float in
            [0, 1]. A module is used in eval mode and without gradient, and is no submodule: move it to the images'
            device yourself.
        map_getter: Callable from the sample to its map (B, h, w), like ``labels_getter``. A tensor of the sample itself
            is mixed too.
        labels_getter: ``"default"``: as CutMix, the second item or a key like "labels"; or a callable that takes the
            sample and returns the labels, which have to be one of the sample's own tensors.

    Raises:
        TypeError: If a setting has the wrong type; on a call, if a dtype is not supported.
        ValueError: If a setting is out of range; on a call, if the sample holds PIL images, videos, bounding boxes,
            keypoints or masks, shapes, devices or values do not fit, or there is no map. Before anything is drawn.

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
        weighting: str = "mass",
        box: str = "batch",
        partner: str = "roll",
        p: float = 1.0,
        estimator: Callable[[Tensor], Tensor] | None = None,
        map_getter: Callable[[Any], Tensor] | None = None,
        labels_getter: str | Callable[[Any], Tensor] | None = "default",
    ) -> None:
        super().__init__()
        check_settings(num_classes, alpha, patch_size, weighting, box, partner, p, estimator, map_getter)
        self.num_classes = num_classes
        self.alpha = float(alpha)
        self._alphas = torch.full((1, 2), self.alpha)
        self.patch_size = patch_size
        self.weighting = weighting
        self.box = box
        self.partner = partner
        self.p = float(p)
        self._estimator = (estimator,)  # in a tuple: an nn.Module attribute would become a submodule
        self.map_getter = map_getter
        self.labels_getter = labels_getter
        self._labels_getter = _labels.parse_labels_getter(labels_getter)

    @property
    def estimator(self) -> Callable[[Tensor], Tensor] | None:
        """What predicts maps where nothing else gives them."""
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
            generator: A CPU generator to draw from instead of torch's global one.
        """
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, spec = tree_flatten(sample)
        self.check_inputs(leaves)
        labels = self._labels_getter(sample)
        _labels.check_labels(labels, self.num_classes)
        if not any(leaf is labels for leaf in leaves):
            raise ValueError("labels_getter should return one of the sample's own tensors, not a copy or a view of it")
        given_map = None if self.map_getter is None else self.map_getter(sample)
        needed = self._needs_mixing(leaves, labels, given_map)
        tensors = [leaf for leaf, is_needed in zip(leaves, needed, strict=True) if is_needed]
        if given_map is not None:
            tensors.insert(0, self._wrap_map(given_map, tensors))
        self._check_labels_fit(labels, tensors)
        params: dict[str, Any] = {"labels": labels, "map": given_map, **self.make_params(tensors, generator=generator)}
        mixed = [
            self.transform(leaf, params) if is_needed or leaf is labels or leaf is given_map else leaf
            for leaf, is_needed in zip(leaves, needed, strict=True)
        ]
        return tree_unflatten(mixed, spec)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise ``ValueError`` if there is a leaf that cannot be mixed."""
        if any(isinstance(leaf, (PIL.Image.Image, *_UNSUPPORTED)) for leaf in flat_inputs):
            raise ValueError(
                f"{type(self).__name__}() does not support PIL images, videos, bounding boxes, keypoints and masks."
            )

    def _needs_mixing(self, leaves: list[Any], labels: Tensor, given_map: Any) -> list[bool]:
        """Apply torchvision's rule of the first plain tensor, to those that are neither labels nor map."""
        others = [None if leaf is labels or leaf is given_map else leaf for leaf in leaves]
        kinds = (tv_tensors.Image, Reference, SensitivityMap)
        return [
            needed and (isinstance(leaf, kinds) or is_pure_tensor(leaf))
            for leaf, needed in zip(others, self._needs_transform_list(others), strict=True)
        ]

    def _wrap_map(self, given_map: Any, tensors: Sequence[Tensor]) -> SensitivityMap:
        if isinstance(given_map, SensitivityMap):
            return given_map
        images = [leaf for leaf in tensors if not isinstance(leaf, (Reference, SensitivityMap))]
        check_images(images, [])
        check_map("map_getter", given_map, images[0], self.patch_size)
        return SensitivityMap(
            given_map, patch_size=self.patch_size, canvas_size=(images[0].shape[-2], images[0].shape[-1])
        )

    def _check_labels_fit(self, labels: Tensor, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            if tensor.ndim == 4 and len(tensor) != len(labels):
                raise ValueError(
                    "The batch size of the image or video does not match the batch size of the labels: "
                    f"{len(tensor)} != {len(labels)}."
                )
            if tensor.device != labels.device:
                raise ValueError(f"labels should be on the images' device, {tensor.device}, got {labels.device}")

    def make_params(self, flat_inputs: list[Any], generator: torch.Generator | None = None) -> dict[str, Any]:
        """Draw on the host everything that is random, and weigh the labels: all that :meth:`transform` needs.

        Args:
            flat_inputs: The batch's images, and its ``Reference`` and ``SensitivityMap`` where there are any. What a
                ``map_getter`` would return is given here as a ``SensitivityMap``.
            generator: A CPU generator to draw from instead of torch's global one.

        Returns:
            ``"box"``: (x1, y1, x2, y2) in px, with ``box="sample"`` a list of B of them; where nothing is cut,
            (0, 0, 0, 0). ``"partner"``: list of B indices, whose box goes into sample i. ``"lam"``: (B,) float64 on
            the maps' device, the weight of each sample's own label.

        Raises:
            TypeError: If a dtype is not supported.
            ValueError: If shapes, devices or values do not fit, or there is no map.
        """
        maps = [leaf for leaf in flat_inputs if isinstance(leaf, SensitivityMap)]
        references = [leaf for leaf in flat_inputs if isinstance(leaf, Reference)]
        images = [leaf for leaf in flat_inputs if not isinstance(leaf, (Reference, SensitivityMap))]
        check_images(images, references)
        for given in maps:
            check_map("SensitivityMap", given, images[0], self.patch_size)
        known_map = self._known_map(images[0], references, maps)
        batch_size, size = len(images[0]), (images[0].shape[-2], images[0].shape[-1])
        count = 1 if self.box == "batch" else batch_size
        boxes = draw_boxes(count, size, self._alphas, self.p, self.patch_size, generator)
        partner = roll(batch_size) if self.partner == "roll" else draw_derangement(batch_size, generator)
        lam = self._weigh(images[0], known_map, boxes, partner)
        return {"box": boxes[0] if self.box == "batch" else boxes, "partner": partner, "lam": lam}

    def _known_map(self, images: Tensor, references: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor | None:
        if self.weighting == "area":
            return None
        if maps:
            return maps[0].as_subclass(Tensor)
        if references:
            check_pair(images, references[0], "images", "Reference")
            if images.dtype == torch.uint8 and references[0].dtype != torch.uint8:
                raise TypeError(f"Reference should be uint8 beside uint8 images, got {references[0].dtype}")
            return mean_patch_error(images.as_subclass(Tensor), references[0].as_subclass(Tensor), self.patch_size)
        if self.estimator is None:
            raise ValueError(
                f"{type(self).__name__}() found no map for weighting={self.weighting!r}: put a Reference or a "
                "SensitivityMap into the sample, or pass map_getter or estimator"
            )
        return None

    def _weigh(self, images: Tensor, known_map: Tensor | None, boxes: Sequence[Box], partner: Sequence[int]) -> Tensor:
        device, size = images.device, (images.shape[-2], images.shape[-1])
        if self.weighting == "area" or all(box == NO_BOX for box in boxes):
            areas = [kept_area(box, size) for box in boxes]
            return to_device(areas, device, torch.float64).expand(len(images))
        maps = self._estimate(images) if known_map is None else known_map
        where = _host if _host.is_on_host(maps) else _device
        return where.mixing_weight(maps, boxes, partner, size, self.patch_size, self.weighting)

    def _estimate(self, images: Tensor) -> Tensor:
        estimator: Any = self.estimator
        plain = images.detach().as_subclass(Tensor)
        with torch.no_grad(), _eval_mode(estimator):
            estimate = estimator(plain.to(torch.float32) / 255 if plain.dtype == torch.uint8 else plain)
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
        partner = params["partner"]
        where = _host if _host.is_on_host(plain) else _device
        if inpt is params.get("labels"):
            return where.mix_labels(plain, params["lam"], partner, self.num_classes)
        if inpt is params.get("map") or isinstance(inpt, SensitivityMap):
            boxes = to_patches(boxes, self.patch_size)
        elif not isinstance(inpt, (tv_tensors.Image, Reference)) and not is_pure_tensor(inpt):
            return inpt
        return wrap_like(where.cut_and_paste(plain, boxes, partner), inpt)


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
