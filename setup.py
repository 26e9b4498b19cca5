"""The metadata is in setup.cfg. Only the long description is made here: a package index shows no relative links."""

import re
from pathlib import Path

from setuptools import setup

readme = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
without_pictures = re.sub(r"!\[[^\]]*\]\((?!https?:)[^)]*\)\n*", "", readme)
without_relative_links = re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", without_pictures)

setup(long_description=without_relative_links, long_description_content_type="text/markdown")
