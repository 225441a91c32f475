"""Sphinx's configuration; C{make docs} builds the pages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import circustwist

project = "circustwist"
author = "the circustwist authors"
copyright = author
version = release = circustwist.__version__
extensions = ["reference"]
exclude_patterns = ["_build"]
highlight_language = "none"
html_theme = "furo"
html_title = f"circustwist {release}"
