"""An observation meets the compiled recipes: which of them match, and how often they may say so."""

from raqib.matcher.ancestry import Ancestry, KnownAncestry
from raqib.matcher.flows import FlowMatcher
from raqib.matcher.matcher import Match, Matcher, Prepared, prepare

__all__ = ["Ancestry", "FlowMatcher", "KnownAncestry", "Match", "Matcher", "Prepared", "prepare"]
