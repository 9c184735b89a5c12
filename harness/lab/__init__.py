"""The class: six chapters, each a question or a hidden fault, which a seed makes another for every student."""

from .chapter import CHAPTERS, Chapter, load
from .folder import start
from .grading import answer
from .hidden import Hidden

__all__ = ["CHAPTERS", "Chapter", "Hidden", "answer", "load", "start"]
