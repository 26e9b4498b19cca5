"""Tensors of every kind for hypothesis, what is expected of calls with them, and a count of the calls.

``DSMIX_FUZZ=100000`` tries so many examples of each property instead of a few dozen; ``make fuzz`` does.
"""

import os
from collections import Counter
from dataclasses import dataclass

import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors

EXAMPLES = int(os.environ.get("DSMIX_FUZZ", "25"))
#: How often each function returned, and how often it refused its arguments.
CALLS: Counter[tuple[str, str]] = Counter()

FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
IMAGE_DTYPES = (*FLOATS, torch.uint8)
OTHER_DTYPES = (
    torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.uint16
)  # fmt: skip
#: Maps from uniform noise in [0, 1] to values that images may have.
GOOD_VALUES = {
    "noise": lambda x: x,
    "zeros": lambda x: x * 0,
    "ones": lambda x: x * 0 + 1,
    "gray": lambda x: x * 0 + 0.5,
    "subnormal": lambda x: x * 1e-42,
    "tiny_span": lambda x: 0.25 + x * 1e-7,
    "near_one": lambda x: 1 - x * 1e-6,
    "two_tones": lambda x: x.round(),
    "dark": lambda x: x / 64,
}
#: To values that they may not have, in every row.
BAD_VALUES = {
    "nan": lambda x: x.masked_fill(x == x.amax(-1, keepdim=True), torch.nan),
    "infinite": lambda x: x.masked_fill(x == x.amax(-1, keepdim=True), torch.inf),
    "negative": lambda x: x.masked_fill(x == x.amin(-1, keepdim=True), -0.1),
    "above": lambda x: x.masked_fill(x == x.amax(-1, keepdim=True), 1.1),
    "levels": lambda x: 2 + x * 253,
}
LAYOUTS = ("contiguous", "channels_last", "transposed", "strided", "offset", "expanded", "negated", "grad", "tv_image")


