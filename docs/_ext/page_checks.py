"""Checks of every page that become warnings: pictures without a text alternative, and links that cannot be right.

Whether an address answers is not asked: a build needs no network.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"(https://[a-z0-9.-]+\.[a-z]{2,}(:\d+)?([/#?]\S*)?|mailto:\S+@\S+)")


def check_page(app: Sphinx, page: nodes.document, name: str) -> None:
    """Warn of what a reader would stumble over."""
    for image in page.findall(nodes.image):
        if "alt" not in image:  # an empty one says that the picture repeats what is written beside it
            logger.warning("the picture %s has no text alternative", image["uri"], location=image)
    for link in page.findall(nodes.reference):
        address = link.get("refuri", "")
        if re.match(r"[a-z]+:", address) and not ADDRESS.fullmatch(address):
            logger.warning("the link %s is not a full https address", address, location=link)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have each page checked once its links are known."""
    app.connect("doctree-resolved", check_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
