"""Sphinx configuration: sphinx-build -W --keep-going docs build/docs."""

import sys
from pathlib import Path

import nllkern

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "nllkern"
author = "The nllkern developers"
project_copyright = f"%Y, {author}"
release = version = nllkern.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # the pages need no network
    "matplotlib.sphinxext.plot_directive",
    "loss_pages",
]
exclude_patterns = ["extensions", "plots"]
highlight_language = "none"  # of blocks that do not say; >>> is Python all the same
add_function_parentheses = False  # losses are objects
toc_object_entries = False  # the sections are enough
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj)", ".*")]  # types named in docstrings

autodoc_typehints = "none"
numpydoc_show_class_members = False

plot_formats = [("png", 144)]
plot_html_show_formats = False
plot_html_show_source_link = False

mathjax3_config = {"chtml": {"displayAlign": "left", "displayIndent": "1em"}}

html_theme = "furo"
html_title = f"nllkern {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
html_copy_source = False
