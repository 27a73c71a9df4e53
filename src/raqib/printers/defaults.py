"""The printers' settings where nobody has others. Imports no printer: whoever reads a configuration needs none."""

from __future__ import annotations

from pathlib import Path

MAX_WAITING_BYTES = 24 << 20
"""What the events that wait for one printer may take."""

VARLOG_PATH = Path("/var/log/raqib/events.jsonl")
VARLOG_MAX_BYTES = 64 << 20
VARLOG_KEPT = 8
"""So many older files of the event log are kept."""
