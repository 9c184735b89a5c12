"""The class: six chapters, each a question or a hidden fault, which a seed makes another for every student."""

from .chapter import CHAPTERS, Chapter, Hidden, answer, load, start

__all__ = ["CHAPTERS", "Chapter", "Hidden", "answer", "load", "start"]
