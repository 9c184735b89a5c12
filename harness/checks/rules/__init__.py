"""The check of acceptance rules: correct variations and known bugs against our own rule and those of others."""

from .arena import check_rules

__all__ = ["check_rules"]
