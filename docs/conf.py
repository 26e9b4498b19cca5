"""Sphinx configuration: `make docs` builds the pages into docs/_build/html."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch loads: threads that wait leave cores to others

import dsmix_aug

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "dsmix-aug"
author = "The dsmix-aug developers"
copyright = "the dsmix-aug developers"
version = release = dsmix_aug.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "myst_parser",
    "bars",
    "command_help",
    "distortion_tables",
    "mathml",
    "page_checks",
    "rooms",
]
exclude_patterns = ["_build", "_generated", "gallery", "recipes"]

html_theme = "furo"
html_title = f"dsmix-aug {version}"
html_static_path = ["_static"]
html_css_files = ["dsmix.css"]
html_math_renderer = "mathml"

# Links within the pages have to lead somewhere. A build and its pages need no network, so there are no links into other
# projects' pages, and what signatures say of types is not linked.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(torch|numpy|collections|os|pathlib|dsmix_aug\.nriqa)\..*"),
    (
        "py:class",
        "Backbone|BoxMode|Distortion|DistortionParams|Probe|PartnerMode|Path|RangeMode|Row|Tensor|Weighting",
    ),
    ("py:mod", r"dsmix_aug\.nriqa\..*"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autosummary_generate = False  # its tables only; docs/api.rst says what is documented
napoleon_google_docstring = True
napoleon_numpy_docstring = False
suppress_warnings = ["myst.xref_missing"]  # links of CONTRIBUTING.md to files of the repository

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "within_subsection_order": "gallery_settings.GalleryOrder",
    "reset_modules": ("matplotlib", "gallery_settings.save_whole_pictures"),
    "thumbnail_size": (420, 300),
}
