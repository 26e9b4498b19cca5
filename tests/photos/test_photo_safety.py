"""Files under names of photos that are none: no program is started, no other file is opened, and each is named."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from dsmix_aug.nriqa.datasets.photos import check_photos, list_photos

EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 64 64
%%EndComments
(marker) (w) file dup (hi) writestring closefile
showpage
%%EOF
"""
SVG = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/hostname"/>&x;</svg>"""
WMF = b"\xd7\xcd\xc6\x9a\0\0" + b"\0\0\0\0\x40\0\x40\0\x48\0" + bytes(6) + b"\1\0\x09\0\0\3" + bytes(64)
EMF = b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(64)
FLI = b"\x80\0\0\0\x11\xaf\1\0\x40\0\x40\0\x08\0\3\0\5\0" + bytes(110)
GBR = b"\0\0\0\x1c\0\0\0\2\0\0\0\x08\0\0\0\x08\0\0\0\1GIMP\0\0\0\x0a" + bytes(64)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)  # of MIC and FlashPix
PSD = b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x08\0\0\0\x08\0\x08\0\3" + bytes(400)
XPM = b'/* XPM */\nstatic char *x[] = {\n"2 1 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"ab"\n};\n'
ICO_LIKE_TGA = b"\0\0\1\0\1\0\x20\x20\0\0\1\0\x20\0\x20\0\1\0\x16\0\0\0" + bytes(5000)
OTHERS = {
    "eps": EPS,
    "dos_eps": b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + len(EPS).to_bytes(4, "little") + bytes(20) + EPS,
    "ps": b"%!PS-Adobe-3.0\nshowpage\n",
    "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/Launch/F(sh)>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "svg": SVG,
    "wmf": WMF,
    "emf": EMF,
    "fli": FLI,
    "gbr": GBR,
    "mic": OLE,
    "psd": PSD,
    "xpm": XPM,
    "ico_like_tga": ICO_LIKE_TGA,
    "mvg": b"push graphic-context\nimage over 0,0 0,0 'https://localhost/x|touch marker'\npop graphic-context\n",
    "msl": b'<image><read filename="/etc/hostname"/><write filename="marker"/></image>',
    "html": b"<script>alert(1)</script>",
    "python": b"import os; os.system('touch marker')\n",
    "shell": b"#!/bin/sh\ntouch marker\n",
    "empty": b"",
    "zeros": bytes(4096),
}
#: Formats that Pillow itself writes, and a reader without a list of formats opens.
WRITTEN_BY_PILLOW = (
    "BLP",
    "DDS",
    "DIB",
    "ICNS",
    "ICO",
    "MSP",
    "PCX",
    "PDF",
    "EPS",
    "SGI",
    "SPIDER",
    "TGA",
    "XBM",
)


def make_disguised(folder: Path) -> None:
    for name, content in OTHERS.items():
        (folder / f"{name}.jpg").write_bytes(content)
    for name in WRITTEN_BY_PILLOW:
        mode = {"MSP": "1", "XBM": "1", "SPIDER": "F", "BLP": "P"}.get(name, "RGB")
        file = io.BytesIO()  # by its path, Pillow would take .png for SPIDER's suffix ever after
        Image.new(mode, (32, 32)).save(file, name)
        (folder / f"by_pillow_{name}.png").write_bytes(file.getvalue())


def watch(folder: Path, *options: str) -> dict:
    """Read the folder's files in another process that would find a program called gs; return what it did."""
    programs = folder.parent / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "gs").write_text("#!/bin/sh\ntouch marker\nexit 1\n")
    (programs / "gs").chmod(0o700)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, str(Path(__file__).with_name("watch_reading.py")), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder.parent, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_disguised_files_are_named_and_nothing_is_started(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    make_disguised(folder)
    Image.new("RGB", (9, 5)).save(folder / "good.jpg")
    watched = watch(folder)
    assert watched["outcome"].pop("good.jpg") == "(3, 5, 9)"
    assert set(watched["outcome"]) == {path.name for path in folder.iterdir()} - {"good.jpg"}
    for name, message in watched["outcome"].items():
        assert message.startswith(f"{folder / name} cannot be read: its content cannot be identified"), name
    assert {event for event, _ in watched["events"]} == {"open"}
    assert {Path(path) for _, path in watched["events"]} <= set(folder.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "programs"}


def test_the_watch_sees_what_pillow_starts_by_itself(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(EPS)
    watched = watch(folder, "--without-the-reader")
    assert "subprocess.Popen" in {event for event, _ in watched["events"]}
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", ["eps", "pdf", "svg", "fli"])
def test_disguised_files_are_skipped_by_name(tmp_path, name):
    Image.new("RGB", (9, 5)).save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(OTHERS[name])
    with pytest.warns(UserWarning, match=r"skipped 1 of 2 photos: .*bad\.jpg"):
        good, skipped = check_photos(list_photos(tmp_path))
    assert [path.name for path in good] == ["good.jpg"]
    assert [entry.path.name for entry in skipped] == ["bad.jpg"]


@pytest.mark.parametrize("folder", ["dsmix_aug", "examples"])
def test_nothing_else_opens_images(folder):
    opens = re.compile(r"Image\.open\(|imread|imdecode|read_image\(|decode_image\(|skimage\.io|imageio")
    root = Path(__file__).parents[2]
    found = {path.name for path in (root / folder).rglob("*.py") if opens.search(path.read_text(encoding="utf-8"))}
    # Codecs decode what they have just encoded.
    assert found == ({"reader.py", "compression.py"} if folder == "dsmix_aug" else set())
