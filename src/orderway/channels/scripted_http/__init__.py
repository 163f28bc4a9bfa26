"""The scripted channel over HTTP: a local server that programs of any kind can be pointed at, and a client for it.

``python -m orderway.channels.scripted_http`` starts the server; ``docs/scripted-channel.md`` shows its endpoints.
"""

from orderway.errors import ConfigError

try:
    from orderway.channels.scripted_http.client import ScriptedHttpChannel
    from orderway.channels.scripted_http.process import ScriptedServer
    from orderway.channels.scripted_http.server import scripted_app
except ModuleNotFoundError as error:
    if (error.name or "").startswith("orderway"):
        raise
    raise ConfigError(
        f"the scripted channel over HTTP needs {error.name}, which is not here: pip install 'orderway[scripted-http]'"
    ) from error

__all__ = ["ScriptedHttpChannel", "ScriptedServer", "scripted_app"]
