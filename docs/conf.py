"""Sphinx configuration: Markdown pages, and the API from its docstrings."""

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "AlexNet Rosetta"
author = "the AlexNet Rosetta authors"
project_copyright = "2026, the AlexNet Rosetta authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_math_renderer = "mathml"  # formulas are in the page itself: nothing is fetched
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "The 2012 engine beside a modern port", "page_width": "1080px"}
html_static_path = []
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_rtype = False


def setup(app):
    """Formulas as MathML, which browsers show without a script."""
    app.add_html_math_renderer("mathml", (_formula("inline"), None), (_formula("block"), None))


def _formula(display):
    def visit(translator, node):
        translator.body.append(convert(node.astext(), display=display))
        raise SkipNode

    return visit
