"""README.md and the documentation do what they say: their Python blocks and console lines run, in order, per page.

A page is run in a folder with ``photo.jpg`` and a folder ``photos``, as a reader has them. Python blocks share their
names; one with a caption such as ``train.py`` is a file, which a console line of the page runs. Outputs are compared
where the page shows them.
"""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import skimage.data
import torch
from documented_code import ROOT, Block, blocks_of, commands_of, run_command, run_console, run_python, with_decimals_of
from PIL import Image

pytestmark = pytest.mark.slow

#: Names that a page of reference takes for granted.
IMPORTS = "import math\nimport torch\nfrom torch.utils.data import default_collate\nfrom dsmix_aug import *\n"
BATCH = "bank = DistortionBank()\nimages = photos = torch.rand(4, 3, 64, 64)\nmix = DSMix(num_classes=122)\n"
PHOTOS = """
import pathlib, shutil, skimage.data
from PIL import Image
for name in ("astronaut", "chelsea", "coffee", "rocket"):
    Image.fromarray(getattr(skimage.data, name)()).save(f"photos/{name}.png")
shutil.copy("photos/coffee.png", "coffee.png")
pathlib.Path("photos/notes.jpg").write_text("no photo")
"""
GRANTED = {
    "docs/command_line.rst": PHOTOS,
    "docs/distortions.rst": IMPORTS + BATCH,
    "docs/reproducibility.rst": IMPORTS + BATCH,
    "docs/model_card.rst": "paths = ['photo.jpg']\n",
    "docs/pipeline.rst": "from documented_code import run_command\n"
    "run_command('python examples/nriqa_pipeline.py --preset smoke --name mine --rows dsmix'.split())\n",
}
SLOW = ("docs/pipeline.rst", "docs/guides/your_scores.rst", "docs/guides/torchrun.rst")
SEARCHED = ("resume", "lightning", "citation", "FAQ", "changelog", "contributing", "troubleshooting", "hugging face")
FAQ = ROOT / "docs" / "faq.rst"
PAGES = [
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst")), *sorted((ROOT / "docs/guides").glob("*")))
    if page != FAQ and blocks_of(page)
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photos of three sizes; the scripts of the repository lie where they lie in a clone."""
    (tmp_path / "photos").mkdir()
    for name, width in (("astronaut", 160), ("chelsea", 192), ("coffee", 224)):
        photo = Image.fromarray(getattr(skimage.data, name)()).resize((width, 144))
        photo.save(tmp_path / "photos" / f"{name}.png")
    photo.save(tmp_path / "photo.jpg", quality=95)
    for name in ("examples", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(block: Block, names: dict[str, object], page: Path) -> None:
    if block.language == "console":
        run_console(block)
    elif block.language == "python" and block.caption.endswith(".py"):
        Path(block.caption).write_text(block.code, encoding="utf-8")
    elif block.language == "python":
        run_python(block, names, page)


@pytest.mark.parametrize("page", [pytest.param(p, marks=[pytest.mark.slow] * (p in SLOW)) for p in PAGES])
@pytest.mark.usefixtures("folder")
def test_page_runs_as_written(page: str):
    blocks = blocks_of(ROOT / page)
    names: dict[str, object] = {"__name__": "documentation"}
    exec(GRANTED.get(page, ""), names)
    for block in blocks:
        run(block, names, ROOT / page)
    commands = [command for block in blocks if block.language == "console" for command, _ in commands_of(block.code)]
    files = {block.caption for block in blocks if block.caption.endswith(".py")}
    assert all(any(file in command for command in commands) for file in files), "a file of the page is never run"


def test_readme_labels_are_weights(folder: Path):
    names: dict[str, object] = {}
    for block in blocks_of(ROOT / "README.md"):
        if block.language == "python":
            run_python(block, names, folder)
    assert names["labels"].sum(1).allclose(torch.ones(8))


def questions() -> list[tuple[str, list[Block]]]:
    """Return the sections of the FAQ whose title is a message, with their blocks."""
    text = FAQ.read_text(encoding="utf-8")
    titles = list(re.finditer(r"^``(.+)``\n~~~", text, re.MULTILINE))
    found: list[tuple[str, list[Block]]] = [(title[1], []) for title in titles]
    starts = [text.count("\n", 0, title.start()) for title in titles]
    for block in blocks_of(FAQ):
        section = sum(start < block.line for start in starts) - 1
        if section >= 0:
            found[section][1].append(block)
    return found


@pytest.mark.parametrize(("message", "blocks"), questions(), ids=[title for title, _ in questions()])
def test_message_and_way_out_of_the_faq(message: str, blocks: list[Block], folder: Path):
    """The first block gives the message that is the section's title; those after it run."""
    mistake, *way_out = blocks
    names: dict[str, object] = {"__name__": "documentation"}
    pattern = ".*".join(map(re.escape, message.split("...")))
    if "cuda" in message and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if mistake.language == "console":
        *before, last = (command.split() for command, _ in commands_of(mistake.code))
        assert all(run_command(words)[0] == 0 for words in before)
        code, output = run_command(last)
        assert code == 2
        assert re.search(pattern, output), output
    else:
        with pytest.raises(Exception, match=pattern):
            run_python(mistake, names, FAQ)
    for block in way_out:
        run(block, names, FAQ)


def test_faq_has_messages():
    assert len(questions()) >= 10
    assert all(blocks for _, blocks in questions())


def test_files_that_pages_name_are_there():
    named = re.compile(r"\b(?:tests|dsmix_aug|docs|examples|benchmarks)/[\w/.-]+\.(?:py|csv|rst|ipynb)\b")
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.rst")]
    files = {file for page in pages for file in named.findall(page.read_text(encoding="utf-8"))}
    assert len(files) > 50
    assert not [file for file in sorted(files) if not (ROOT / file).exists()]


@pytest.mark.parametrize("word", SEARCHED)
def test_words_that_people_search_are_there(word: str):
    pages = (*(ROOT / "docs").glob("*.rst"), *(ROOT / "docs/guides").glob("*.rst"))
    assert any(re.search(rf"\b{word}\b", page.read_text(encoding="utf-8"), re.IGNORECASE) for page in pages)


def test_tour_runs_and_is_small(monkeypatch: pytest.MonkeyPatch, folder: Path):
    """Each code cell of the notebook runs after those before it, and the file holds their outputs."""
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    path = ROOT / "examples" / "tour.ipynb"
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    names: dict[str, object] = {"__name__": "tour"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in cells:
            exec("".join(cell["source"]), names)
    kept = "".join("".join(output.get("text", "")) for cell in cells for output in cell["outputs"])
    assert with_decimals_of(kept, printed.getvalue()) == kept
    assert path.stat().st_size <= 300_000
