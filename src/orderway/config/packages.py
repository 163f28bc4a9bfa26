"""What the extra ``config`` brings: without it, importing the configuration says how to install it."""

from importlib.util import find_spec

from orderway.errors import ConfigError

for _package in ("pydantic", "yaml"):
    if find_spec(_package) is None:
        raise ConfigError(f"the configuration needs the package {_package}: pip install 'orderway[config]'")
