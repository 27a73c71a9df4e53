"""The only place that wires stages; starts and stops them in order."""

from raqib.agent.agent import Agent
from raqib.agent.config import Config, load_config
from raqib.agent.library import gather

__all__ = ["Agent", "Config", "gather", "load_config"]
