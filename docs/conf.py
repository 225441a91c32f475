"""Sphinx's configuration; C{make docs} builds the pages."""

import circustwist

project = "circustwist"
author = "the circustwist authors"
copyright = author
version = release = circustwist.__version__
exclude_patterns = ["_build"]
highlight_language = "none"
html_theme = "alabaster"
