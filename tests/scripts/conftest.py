"""The scripts are modules beside the checkout's packages, importable from their folder only."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
