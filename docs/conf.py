"""Sphinx configuration: `make docs` builds the pages into docs/_build/html."""

import sys
from pathlib import Path

import dsmix_aug

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "dsmix-aug"
author = "The dsmix-aug developers"
copyright = "the dsmix-aug developers"
version = release = dsmix_aug.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
    "distortion_tables",
    "command_help",
]
exclude_patterns = ["_build", "gallery", "recipes"]

html_theme = "furo"
html_title = f"dsmix-aug {version}"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}
