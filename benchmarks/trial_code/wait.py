"""A trial that only waits: what is left of its second is the orchestrator's."""

import time
from typing import Any


def objective(session: Any) -> float:
    """Sleep for the parameter `seconds`; the loss is another parameter."""
    time.sleep(session.params["seconds"])
    return float(session.params["x"])
