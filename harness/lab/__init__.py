"""The class: six chapters, each a question or a hidden fault, which a seed makes another for every student."""

from .chapter import CHAPTERS, Chapter, answer, load, start
from .hidden import Hidden

__all__ = ["CHAPTERS", "Chapter", "Hidden", "answer", "load", "start"]
