"""Lets the sandboxes of these tests find the scenarios, wherever pytest is called from."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent

os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE), os.environ.get("PYTHONPATH"))))
