"""The two files of exported weights, by the name of either, of their folder, or of weights that ship."""

from __future__ import annotations

from pathlib import Path

from dsmix_aug.weights import FOLDER

QUALITY_MODEL, ESTIMATOR = "quality_model", "dsm_estimator"


def find_exported(given: str) -> tuple[str, str]:
    """Return what the quality model and the DSM estimator are to be read from, each a name or a path.

    Args:
        given: The name of weights that ship; a folder that holds one ``quality_model-NAME.safetensors``, and perhaps
            ``dsm_estimator-NAME.safetensors``; or the path of one of these files, for that file and its sibling. Any
            other path is a quality model whose estimator is not there.

    Raises:
        FileNotFoundError: If there is no such file, or no quality model in the folder; names what ships.
        ValueError: If the folder holds several quality models.
    """
    shipped = [file.stem.removeprefix(f"{QUALITY_MODEL}-") for file in sorted(FOLDER.glob(f"{QUALITY_MODEL}-*"))]
    if given in shipped:
        return given, given
    path = Path(given)
    if path.is_dir():
        path = _only_model(path)
    elif not path.is_file():
        raise FileNotFoundError(f"there are no weights {given}; give a file, a folder or one of {', '.join(shipped)}")
    for kind in (QUALITY_MODEL, ESTIMATOR):
        if path.name.startswith(f"{kind}-"):
            rest = path.name.removeprefix(kind)
            return str(path.with_name(f"{QUALITY_MODEL}{rest}")), str(path.with_name(f"{ESTIMATOR}{rest}"))
    return str(path), str(path.with_name(f"{ESTIMATOR}-{path.name}"))


def _only_model(folder: Path) -> Path:
    models = sorted(folder.glob(f"{QUALITY_MODEL}-*.safetensors"))
    if not models:
        raise FileNotFoundError(f"{folder} holds no {QUALITY_MODEL}-NAME.safetensors, as export_weights.py writes it")
    if len(models) > 1:
        raise ValueError(f"{folder} holds several weights; give one of {', '.join(map(str, models))}")
    return models[0]
