"""Parts of an EfficientNet-Lite for inference: batch norms are folded into convolutions, large maps come in strips."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Bytes of a strip of a block's widest map on the CPU: with what is made of it, it stays in a core's caches. Maps of
#: less than two strips are computed whole.
STRIP_BYTES = 2**21


class FoldedConvolution(nn.Module):
    """A convolution with the batch norm behind it, which pads as TensorFlow's "same" does without copying the image.

    At stride 2, "same" pads sides of even length more at the end. PyTorch's convolutions pad both ends alike, so the
    kernel grows by two, with zeros: at its start for sides of even length, on both sides for others.
    """

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        fused = fuse_conv_bn_eval(convolution, norm)
        self.weight, self.bias = fused.weight, fused.bias
        self.stride, self.groups = fused.stride[0], fused.groups

    def kernel(self, images: Tensor) -> Tensor:
        """Return the kernel for images (B, C, H, W); half of it reaches over each edge."""
        if self.stride == 1:
            return self.weight
        height, width = ((2, 0) if length % 2 == 0 else (1, 1) for length in images.shape[-2:])
        return F.pad(self.weight, (*width, *height)).contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps, (B, C, ceil(H / stride), ceil(W / stride))."""
        kernel = self.kernel(images)
        return F.conv2d(images, kernel, self.bias, self.stride, kernel.shape[-1] // 2, groups=self.groups)


class FoldedBlock(nn.Module):
    """An inverted residual block: convolutions that widen a map, filter it by channel and narrow it.

    The widest maps of a network are those inside its first blocks, 25 MB for an image of 512x512 px. On the CPU, memory
    takes longer for them than arithmetic. So strips of rows go through a block one by one.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        widens = block._block_args.expand_ratio != 1
        self.widen = FoldedConvolution(block._expand_conv, block._bn0) if widens else None
        self.filter = FoldedConvolution(block._depthwise_conv, block._bn1)
        self.narrow = FoldedConvolution(block._project_conv, block._bn2)
        same_width = block._block_args.input_filters == block._block_args.output_filters
        self.adds_input = block.id_skip and self.filter.stride == 1 and same_width
        self.activation = nn.ReLU6(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        """Return the block's map, (B, C, ceil(H / stride), ceil(W / stride))."""
        height = -(-images.shape[2] // self.filter.stride)
        rows = self._rows_of_strip(images)
        if 2 * rows > height:
            wide = self.activation(self.filter(self._widen(images)))
            maps = self.narrow(wide)
        else:
            kernel = self.filter.kernel(images)
            strips = [self._strip(images, kernel, top, min(top + rows, height)) for top in range(0, height, rows)]
            maps = torch.cat(strips, dim=2)
        return maps + images if self.adds_input else maps

    def _widen(self, images: Tensor) -> Tensor:
        return images if self.widen is None else self.activation(self.widen(images))

    def _rows_of_strip(self, images: Tensor) -> int:
        """Return how many rows of the block's map are computed at once."""
        if images.device.type != "cpu" or images.requires_grad or self.widen is None:
            return images.shape[2]  # a gradient needs all of the widest map anyway
        row_bytes = images[:, :1, 0].numel() * self.filter.weight.shape[0] * images.element_size()
        return max(1, STRIP_BYTES // max(1, row_bytes * self.filter.stride))  # a batch may be empty

    def _strip(self, images: Tensor, kernel: Tensor, top: int, bottom: int) -> Tensor:
        """Return the rows of the narrowed map from ``top`` to before ``bottom``."""
        height, stride = images.shape[2], self.filter.stride
        margin = kernel.shape[-1] // 2
        start, end = top * stride - margin, (bottom - 1) * stride + margin + 1
        wide = self._widen(images[:, :, max(start, 0) : end])
        if start < 0 or end > height:
            wide = F.pad(wide, (0, 0, max(-start, 0), max(end - height, 0)))
        filtered = F.conv2d(wide, kernel, self.filter.bias, stride, (0, margin), groups=self.filter.groups)
        return self.narrow(self.activation(filtered))
