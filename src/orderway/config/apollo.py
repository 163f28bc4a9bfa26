"""Apollo as the source, instead of a file: loaded at start, and watched for changes.

The client is papollo: signature, 304, long poll and the local copy are its.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from orderway.config import properties
from orderway.config.given import Given, Problem
from orderway.config.load import settings_of
from orderway.config.secret_url import mask
from orderway.config.settings import Settings
from orderway.errors import ConfigError, Unavailable, UsageError

if TYPE_CHECKING:
    import papollo

__all__ = ["Apollo", "SettingsWatch"]

logger = logging.getLogger("orderway")

OnChange = Callable[[Settings | ConfigError], None]
"""Is told of the new settings; or of what is wrong with them, and then the last good ones stay."""


@dataclass(frozen=True, slots=True)
class Apollo:
    """Where the configuration is: ``load_settings(apollo=Apollo("http://apollo:8080", "shop"))``.

    The access key and what is loaded show in no repr, log or error.

    Args:
        url: of the config service.
        app_id: the application.
        namespaces: which of its namespaces are read; of two that set a key, the later one wins. Those called
            ``order``, ``components`` or ``services`` hold that section of the original's. A name that ends in
            ``.yaml``, ``.yml`` or ``.json`` is a document, any other is properties.
        cluster: of the application.
        secret: the access key, where Apollo demands signatures.
        cache_dir: where the last known configuration is kept, readable for its owner alone, to start while Apollo is
            down; None keeps none.
        answer_within_s: how long Apollo may take to answer.
        ip: of this machine, for releases to a few.
        label: for releases to a few.

    Raises:
        ConfigError: the URL or the names are not of their form, or papollo is not installed.
    """

    url: str = field(repr=False)
    app_id: str
    namespaces: tuple[str, ...] = ("application",)
    cluster: str = "default"
    secret: str | None = field(default=None, repr=False)
    cache_dir: str | os.PathLike[str] | None = None
    answer_within_s: float = 5.0
    ip: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"apollo.url is {mask(self.url)}: http://host:8080 is its form")
        if "@" in self.url:  # the HTTP client logs the URLs that it asks
            raise ConfigError(
                f"apollo.url is {mask(self.url)}: a password has no place in it, an access key is `secret`"
            )
        if not self.app_id or not self.namespaces:
            raise ConfigError("Apollo needs an app_id and at least one namespace")

    def load(self) -> list[tuple[Given, list[Problem]]]:
        """What the namespaces hold, in their order; the last known configuration while Apollo is down.

        Raises:
            ConfigError: Apollo refuses: a wrong access key, or no such namespace.
            Unavailable: Apollo does not answer, and no last known configuration was kept.
        """
        with self._client(watch=False) as client:
            return self._documents(client)

    def watch(self, on_change: OnChange, *, environ: Mapping[str, str] = os.environ, **overrides: Any) -> SettingsWatch:
        """Load the settings, and follow each release; a context manager that has the ``settings``.

        Args:
            on_change: is called in a thread of its own with new settings, within about a second; or with the
                ``ConfigError`` of a release that is wrong, which changes nothing. An App takes its settings when it is
                made: what a change means for it, you decide.
            environ: as for ``load_settings``.
            overrides: as for ``load_settings``.
        """
        return SettingsWatch(self, on_change, environ, overrides)

    def _client(self, *, watch: bool) -> papollo.Apollo:
        try:
            import papollo
        except ModuleNotFoundError as missing:
            raise ConfigError("Apollo needs the package papollo: pip install 'orderway[apollo]'") from missing
        return papollo.Apollo(
            self.url,
            self.app_id,
            cluster=self.cluster,
            secret=self.secret,
            ip=self.ip,
            label=self.label,
            timeout=self.answer_within_s,
            watch=watch,
            cache_dir=self.cache_dir,
        )

    def _documents(self, client: papollo.Apollo) -> list[tuple[Given, list[Problem]]]:
        return [properties.read_namespace(name, self._namespace(client, name)) for name in self.namespaces]

    def _namespace(self, client: papollo.Apollo, name: str) -> Mapping[str, str]:
        import papollo

        try:
            return client.namespace(name)
        except papollo.ApolloError as error:
            status, cause = error.status_code, type(error.__cause__).__name__
        # Raised outside of the handler: the client's own errors may quote what was sent.
        where = f"Apollo at {mask(self.url)}"
        if status in {401, 403}:
            raise ConfigError(
                f"{where} refuses app {self.app_id} (HTTP {status}): its access key is missing or wrong; give it as"
                " `secret`, and check that this machine's clock is right"
            )
        if status == 404:
            raise ConfigError(
                f"{where} has no namespace {name} of app {self.app_id} in cluster {self.cluster} (HTTP 404): correct"
                " the names, or publish it"
            )
        kept = f"none is kept in {Path(self.cache_dir)}" if self.cache_dir else "none is kept, as no cache_dir is given"
        said = f"HTTP {status}" if status else cause
        raise Unavailable(f"{where} gave no configuration for namespace {name} ({said}), and of the last known, {kept}")


class SettingsWatch:
    """The settings as Apollo has them, from ``with`` to the end of its block. Made by ``Apollo.watch``."""

    def __init__(
        self, apollo: Apollo, on_change: OnChange, environ: Mapping[str, str], overrides: Mapping[str, Any]
    ) -> None:
        self._apollo = apollo
        self._on_change = on_change
        self._environ = environ
        self._overrides = overrides
        self._client: papollo.Apollo
        self._settings: Settings | None = None
        self._one_at_a_time = threading.Lock()

    @property
    def settings(self) -> Settings:
        """The last good ones.

        Raises:
            UsageError: outside of ``with``, before there were any.
        """
        if self._settings is None:
            raise UsageError("nothing is watched yet: use `with apollo.watch(...) as watch:`")
        return self._settings

    def __enter__(self) -> Self:
        self._client = self._apollo._client(watch=True)
        try:
            with self._one_at_a_time:
                # Listening begins first: a release between the two would be missed.
                self._client.add_listener(self._changed)
                self._settings = self._load()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _load(self) -> Settings:
        documents = self._apollo._documents(self._client)
        return settings_of(documents, environ=self._environ, overrides=self._overrides)

    def _changed(self, namespace: str, _old: Mapping[str, str], _new: Mapping[str, str]) -> None:
        with self._one_at_a_time:
            if self._settings is None:
                return  # whoever wanted to watch was told why there are none
            try:
                settings = self._load()
            except ConfigError as error:
                logger.error("a release of %s in Apollo is refused, the last good settings stay: %s", namespace, error)
                self._on_change(error)
                return
            if settings.model_dump() != self._settings.model_dump():
                self._settings = settings
                self._on_change(settings)
