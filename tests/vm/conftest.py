from __future__ import annotations

import os

# Virtual machines need more than scripts/setup test brings.
collect_ignore = [] if os.environ.get("RAQIB_TEST_VM") == "1" else ["test_emergency.py"]
