"""The command in this process and in one of its own, and photos for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dsmix_aug.cli.main import main


def save_photo(path, seed, width=96, height=72):
    """Write a smooth colour photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    low = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC).save(path)


def read_image(path):
    """Return an image file's pixels, (3, H, W) uint8, decoded by Pillow."""
    with Image.open(path) as file:
        return torch.from_numpy(np.array(file)).permute(2, 0, 1).contiguous()


def run_main(*arguments):
    """Run the command in this process, and return its exit code."""
    return main([str(argument) for argument in arguments])


def start_command(*arguments, **options):
    """Start the command in a process of its own."""
    command = [sys.executable, "-m", "dsmix_aug", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run_command(*arguments, stdin=b""):
    """Run the command in a process of its own, and return its exit code, stdout and stderr."""
    with start_command(*arguments, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(stdin, timeout=300)
    return process.returncode, out.decode(), err.decode()


def read_files(folder, *ignored):
    """Return the bytes of each file below a folder, by its path.

    But for the lock, which names a process, and for files that have a word of ``ignored`` in their name.
    """
    words = (".lock", *ignored)
    files = [path for path in Path(folder).rglob("*") if not any(w in path.name for w in words) and path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
