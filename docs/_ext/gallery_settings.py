"""Settings of sphinx-gallery that are code: the order of its pages, and how it saves figures."""

from typing import Any

import matplotlib.pyplot as plt

#: From one distortion to a training run.
PAGES = (
    "plot_distortion_grid.py",
    "plot_opinions.py",
    "plot_composed.py",
    "plot_sensitivity_maps.py",
    "plot_dsmix.py",
    "plot_boxes_and_partners.py",
    "plot_data_loader.py",
    "plot_training.py",
    "plot_score_folder.py",
)


class GalleryOrder:
    """A sort key as sphinx-gallery calls it: made with a folder, called with a file's name."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> int:
        """Return the place of a page."""
        return PAGES.index(name)

    def __repr__(self) -> str:
        return type(self).__name__  # without an address, which would make sphinx-gallery's settings new in every build


def save_whole_pictures(gallery_conf: dict[str, Any], page: str) -> None:
    """Save figures with all their labels, also those that reach beyond the edge; called before each page."""
    plt.rcParams["savefig.bbox"] = "tight"