@dataclass(frozen=True)
class Spec:
    """A tensor to make; a failing example shows this instead of pixels."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    values: str = "noise"
    layout: str = "contiguous"
    seed: int = 0

    @property
    def is_good(self) -> bool:
        """Whether type and values are those of an image; the shape is looked at by :meth:`fits`."""
        has_good_values = self.values in GOOD_VALUES or 0 in self.shape  # without a pixel, none is wrong
        return self.dtype == torch.uint8 or (self.dtype in FLOATS and has_good_values)

    def fits(self, ranks: tuple[int, ...], channels: tuple[int, ...] | None = (1, 3)) -> bool:
        """Whether it is an image of these ranks and channels."""
        shape = self.shape
        if not self.is_good or len(shape) not in ranks or len(shape) < 3 or 0 in shape[-3:]:
            return False
        return channels is None or shape[-3] in channels

    def make(self) -> Tensor:
        noise = torch.rand(self.shape, generator=torch.Generator().manual_seed(self.seed), dtype=torch.float64)
        values = {**GOOD_VALUES, **BAD_VALUES}[self.values](noise) if noise.numel() else noise
        if self.dtype == torch.uint8:
            values = values.nan_to_num().clamp(0, 1).mul(255).round()
        return lay_out(values.to(self.dtype), self.layout)


def lay_out(tensor: Tensor, layout: str) -> Tensor:
    """Return a tensor of the same values, but for ``expanded``, in another layout where it has one."""
    if layout == "channels_last" and tensor.ndim == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "transposed" and tensor.ndim > 1:
        return tensor.mT.contiguous().mT
    if layout == "strided" and tensor.ndim:
        return torch.stack([tensor, tensor], -1).flatten(-2)[..., ::2]
    if layout == "offset" and tensor.ndim:
        return torch.cat([tensor[..., :1], tensor], -1)[..., 1:] if tensor.shape[-1] else tensor
    if layout == "expanded" and tensor.ndim and len(tensor):
        return tensor[:1].expand(tensor.shape)
    if layout == "negated" and tensor.dtype in (torch.float32, torch.float64):
        return torch.complex(torch.zeros_like(tensor), -tensor).conj().imag  # a negation that is still to be done
    if layout == "grad" and tensor.is_floating_point() and tensor.dtype.itemsize > 1:
        return tensor.requires_grad_()
    return tv_tensors.Image(tensor) if layout == "tv_image" and tensor.ndim > 2 else tensor


sides = st.one_of(st.integers(1, 20), st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 64, 65]))
#: Height and width, some of them very long.
sizes = st.one_of(st.tuples(sides, sides), st.sampled_from([(1, 700), (700, 1), (2, 301), (48, 200), (0, 5), (5, 0)]))
seeds = st.integers(0, 2**32 - 1)
channel_counts = st.sampled_from([3, 3, 3, 1, 1, 2, 4, 0])
batch_sizes = st.sampled_from([1, 2, 3, 0, 5])
values = st.one_of(st.sampled_from(list(GOOD_VALUES)), st.sampled_from([*GOOD_VALUES, *BAD_VALUES]))
dtypes = st.one_of(st.sampled_from(IMAGE_DTYPES), st.sampled_from((*IMAGE_DTYPES, *OTHER_DTYPES)))
layouts = st.sampled_from(LAYOUTS)


@st.composite
def shapes(draw, sizes=sizes, channels=channel_counts, batches=batch_sizes):
    """Mostly (B, C, H, W) and (C, H, W); at times another rank."""
    full = (draw(batches), draw(batches), draw(channels), *draw(sizes))
    return full[-draw(st.sampled_from([4, 4, 4, 3, 3, 2, 5])) :]


#: Images, right and wrong ones.
specs = st.builds(Spec, shapes(), dtypes, values, layouts, seeds)


def good_specs(shapes):
    """Images whose type and values are right."""
    return st.builds(Spec, shapes, st.sampled_from(IMAGE_DTYPES), st.sampled_from(list(GOOD_VALUES)), layouts, seeds)


#: What is no tensor at all.
not_tensors = st.sampled_from([None, 1, 0.5, "image", [[0.5]], {}, object(), b"image"])


def fuzz(share: float = 1.0):
    """Settings of a property; ``share``: of the usual number of examples, for a slow one."""
    return settings(
        max_examples=max(1, round(EXAMPLES * share)),
        deadline=None,
        database=None,
        derandomize="DSMIX_FUZZ" not in os.environ,
        suppress_health_check=list(HealthCheck),
    )


def call(name, function, *arguments, expect=None, says=(), draws_first=False, **keywords):
    """Call a function that returns, or raises ``TypeError`` or ``ValueError`` and says which argument is wrong.

    Args:
        name: What the calls are counted under.
        function: What is called.
        *arguments: Its arguments.
        expect: Whether it should return; None if either is right.
        says: Words of which a message has to have one.
        draws_first: Whether it may have drawn before it refuses.
        **keywords: Its arguments by name.

    Returns:
        What it returned; None if it refused.
    """
    state, refusal = torch.get_rng_state(), None
    try:
        result = function(*arguments, **keywords)
    except (TypeError, ValueError) as error:
        result, refusal = None, str(error)
    CALLS[name, "returned" if refusal is None else "refused"] += 1
    if refusal is None:
        assert expect is not False, f"took what it should refuse, and returned {type(result)}"
        return result
    assert expect is not True, f"refused what it should take: {refusal}"
    assert not says or any(word in refusal for word in says), f"names no argument: {refusal}"
    assert draws_first or torch.equal(torch.get_rng_state(), state), f"drew before it refused: {refusal}"
    return None


def plain(tensor: Tensor) -> Tensor:
    return tensor.detach().as_subclass(Tensor)


def same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal bit by bit, but for the sign of zeros and what a NaN holds."""
    first, second = plain(first), plain(second)
    if first.is_floating_point() and first.dtype.itemsize == 1:  # float8 knows no comparison
        first, second = first.float(), second.float()
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and torch.equal(first.nan_to_num(-7), second.nan_to_num(-7))
    )


def check_new_image(result: Tensor, image: Tensor, before: Tensor) -> None:
    """A result is like its input in all but its pixels, which lie in their range; the input is as it was."""
    assert same(image, before)
    assert type(result) is type(image)
    assert (result.shape, result.dtype, result.device) == (image.shape, image.dtype, image.device)
    assert not result.requires_grad
    if result.numel():
        assert plain(result).untyped_storage().data_ptr() != plain(image).untyped_storage().data_ptr()
        assert plain(result).min() >= 0
        assert plain(result).max() <= (255 if result.dtype == torch.uint8 else 1)
