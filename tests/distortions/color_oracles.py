"""sRGB to and from CIE L*a*b* in NumPy, from the definitions: nothing clamped, float64."""

import numpy as np
from skimage.color import colorconv

# The D65 white of MATLAB's rgb2lab, and the chromaticities (x, y) of the sRGB primaries.
WHITE = np.array([0.9504, 1.0, 1.0888])
RED, GREEN, BLUE = (np.array([x, y, 1 - x - y]) for x, y in ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
# The matrix that sends R = G = B = 1 to the white, in units of the white; and the one of scikit-image.
_primaries = np.stack([RED, GREEN, BLUE], axis=1)
RGB_TO_XYZ = np.diag(1 / WHITE) @ _primaries @ np.diag(np.linalg.inv(_primaries) @ WHITE)
SKIMAGE_RGB_TO_XYZ = colorconv.xyz_from_rgb / np.array([0.95047, 1.0, 1.08883])[:, None]


def rgb_to_lab(images: np.ndarray, rgb_to_xyz: np.ndarray = RGB_TO_XYZ) -> np.ndarray:
    """(N, 3, H, W) sRGB in [0, 1] -> (N, 3, H, W) L*a*b*."""
    images = images.astype(np.float64)
    linear = np.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92)
    xyz = np.einsum("ij,njhw->nihw", rgb_to_xyz, linear)
    x, y, z = np.moveaxis(np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), ((29 / 3) ** 3 * xyz + 16) / 116), 1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def lab_to_rgb(lab: np.ndarray, rgb_to_xyz: np.ndarray = RGB_TO_XYZ, clamp_fz: bool = False) -> np.ndarray:
    """(N, 3, H, W) L*a*b* -> (N, 3, H, W) sRGB; ``clamp_fz`` makes the error of scikit-image and kornia."""
    fy = (lab[:, 0] + 16) / 116
    fz = fy - lab[:, 2] / 200
    f = np.stack([fy + lab[:, 1] / 500, fy, np.maximum(fz, 0) if clamp_fz else fz], axis=1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    linear = np.einsum("ij,njhw->nihw", np.linalg.inv(rgb_to_xyz), xyz)
    power_law = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(linear > 0.0031308, power_law, 12.92 * linear)
