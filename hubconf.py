"""Entry points of ``torch.hub``: ``torch.hub.load("OWNER/dsmix_aug", "quality_model")``, or ``source="local"``."""

dependencies = ["torch", "torchvision", "numpy", "scipy", "skimage", "cv2", "PIL", "safetensors"]


def quality_model(name="small", device="cpu"):
    """Return a :class:`~dsmix_aug.QualityModel`: images (B, 3, H, W), float in [0, 1] -> scores (B,), higher is better.

    Needs the packages of the extra ``examples`` too; without them the error names what is missing.

    Args:
        name: Weights that ship with the package, or the path of a ``.safetensors`` file.
        device: Where to put the model.
    """
    from dsmix_aug import QualityModel

    return QualityModel.from_pretrained(name, device)


def dsm_estimator(name="small"):
    """Return a :class:`~dsmix_aug.DSMEstimator`: images (B, 3, H, W), float in [0, 1] -> predicted sensitivity maps.

    Args:
        name: Weights that ship with the package, or the path of a ``.safetensors`` file.
    """
    from dsmix_aug import DSMEstimator

    return DSMEstimator.from_pretrained(name)
