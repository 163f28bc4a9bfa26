"""Metrics, traces and structured logs. All of it is optional, and the engine knows nothing of it.

``Metrics`` needs the extra ``metrics``, ``Tracing`` the extra ``tracing``; ``JsonLines`` needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from orderway.errors import ConfigError

if TYPE_CHECKING:
    from orderway.observe.alone import DatabaseMetrics
    from orderway.observe.json_lines import JsonLines
    from orderway.observe.metrics import Metrics, metrics_app
    from orderway.observe.tracing import Tracing

__all__ = ["DatabaseMetrics", "JsonLines", "Metrics", "Tracing", "metrics_app"]

_MODULES = {
    "DatabaseMetrics": "alone",
    "JsonLines": "json_lines",
    "Metrics": "metrics",
    "Tracing": "tracing",
    "metrics_app": "metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES[name]
    try:
        return getattr(import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("orderway"):
            raise
        extra = "tracing" if module == "tracing" else "metrics"
        raise ConfigError(
            f"{name} needs the package {missing.name}, which is not here: pip install 'orderway[{extra}]'"
        ) from missing
