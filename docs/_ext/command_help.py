"""The directive ``command-help``: what ``dsmix-aug COMMAND --help`` prints."""

import argparse
import os

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dsmix_aug.cli.main import make_parser


class CommandHelp(SphinxDirective):
    """The help of a subcommand, as a console block."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the block."""
        command = self.arguments[0]
        os.environ["COLUMNS"] = "90"  # how wide argparse makes it
        (subparsers,) = (a for a in make_parser()._actions if isinstance(a, argparse._SubParsersAction))
        block = nodes.literal_block("", f"$ dsmix-aug {command} --help\n{subparsers.choices[command].format_help()}")
        block["language"] = "text"
        return [block]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
