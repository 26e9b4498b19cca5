"""A named collection of distortions with class labels, applied to a batch with a type and level per sample."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from dsmix_aug._generator import check_generator
from dsmix_aug._tensors import to_device, wrap_like
from dsmix_aug.distortions import _checks
from dsmix_aug.distortions._composition import Composition
from dsmix_aug.distortions._distortion import (
    REGISTRY,
    Distortion,
    RangeMode,
    from_working_dtype,
    put_samples,
    to_working_dtype,
)
from dsmix_aug.distortions._opinions import Opinions, opinions_of, pristine_opinion
from dsmix_aug.distortions._params import PRISTINE, DistortionParams, steps_of
from dsmix_aug.distortions.type_lists import BEYOND as BEYOND  # earlier versions had it here
from dsmix_aug.distortions.type_lists import KADID_10K

#: The distortions of a sample: one, or several in their order; none leaves it pristine.
Applied = DistortionParams | tuple[DistortionParams, ...]


class DistortionBank(Mapping[str, Distortion]):
    """The 25 distortion types x 5 levels of KADID-10k and KADIS-700k, batched, on CPU and CUDA tensors.

    Iterates over its distortions' names; ``bank["jpeg"]`` is a :class:`Distortion`, ``bank["jpeg"](images, level=3)``
    applies only that one. Every (type, level) that changes the image is a class; class 0 is the pristine image.
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
        opinions: Type -> mean opinion of each of its levels, 1 (bad) to 5 (excellent), for types of this bank that
            KADID-10k has no scores for. Takes precedence over the type's own ``opinions``.

    Raises:
        TypeError: If ``distortions``, ``levels`` or ``opinions`` are of another type.
        ValueError: If a name is unknown or given twice, a level does not exist, or an opinion is not in [1, 5].
        RuntimeError: If Pillow was built without the codec of a distortion (``"webp"``, ``"avif"``).

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

        Several distortions on each image, of different families:

        >>> composed = bank.make_composed_params(torch.rand(4, 3, 64, 64), num_distortions=(1, 4))
        >>> bank.apply(torch.rand(4, 3, 64, 64), composed).shape, bank.encode_multi_hot(composed).shape
        (torch.Size([4, 3, 64, 64]), torch.Size([4, 122]))
    """

    def __init__(
        self,
        distortions: Sequence[str | Distortion] | None = None,
        levels: Sequence[int] = (1, 2, 3, 4, 5),
        *,
        pristine: bool = True,
        range_mode: RangeMode = "clip",
        opinions: Mapping[str, Sequence[float]] | None = None,
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
        self._opinions = self._find_opinions({} if opinions is None else opinions)

    def _find_opinions(self, given: Mapping[str, Sequence[float]]) -> dict[str, Opinions]:
        if not isinstance(given, Mapping):
            raise TypeError(f"opinions should map types to one score per level, got {given!r}")
        unknown = [name for name in given if name not in self]
        if unknown:
            raise ValueError(f"opinions: {unknown[0]!r} is not in this bank, expected one of {', '.join(self)}")
        return {name: opinions_of(distortion, given.get(name)) for name, distortion in self.items()}

    def _add(self, given: str | Distortion) -> None:
        if isinstance(given, str):
            if given not in REGISTRY:
                hint = _checks.did_you_mean(given, REGISTRY)
                raise ValueError(f"distortions: {hint}{given!r} is unknown, expected one of {', '.join(REGISTRY)}")
            given = REGISTRY[given](self.range_mode)
        if not isinstance(given, Distortion):
            raise TypeError(f"distortions should hold names or Distortion objects, got {given!r}")
        if not isinstance(getattr(given, "family", None), str):
            raise TypeError(f"distortions: {given.name!r} has no class attribute `family`, such as 'blur' or 'noise'")
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
            hint = _checks.did_you_mean(name, self)
            raise KeyError(f"{hint}{name!r} is not in this bank, expected one of {', '.join(self)}") from None

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
        """``"pristine"`` and the distortions' names, which :attr:`type_index` indexes."""
        return ["pristine", *self]

    @property
    def families(self) -> dict[str, tuple[str, ...]]:
        """The distortions' names by family (``"blur"``, ``"color"``, ...), in the bank's order."""
        names: dict[str, tuple[str, ...]] = {}
        for name, distortion in self.items():
            names[distortion.family] = (*names.get(distortion.family, ()), name)
        return names

    @property
    def type_index(self) -> Tensor:
        """Index into :attr:`type_names` for each label, (num_classes,) int64 on the CPU; 0 is pristine."""
        index = {name: i for i, name in enumerate(self.type_names)}
        return torch.tensor([index[name] for name, _ in self._classes], dtype=torch.int64, device="cpu")

    @property
    def level_index(self) -> Tensor:
        """Level of each label, (num_classes,) int64 on the CPU; 0 is pristine."""
        return torch.tensor([level for _, level in self._classes], dtype=torch.int64, device="cpu")

    @property
    def opinion_scores(self) -> Tensor:
        """Mean opinion of each class, 1 (bad) to 5 (excellent), (num_classes,) float32 on the CPU.

        KADID-10k's observers scored each class on 81 photos of 512x384. The class mean does not look at the photo, yet
        has a rank correlation (SRCC) of 0.942 with the 10,125 single scores. Class 0 has the mean of the four levels
        that change nothing. NaN for a type that KADID-10k did not ask about and that has no ``opinions`` of its own.

        Source: Lin, Hosu, Saupe, QoMEX 2019, from its published scores.

        Example:
            >>> from dsmix_aug import DistortionBank
            >>> bank = DistortionBank()
            >>> scores = bank.opinion_scores[[0, bank.encode("jpeg", 1), bank.encode("jpeg", 5)]]
            >>> [round(score, 2) for score in scores.tolist()]
            [4.6, 4.34, 1.35]
        """
        return self._opinions_by_class(0)

    @property
    def opinion_stds(self) -> Tensor:
        """Spread of each class's scores over the 81 photos, (num_classes,) float32 on the CPU.

        The sample standard deviation, in units of :attr:`opinion_scores`; that of class 0 is of the scores of all four
        levels that change nothing. NaN where KADID-10k's observers were not asked.
        """
        return self._opinions_by_class(1)

    def _opinions_by_class(self, field: int) -> Tensor:
        return torch.tensor(
            [
                self._opinions[name][field][level - 1] if level else pristine_opinion()[field]
                for name, level in self._classes
            ],
            dtype=torch.float32,
            device="cpu",
        )

    def encode(self, type: str, level: int) -> int:
        """Return the label of a type at a level; 0 for a level that changes nothing and for ``("pristine", 0)``.

        Raises:
            ValueError: If the type or the level has no class in this bank.
        """
        if type in self._distortions and level in self[type].identity_levels and level in self.levels:
            type, level = "pristine", 0
        if (type, level) not in self._labels:
            hint = "" if type in self.type_names else _checks.did_you_mean(type, self)
            raise ValueError(
                f"type, level: {hint}({type!r}, {level!r}) has no class in this bank of types "
                f"{', '.join(self.type_names)} and levels {self.levels} (pristine={self.pristine})"
            )
        return self._labels[type, level]

    def decode(self, label: int) -> tuple[str, int]:
        """Return the type and level of a label; ``("pristine", 0)`` for the pristine class.

        Raises:
            TypeError: If the label is not an integer.
            ValueError: If the label is not in [0, num_classes).
        """
        try:
            index = operator.index(label)
        except TypeError:
            raise TypeError(f"label should be an integer, got {label!r}") from None
        if not 0 <= index < self.num_classes:
            raise ValueError(f"label should be in [0, {self.num_classes}), got {label}")
        return self._classes[index]

    def encode_multi_hot(self, params: Sequence[Applied]) -> Tensor:
        """Return the classes of all that samples undergo, (B, num_classes) float32 on the CPU, as BCE losses take them.

        A row has a 1 for each of its distortions, and in column 0 if there is none (or none that changes the image).

        Args:
            params: B entries from :meth:`make_composed_params` or :meth:`make_params`.

        Raises:
            ValueError: If a type or level has no class in this bank, or a sample is pristine but the bank has no such
                class.
        """
        labels = torch.zeros(len(params), self.num_classes, dtype=torch.float32, device="cpu")
        for row, entry in zip(labels, params, strict=True):
            classes = {self.encode(step.type, step.level) for step in steps_of(entry) or (PRISTINE,)}
            if self.pristine and len(classes) > 1:
                classes.discard(0)
            row[list(classes)] = 1
        return labels

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
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor, ``labels`` not integer or not on the CPU, or
                ``generator`` no generator.
            ValueError: If a shape, a pixel value (on CPU tensors) or a label is out of its range, a distortion that may
                be drawn is not defined for the channels or the size of ``images``, or ``generator`` is on another
                device or in a worker may be a copy.
        """
        _checks.check_images(images)
        check_generator(generator)
        batch_size = len(images) if images.ndim == 4 else 1
        if labels is None:
            self._check_image_size(self, images)
            chosen = torch.randint(
                self.num_classes, (batch_size,), generator=generator, dtype=torch.int64, device="cpu"
            ).tolist()
        else:
            chosen = _checks.host_integers("labels", labels, batch_size)
            wrong = [label for label in chosen if not 0 <= label < self.num_classes]
            if wrong:
                raise ValueError(f"labels should be in [0, {self.num_classes}), got {wrong[0]}")
            self._check_image_size({self._classes[label][0] for label in chosen} - {"pristine"}, images)
        drawn = []
        for name, level in (self._classes[label] for label in chosen):
            drawn.append(DistortionParams(name, level, self[name].draw(generator)) if level else PRISTINE)
        return drawn

    def _check_image_size(self, names: Iterable[str], images: Tensor) -> None:
        """Raise ``ValueError`` with the way out if a distortion is not defined for the channels or size of images."""
        for name in names:
            try:
                self[name].check_image_size(images)
            except ValueError as error:
                channels, height, width = images.shape[-3:]
                fits = f"d.min_size <= {min(height, width)}" + (" and not d.needs_color" if channels == 1 else "")
                raise ValueError(
                    f"{error}; a bank of those that take such images: "
                    f"DistortionBank([name for name, d in DistortionBank().items() if {fits}])"
                ) from None

    def make_composed_params(
        self,
        images: Tensor,
        num_distortions: int | tuple[int, int] = (1, 4),
        *,
        level_probabilities: Sequence[float] | None = None,
        generator: torch.Generator | None = None,
    ) -> list[tuple[DistortionParams, ...]]:
        """Draw on the host several distortions for each sample, no two of one family.

        For each sample: how many, the families in the order in which they are applied, and for each family one of its
        distortions and a level that changes the image.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device; only looked at.
            num_distortions: How many, or the least and the most of them, drawn uniformly. A sample of 0 is pristine.
            level_probabilities: How often each of the bank's levels is drawn, relative to each other. Default: equally.
                Levels that leave the image as it is are not drawn, nor types that have no other.
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.

        Returns:
            A tuple of :class:`DistortionParams` for each sample, in the order of application.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor, or another argument is of another type.
            ValueError: If a shape or a pixel value (on CPU tensors) is wrong, a setting is out of its range, a
                distortion of the bank is not defined for the channels or the size of ``images``, or ``generator`` is on
                another device or in a worker may be a copy.

        Example:
            >>> import torch
            >>> bank = DistortionBank(["jpeg", "white_noise"])
            >>> [(first, second)] = bank.make_composed_params(torch.rand(3, 64, 64), num_distortions=2)
            >>> sorted([first.type, second.type])
            ['jpeg', 'white_noise']
        """
        _checks.check_images(images)
        check_generator(generator)
        self._check_image_size(self, images)
        composition = Composition(self, num_distortions, level_probabilities)
        return [composition.draw(generator) for _ in range(len(images) if images.ndim == 4 else 1)]

    def apply(self, images: Tensor, params: Sequence[Applied]) -> Tensor:
        """Distort a batch as drawn; equal arguments give bitwise equal results on the same device.

        A sample's result does not depend on the other samples of its batch. Between the distortions of a composition
        the pixels are clamped but not rounded: they are float32, or float64 if ``images`` are.

        Args:
            images: (B, C, H, W) or (C, H, W), float in [0, 1] or uint8, on any device.
            params: B entries from :meth:`make_params` or :meth:`make_composed_params`.

        Returns:
            A new tensor of the shape, dtype, device and memory format of ``images``.

        Raises:
            TypeError: If ``images`` is not a float or uint8 tensor, or an entry of ``params`` is of another type.
            ValueError: If a shape or a pixel value (on CPU tensors) is wrong, there are not B entries, or an entry has
                an unknown type or level, lacks a draw, or is not defined for the channels or the size of ``images``.
        """
        _checks.check_images(images)
        batch = (images if images.ndim == 4 else images.unsqueeze(0)).detach().as_subclass(Tensor)
        if len(params) != len(batch):
            raise ValueError(f"params should have one entry per sample: expected {len(batch)}, got {len(params)}")
        samples = [steps_of(entry) for entry in params]
        self._check_steps(samples, images)
        length = max(map(len, samples), default=0)
        distorted = batch.clone()
        if length > 1:
            distorted = to_working_dtype(distorted)
        for position in range(length):
            self._apply_step(distorted, [steps[position] if position < len(steps) else PRISTINE for steps in samples])
        if length > 1:
            distorted = from_working_dtype(distorted, batch.dtype)
        return wrap_like(distorted.reshape(images.shape), images)

    def _check_steps(self, samples: Sequence[Sequence[DistortionParams]], images: Tensor) -> None:
        for i, step in ((i, step) for i, steps in enumerate(samples) for step in steps if step != PRISTINE):
            if step.type not in self:
                hint = _checks.did_you_mean(step.type, self)
                raise ValueError(f"params[{i}]: {hint}{step.type!r} is not in this bank")
            highest = len(self[step.type].values)
            if not _checks.is_integer(step.level) or not 1 <= step.level <= highest:
                raise ValueError(f"params[{i}]: {step.type!r} has levels 1 to {highest}, got {step.level!r}")
            try:
                self[step.type].check_image_size(images)
            except ValueError as error:
                raise ValueError(f"params[{i}]: {error}") from None

    def _apply_step(self, images: Tensor, steps: Sequence[DistortionParams]) -> None:
        """Apply to each sample of (B, C, H, W) its step, in place, those of one type together."""
        for name in dict.fromkeys(step.type for step in steps if step.type != "pristine"):
            members = [i for i, step in enumerate(steps) if step.type == name]
            index = to_device(members, images.device)
            levels, draws = [steps[i].level for i in members], [steps[i].draws for i in members]
            try:
                distorted = self[name].distort_batch(images.index_select(0, index), levels, draws)
            except KeyError as error:
                missing = error.args[0] if error.args else None
                incomplete = [i for i in members if missing not in steps[i].draws]
                if missing is None or not incomplete:
                    raise
                raise ValueError(
                    f"params[{incomplete[0]}]: the draws of {name!r} lack {missing!r}; make_params makes them"
                ) from None
            put_samples(images, index, distorted)

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
            generator: A CPU generator to draw from instead of torch's global one. In a ``DataLoader`` worker, a
                :class:`~dsmix_aug.SeededGenerator` that was made there.

        Returns:
            The distorted images, like ``images`` in shape, dtype and device, and their labels, int64 on the same
            device: (B,), or 0-d for a single image.

        Raises:
            TypeError: As :meth:`make_params`.
            ValueError: As :meth:`make_params`.
        """
        params = self.make_params(images, labels, generator=generator)
        applied = to_device([self._labels[entry.type, entry.level] for entry in params], images.device, torch.int64)
        return self.apply(images, params), applied if images.ndim == 4 else applied.squeeze(0)


def _check_levels(levels: object) -> tuple[int, ...]:
    if not isinstance(levels, Sequence) or not all(_checks.is_integer(level) for level in levels):
        raise TypeError(f"levels should be a sequence of integers, got {levels!r}")
    if not levels or min(levels) < 1 or len(set(levels)) != len(levels):
        raise ValueError(f"levels should be different integers from 1, got {levels!r}")
    return tuple(levels)
