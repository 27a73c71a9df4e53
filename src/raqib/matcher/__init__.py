"""An observation meets the compiled recipes: which of them match, and how often they may say so."""

from raqib.matcher.flows import FlowMatcher
from raqib.matcher.lineage import KnownLineage, Lineage
from raqib.matcher.matcher import Match, Matcher, Prepared, prepare

__all__ = ["FlowMatcher", "KnownLineage", "Lineage", "Match", "Matcher", "Prepared", "prepare"]
