"""Imports Ryu for tests of its serialisers, without eventlet's patch of the whole test process.

The controller patches sockets and threads first of all; here other tests share the process, and bytes need
neither.
"""

from __future__ import annotations

import logging
import warnings
from unittest import mock

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet says that it is on its way out
    import eventlet

with mock.patch.object(eventlet, "monkey_patch"):
    import controllers.ryu_compat  # noqa: F401 - the mends of Ryu

logging.getLogger("ryu").setLevel(logging.CRITICAL)  # it comments on every TCP option that is cut short
