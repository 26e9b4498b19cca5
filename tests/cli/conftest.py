"""Photos to give to the command."""

import pytest
from cli_helpers import save_photo


@pytest.fixture
def photos(tmp_path):
    """Return a folder of three photos with awkward names, one of them in a subfolder."""
    folder = tmp_path / "my photos"
    for seed, name in enumerate(("zwölf bäume.png", "-dash\nline.png", "sub folder/<script>.png")):
        save_photo(folder / name, seed)
    return folder
