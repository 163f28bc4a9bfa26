"""Configuration: one YAML file or Apollo, environment variables and arguments make one immutable ``Settings``.

Needs the extra ``config``: ``pip install 'orderway[config]'``; Apollo needs ``apollo``.
"""

from orderway.config import packages  # first: what the other modules import must be installed
from orderway.config.apollo import Apollo, SettingsWatch
from orderway.config.effective import Effective, effective
from orderway.config.load import load_settings
from orderway.config.secret_url import SecretUrl
from orderway.config.settings import (
    ConnectionSettings,
    QueueSettings,
    RedisSettings,
    Settings,
    WorkerSettings,
)

__all__ = [
    "Apollo",
    "ConnectionSettings",
    "Effective",
    "QueueSettings",
    "RedisSettings",
    "SecretUrl",
    "Settings",
    "SettingsWatch",
    "WorkerSettings",
    "effective",
    "load_settings",
    "packages",
]
