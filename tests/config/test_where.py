"""Two URLs name the same database exactly where they lead to the same place."""

from __future__ import annotations

import pytest

from orderway import ConfigError
from orderway.adapters import where_of


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u@/shop?host=/run/production", "postgresql:///run/production/.s.PGSQL.5432/shop"),
        ("postgresql:///shop?host=/run//production/&port=1", "postgresql:///run/production/.s.PGSQL.1/shop"),
        ("postgresql://u:p@%2FRun%2Fa:1/shop", "postgresql:///Run/a/.s.PGSQL.1/shop"),
        ("postgresql://u:p@One:1,two/shop", "postgresql://one:1,two:5432/shop"),
        ("postgresql:///shop?host=one,two&port=1,5432", "postgresql://one:1,two:5432/shop"),
        ("postgresql://u@[::1]/shop", "postgresql://[::1]:5432/shop"),
        ("postgresql:///shop?host=[::1]:5432", "postgresql://[::1]:5432/shop"),
        ("postgresql://a:1/shop?host=b&port=2", "postgresql://a:1/shop"),
        ("postgresql:///shop", "postgresql://localhost:5432/shop"),
        ("postgresql:///shop?port=5433", "postgresql://localhost:5433/shop"),
        ("postgresql:///shop?service=production", "postgresql://service=production/shop"),
        ("postgresql:///shop?service=test&port=5433", "postgresql://service=test:5433/shop"),
        ("postgresql:///shop?service=test&host=a", "postgresql://a:5432/shop"),
        ("mysql://u@h/shop?unix_socket=/run/a.sock", "mysql:///run/a.sock/shop"),
        ("mysql://u@localhost/shop?unix_socket=/run//a.sock", "mysql:///run/a.sock/shop"),
        ("mariadb://u@h/shop?unix_socket=", "mariadb://h:3306/shop"),
    ],
)
def test_it_is_where_the_driver_goes(url: str, where: str) -> None:
    assert where_of(url) == where


def test_the_environment_says_what_the_url_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "/run/test")
    monkeypatch.setenv("PGPORT", "5433")
    assert where_of("postgresql:///shop") == "postgresql:///run/test/.s.PGSQL.5433/shop"
    assert where_of("postgresql://a/shop") == "postgresql://a:5433/shop"
    monkeypatch.setenv("PGPORT", "x")
    with pytest.raises(ConfigError, match=r"hosts or ports that cannot be read: .* PGHOST and PGPORT"):
        where_of("postgresql://a/shop")


@pytest.mark.parametrize(
    "options", ["host=a,,b", "host=::1", "host=a&port=x", "host=a,b&port=1,2,3", "host=a&port=99999"]
)
def test_hosts_and_ports_that_cannot_be_are_told(options: str) -> None:
    with pytest.raises(ConfigError, match=r"host=one,two is allowed with one port for all, or with one for each"):
        where_of(f"postgresql:///shop?{options}")
