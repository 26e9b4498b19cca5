"""A run: its folder, its config, its data, and which of its parts are finished."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.networks.backbones import check_backbone
from dsmix_aug.nriqa.runs.config import Config, Machine, differences
from dsmix_aug.nriqa.datasets import ScoredSet, load_photos, load_scored_set
from dsmix_aug.nriqa.datasets.distorted_photos import make_distorted_photos
from dsmix_aug.nriqa.base.files import read_json, write_json
from dsmix_aug.nriqa.datasets.opinion_photos import OPINIONS_NAME, check_count, make_opinion_photos
from dsmix_aug.nriqa.datasets.photos import Skipped
from dsmix_aug.nriqa.networks.row import Row
from dsmix_aug.nriqa.runs.rows import rows_of
from dsmix_aug.nriqa.networks.teacher import check_teacher

PACKAGES = ("dsmix-aug", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "scikit-image", "pillow")
#: Held-out photos that the stand-in is made of, at most.
STAND_IN_PHOTOS = 24


class Run:
    """One run in one folder, new or resumed.

    A run is started again with the same folder and config: parts that are finished are kept, the part in the middle
    goes on from its last checkpoint, and the numbers come out as if nothing had happened.

    Args:
        folder: The run's folder, made if it is not there.
        config: What decides the numbers.
        machine: Where it runs.

    Raises:
        FileNotFoundError: If data is missing.
        ValueError: If the folder holds a run with another config or other data, or the data is not as expected.
    """

    def __init__(self, folder: Path, config: Config, machine: Machine) -> None:
        self.folder = folder
        self.config = config
        self.device = distributed.start(machine.device)
        self.workers = machine.workers
        self.rows: dict[str, Row] = rows_of(config)
        check_teacher(config.teacher)
        check_backbone(config.backbone)
        self.photos = load_photos(config)
        self._opinion_count = next((check_count(text) for name, text in config.data if name == OPINIONS_NAME), 0)
        self._given_sets = [load_scored_set(name, Path(path)) for name, path in config.data if name != OPINIONS_NAME]
        if distributed.rank() == 0:
            self._claim_folder()
        distributed.wait_for_all()

    @cached_property
    def bank(self) -> DistortionBank:
        """The distortions that pre-training draws from."""
        return DistortionBank()

    @cached_property
    def scored_sets(self) -> list[ScoredSet]:
        """The scored datasets: those of the config, or the stand-in made from held-out photos."""
        config = self.config
        if self._opinion_count:
            folder = self.folder / OPINIONS_NAME
            made = make_opinion_photos(self.photos, folder, config.photo_side, self._opinion_count, config.seed)
            by_name = {scored.name: scored for scored in [*self._given_sets, made]}
            return [by_name[name] for name, _ in config.data]
        if self._given_sets:
            return self._given_sets
        stand_in = make_distorted_photos(
            self.photos.held_out[:STAND_IN_PHOTOS],
            self.folder / "held_out",
            config.photo_side,
            config.held_out_side,
            config.stand_in_levels,
            config.seed,
        )
        return [stand_in]

    @property
    def skipped(self) -> list[Skipped]:
        """All photos that were left out."""
        return [*self.photos.skipped, *(entry for scored in self._given_sets for entry in scored.skipped)]

    def is_finished(self, part: str) -> bool:
        """Tell whether a part, such as ``"pretrain/dsmix"``, was finished by this or an earlier process."""
        return self._marker(part).is_file()

    def seconds(self) -> dict[str, float]:
        """Return how long each finished part took; a part that was interrupted counts from its last start."""
        markers = sorted((self.folder / "finished").glob("*.json"), key=lambda path: path.stat().st_mtime)
        return {marker.stem.replace("-", "/"): read_json(marker)["seconds"] for marker in markers}

    @contextmanager
    def part(self, part: str) -> Iterator[Path]:
        """Give the path of a part's folder, and mark the part as finished when the block ends without an error."""
        started = time.perf_counter()
        folder = self.folder / part
        yield folder
        if distributed.rank() == 0:
            write_json(self._marker(part), {"seconds": round(time.perf_counter() - started, 1)})
            (folder / "checkpoint.pt").unlink(missing_ok=True)
        distributed.wait_for_all()

    def _marker(self, part: str) -> Path:
        return self.folder / "finished" / f"{part.replace('/', '-')}.json"

    def _claim_folder(self) -> None:
        path = self.folder / "config.json"
        content = {
            "config": self.config.to_dict(),
            "data": {
                "photos": self.photos.fingerprint,
                **{scored.name: scored.fingerprint for scored in self._given_sets},
            },
        }
        if path.is_file():
            changed = differences(read_json(path), content)
            if changed:
                raise ValueError(
                    f"{self.folder} holds a run with another config; give this one another name, or delete that "
                    f"folder. What differs: {'; '.join(changed)}"
                )
        else:
            write_json(path, content)
        sessions = self.folder / "sessions.json"
        write_json(sessions, [*(read_json(sessions) if sessions.is_file() else []), _describe_session(self.device)])


def _describe_session(device: str) -> dict[str, Any]:
    """Return what numbers may depend on beside the config, for one start of the run."""
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "processes": distributed.world_size(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _git_commit() -> str | None:
    """Return the commit of the source tree, with ``-dirty`` where files differ from it; None outside of one."""
    folder = Path(__file__).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        tracked = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", __file__], capture_output=True
        )
        if tracked.returncode:  # installed into an environment that lies in some other repository
            return None
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
