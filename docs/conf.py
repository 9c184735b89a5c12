"""Sphinx configuration: Markdown pages, and the API from its docstrings."""

project = "AlexNet Rosetta"
author = "the AlexNet Rosetta authors"
project_copyright = "2026, the AlexNet Rosetta authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "The 2012 engine beside a modern port", "page_width": "1080px"}
html_static_path = []
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
