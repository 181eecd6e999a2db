"""Lets these tests import the made-up run, which lives with the report's tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "report_layer"))
