"""Sphinx configuration: Markdown pages and notebooks, which are run, and the API from its docstrings."""

import os
import sysconfig

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

project = "AlexNet Rosetta"
author = "the AlexNet Rosetta authors"
project_copyright = "2026, the AlexNet Rosetta authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_math_renderer = "mathml"  # formulas are in the page itself: nothing is fetched
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["guide.css"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_rtype = False

nb_execution_mode = "force"  # what the pages show is of this very build
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # tables too
os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]  # `rosetta` in cells


def setup(app):
    """Formulas as MathML, which browsers show without a script."""
    app.add_html_math_renderer("mathml", (_formula("inline"), None), (_formula("block"), None))


def _formula(display):
    def visit(translator, node):
        translator.body.append(convert(node.astext(), display=display))
        raise SkipNode

    return visit
