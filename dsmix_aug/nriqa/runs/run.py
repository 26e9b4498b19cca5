"""A run in progress: its claim on a folder, its data, and the marks of its finished parts."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dsmix_aug import DistortionBank
from dsmix_aug.nriqa.base import distributed
from dsmix_aug.nriqa.base.files import read_json, remove_half_written, write_json
from dsmix_aug.nriqa.base.lock import lock_folder
from dsmix_aug.nriqa.datasets import ScoredSet, load_photos, load_scored_set
from dsmix_aug.nriqa.datasets.distorted_photos import STAND_IN_NAME, make_distorted_photos
from dsmix_aug.nriqa.datasets.made_sets import MADE_SETS
from dsmix_aug.nriqa.datasets.opinion_photos import check_counts
from dsmix_aug.nriqa.datasets.photos import PhotoSet, Skipped
from dsmix_aug.nriqa.networks.backbones import check_backbone
from dsmix_aug.nriqa.networks.teacher import check_teacher
from dsmix_aug.nriqa.runs.config import Config, Machine, differences
from dsmix_aug.nriqa.runs.folder import FORMAT, RunFolder, read_config
from dsmix_aug.nriqa.runs.names import DSM, PRETRAIN, PROBE, STAGE_NAMES
from dsmix_aug.nriqa.runs.rows import pretrainings_of, rows_of
from dsmix_aug.nriqa.runs.splits import check_splits

PACKAGES = ("dsmix-aug", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "scikit-image", "pillow")
#: Most and fewest held-out photos for the substitute set of scores: one content to train on and one to test on.
STAND_IN_PHOTOS, FEWEST_STAND_IN_PHOTOS = 24, 2


class Run(RunFolder):
    """A run's folder that stages write to, new or resumed.

    A run is started again with the same folder and config: parts that are finished are kept, the part in the middle
    goes on from its last checkpoint, and the numbers are those of an uninterrupted run.

    Args:
        folder: The run's folder, made if it is not there.
        config: What decides the numbers.
        machine: Where it runs.
        stages: The stages that are asked for; the data that they need is read and checked at once, any other when it
            is first used.
        allow_outside: Whether CSV files of scores may list images outside of their folders.

    Raises:
        BlockingIOError: If another process runs in the folder.
        FileNotFoundError: If data is missing.
        ValueError: If the folder holds a run with another config or other data, or the data is not as expected or too
            little.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        machine: Machine,
        stages: Sequence[str] = STAGE_NAMES,
        allow_outside: bool = False,
    ) -> None:
        super().__init__(folder)
        self.config = config
        self.rows = rows_of(config)
        check_teacher(config.teacher)
        check_backbone(config.backbone)
        self.workers = machine.workers
        self._allow_outside = allow_outside
        self.skipped: list[Skipped] = []
        self._fingerprints: dict[str, str] = {}
        self._is_claimed = False
        self._check_config()
        self._check_data_of(stages)
        self.device = distributed.start(machine.device)
        if distributed.rank() == 0:
            self._claim_folder()
        distributed.wait_for_all()
        self._is_claimed = True

    @cached_property
    def bank(self) -> DistortionBank:
        """The distortions that pre-training draws from."""
        return DistortionBank()

    @cached_property
    def photos(self) -> PhotoSet:
        """The pristine photos."""
        photos = load_photos(self.config.photos, self.config.smallest_photo, self.config.held_out_every)
        self._note_data("photos", photos.fingerprint, "give the run another name")
        self.skipped += photos.skipped
        return photos

    @cached_property
    def scored_sets(self) -> list[ScoredSet]:
        """The scored datasets: those of the config, or the stand-in made from held-out photos."""
        if not self.config.data:
            return [self._make_stand_in()]
        return [
            self._make_scored_set(name, source) if name in MADE_SETS else self._given_sets[name]
            for name, source in self.config.data
        ]

    @cached_property
    def _given_sets(self) -> dict[str, ScoredSet]:
        """The datasets that are not made here, by name."""
        given = {
            name: load_scored_set(name, Path(source), self._allow_outside)
            for name, source in self.config.data
            if name not in MADE_SETS
        }
        for scored in given.values():
            check_splits(scored, self.config.split_count, self.config.seed)
            self._note_data(scored.name, scored.fingerprint, "give the run another name")
            self.skipped += scored.skipped
        return given

    @contextmanager
    def part(self, part: str) -> Iterator[Path]:
        """Give the path of a part's folder, and mark the part as finished when the block ends without an error."""
        started = time.perf_counter()
        yield self.folder / part
        if distributed.rank() == 0:
            write_json(self.marker_path(part), {"seconds": round(time.perf_counter() - started, 1)})
            self.checkpoint_path(part).unlink(missing_ok=True)
        distributed.wait_for_all()

    def _check_data_of(self, stages: Sequence[str]) -> None:
        needed = [stage for stage in stages if not self._is_stage_finished(stage)]
        if DSM in needed or PRETRAIN in needed:
            self.photos  # noqa: B018  read and checked
        if PROBE not in needed:
            return
        self._given_sets  # noqa: B018
        if any(name in MADE_SETS for name, _ in self.config.data):
            self.photos  # noqa: B018
        elif not self.config.data and len(self.photos.held_out) < FEWEST_STAND_IN_PHOTOS:
            every = self.config.held_out_every
            needed_photos = every * (FEWEST_STAND_IN_PHOTOS - 1) + 1
            raise ValueError(
                f"photos: without a scored dataset, {FEWEST_STAND_IN_PHOTOS} held-out photos are needed, got "
                f"{len(self.photos.held_out)} of {self.photos.name}; give scores (--data), or at least "
                f"{needed_photos} photos, of which every {every}th is held out"
            )

    def _is_stage_finished(self, stage: str) -> bool:
        parts = [f"{PRETRAIN}/{name}" for name in pretrainings_of(self.config)] if stage == PRETRAIN else [stage]
        return all(map(self.is_finished, parts))

    def _make_stand_in(self) -> ScoredSet:
        config = self.config
        stand_in = make_distorted_photos(
            self.photos.held_out[:STAND_IN_PHOTOS],
            self.held_out_path,
            config.photo_side,
            config.held_out_side,
            config.stand_in_levels,
            config.seed,
        )
        self._note_data(STAND_IN_NAME, stand_in.fingerprint, f"delete {self.held_out_path}, which is then made again")
        return stand_in

    def _make_scored_set(self, name: str, counts: str) -> ScoredSet:
        folder = self.folder / name
        count, held_out = check_counts(name, counts)
        made = MADE_SETS[name](self.photos, folder, self.config.photo_side, count, self.config.data_seed, held_out)
        self._note_data(name, made.fingerprint, f"delete {folder}, which is then made again")
        return made

    def _check_config(self) -> None:
        """Refuse a folder that holds a run with another config."""
        if not self.config_path.is_file():
            return
        before = read_config(self.config_path)
        changed = differences(before.deciding(), self.config.deciding())
        if changed:
            raise ValueError(
                f"{self.folder} holds a run with another config; give this one another name, or delete that folder. "
                f"What differs: {'; '.join(changed)}"
            )
        self._fingerprints = self.fingerprints
        if before.photos != self.config.photos:  # moved: accepted where the contents are the same
            self.photos  # noqa: B018
        if before.data != self.config.data:
            self._given_sets  # noqa: B018

    def _note_data(self, name: str, fingerprint: str, way_out: str) -> None:
        """Refuse data that has changed since the run first used it; note it where this is the first time."""
        known = self._fingerprints.setdefault(name, fingerprint)
        if known != fingerprint:
            raise ValueError(
                f"{self.folder} was started with other data; {way_out}. What differs: data.{name}: {known!r} before, "
                f"{fingerprint!r} now"
            )
        if self._is_claimed and distributed.rank() == 0:
            self._write_config()

    def _write_config(self) -> None:
        content = {"format": FORMAT, "config": self.config.to_dict(), "data": self._fingerprints}
        write_json(self.config_path, content)

    def _claim_folder(self) -> None:
        self._lock = lock_folder(self.folder)  # given up with this object
        remove_half_written(self.folder)
        self._write_config()
        sessions = read_json(self.sessions_path) if self.sessions_path.is_file() else []
        write_json(self.sessions_path, [*sessions, _describe_session(self.device)])


def _describe_session(device: str) -> dict[str, Any]:
    """Return versions and hardware of one start of the run."""
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
