"""Read the photos of a folder in a process of its own, and print what it did meanwhile: programs started, files opened.

    python watch_reading.py FOLDER [--without-the-reader]

An audit hook of the interpreter sees both, whatever function does them.
"""

import contextlib
import json
import sys
from pathlib import Path

from PIL import Image

from dsmix_aug.photos.reader import photo_size, read_photo

STARTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)


def main() -> None:
    photos = sorted(Path(sys.argv[1]).iterdir())
    read_all(photos)  # for what is imported at first use
    events: list[tuple[str, str]] = []

    def record(event: str, args: tuple[object, ...]) -> None:
        if event in STARTS or event.startswith("socket.") or (event == "open" and isinstance(args[0], str)):
            events.append((event, str(args[0])))

    sys.addaudithook(record)
    outcome = read_with_pillow(photos) if "--without-the-reader" in sys.argv else read_all(photos)
    print(json.dumps({"outcome": outcome, "events": list(events)}))


def read_all(photos: list[Path]) -> dict[str, str]:
    outcome = {}
    for photo in photos:
        with contextlib.suppress(OSError):
            photo_size(photo)
        try:
            outcome[photo.name] = str(tuple(read_photo(photo).shape))
        except OSError as error:
            outcome[photo.name] = str(error)
    return outcome


def read_with_pillow(photos: list[Path]) -> dict[str, str]:
    for photo in photos:
        try:
            Image.open(photo).load()
        except Exception as error:
            print(error, file=sys.stderr)
    return {}


if __name__ == "__main__":
    main()
