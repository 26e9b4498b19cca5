"""The mean quality of batches of images as a torchmetrics metric: a model's outputs, judged without references."""

import torch
from torch import Tensor
from torchmetrics import Metric

from dsmix_aug import DistortionBank, QualityModel


class PhotoQuality(Metric):
    """Mean score of all images since the last reset; a distributed run sums over its processes."""

    higher_is_better = True
    is_differentiable = True
    full_state_update = False

    def __init__(self, name_or_path: str = "small") -> None:
        super().__init__()
        self.model = QualityModel.from_pretrained(name_or_path)
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, images: Tensor) -> None:
        """Add a batch (B, 3, H, W), float in [0, 1]."""
        scores = self.model(images)
        self.total = self.total + scores.sum()
        self.count = self.count + len(scores)

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.count


if __name__ == "__main__":
    import skimage.data

    photo = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None] / 255
    metric, bank = PhotoQuality(), DistortionBank()
    print(metric.model)
    for level in (1, 3, 5):
        metric.reset()
        for _ in range(2):
            metric.update(bank["jpeg"](photo, level=level))
        print(f"JPEG, level {level}: {metric.compute():.3f} (mean of {metric.count} images)")
