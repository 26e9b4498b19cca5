"""Reading ahead: the order, what is in memory, errors, and the end before the end."""

import threading
from pathlib import Path

import pytest
import torch

from dsmix_aug.photos.ahead import read_ahead

PATHS = [Path(str(number)) for number in range(12)]


def read(path):
    if int(path.name) % 5 == 3:
        raise OSError(f"{path} cannot be read")
    return torch.tensor(int(path.name))


@pytest.mark.parametrize("threads", [1, 2, 20])
def test_photos_and_errors_come_in_order(threads):
    photos = list(read_ahead(PATHS, read, threads))
    assert [int(photo) if isinstance(photo, torch.Tensor) else str(photo) for photo in photos] == [
        f"{number} cannot be read" if number % 5 == 3 else number for number in range(12)
    ]


def test_no_photos():
    assert list(read_ahead([], read)) == []


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_few_are_read_before_they_are_wanted(threads):
    started = []

    def note(path):
        started.append(path)
        return torch.zeros(1)

    for taken, _ in enumerate(read_ahead(PATHS, note, threads), 1):
        assert len(started) <= taken + threads


def test_the_end_does_not_wait_for_a_photo_that_is_being_read():
    go_on = threading.Event()

    def wait(path):
        if path != PATHS[0]:
            go_on.wait(60)
        return torch.zeros(1)

    photos = read_ahead(PATHS, wait)
    next(photos)
    closing = threading.Thread(target=photos.close)
    closing.start()
    closing.join(20)
    ended = not closing.is_alive()
    go_on.set()
    closing.join()
    assert ended
