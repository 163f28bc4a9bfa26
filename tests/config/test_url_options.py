"""The options of a database's URL are checked with the configuration: by file and line, without a driver."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orderway import ConfigError
from orderway.adapters import where_of
from orderway.config import load_settings
from orderway.sql.dialects.postgresql.url import read_url

POSTGRESQL = "postgresql://u:s3cr3t@h/x"
NO_FILE = "/no/such.pem cannot be read, a file of PEM is expected .*No such file"

WRONG = [
    (f"{POSTGRESQL}?sslmode=bogus", "sslmode=bogus: disable, allow, prefer, require, verify-ca, verify-full are"),
    (f"{POSTGRESQL}?sslmode=verify_full", "sslmode=verify_full: disable"),
    (f"{POSTGRESQL}?sslmode=", "sslmode has no value"),
    (f"{POSTGRESQL}?sslmode", "its options cannot be read: .name=value&name=value is their form"),
    (
        f"{POSTGRESQL}?sslmod=verify-full",
        "'sslmod' is no option of the URL: sslmode, target_session_attrs, .* are allo",
    ),
    (f"{POSTGRESQL}?work_mem=1GB", "'work_mem' is no option .*any other setting of a session as options="),
    (f"{POSTGRESQL}?dbname=y", "'dbname' is no option"),
    (f"{POSTGRESQL}?target_session_attrs=bogus", "target_session_attrs=bogus: any, primary, read-write"),
    (f"{POSTGRESQL}?sslnegotiation=bogus", "sslnegotiation=bogus: postgres, direct are allowed"),
    (f"{POSTGRESQL}?sslnegotiation=direct", "sslnegotiation=direct needs sslmode=require, verify-ca, verify-full"),
    (f"{POSTGRESQL}?ssl_min_protocol_version=SSLv3", "ssl_min_protocol_version=SSLv3: TLSv1, "),
    (f"{POSTGRESQL}?gsslib=x", "gsslib=x: gssapi, sspi are allowed"),
    (f"{POSTGRESQL}?port=x", "port=x: a number is allowed"),
    (f"{POSTGRESQL}?sslmode=verify-full&sslrootcert=/no/such.pem", f"sslrootcert={NO_FILE}"),
    (f"{POSTGRESQL}?sslmode=require&sslcrl=/no/such.pem", f"sslcrl={NO_FILE}"),
    (f"{POSTGRESQL}?sslcert=/no/such.pem", f"sslcert={NO_FILE}"),
    (f"{POSTGRESQL}?sslmode=allow&sslcert=/no/such.pem", f"sslcert={NO_FILE}"),
    (f"{POSTGRESQL}?sslmode=verify-ca&sslrootcert={__file__}", "sslrootcert=.* cannot be read, a file of PEM"),
    ("mysql://u:s3cr3t@h/x?sssl=true", "'sssl' is no option of the URL: ssl, ssl_ca"),
    ("mariadb://u:s3cr3t@h/x?ssl=maybe", "ssl=maybe: true or false are allowed"),
    ("mysql://u:s3cr3t@h/x?ssl_ca=/no", "ssl_ca cannot be read, .*No such file"),
    ("mysql://u:s3cr3t@h/x?ssl", "its options cannot be read"),
]


@pytest.mark.parametrize(("url", "said"), WRONG)
def test_a_wrong_option_is_told_with_its_line(url: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(f"shards: 4\ndatabases:\n- sqlite:///a.db\n- '{url}'\n")
    with pytest.raises(ConfigError, match=rf"{file} line 4: databases\[1\]: \w+://h:\d+/x: {said}") as caught:
        load_settings(file, environ={})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"{POSTGRESQL}?application_name=a%20shop&options=-c%20work_mem%3D1MB&search_path=own&sslmode=require",
        "postgresql://u:s3cr3t@one:5432,two:5433/x?target_session_attrs=read-write",
        "postgresql:///x?host=/run/postgresql&port=5433&user=u&password=s3cr3t",
        "postgresql://h/x?user=me@server&password=s3cr3t",
        "postgresql://u@h/x?passfile=/run/secrets/pgpass",
        *(
            f"{POSTGRESQL}?sslmode={mode}&sslrootcert=/no/such.pem&sslcrl=/no"
            for mode in ("disable", "allow", "prefer")
        ),
        f"{POSTGRESQL}?sslmode=disable&sslcert=/no/such.pem&sslkey=/no/such.pem",
        f"{POSTGRESQL}?sslrootcert=/no/such.pem",
        f"{POSTGRESQL}?service=tls&sslcert=/no/such.pem",
        "postgresql:///x?host=/run/postgresql&sslcert=/no/such.pem",
        f"{POSTGRESQL}?sslmode=require&sslcert=&sslkey=&sslrootcert=&application_name=&target_session_attrs=&port=",
        "postgresql://[::1]:5433/x?sslmode=verify-full&sslnegotiation=direct&ssl_min_protocol_version=TLSv1.3",
        "postgresql://u:p%40ss%2Fword@h/a%20shop%3A%20100%25%20%40home%2F",
        "mariadb://u:p%40ss@h/na%2Fme?unix_socket=/run/mysqld/mysqld.sock&ssl_verify=false",
        "mysql://h/x?ssl=true",
        "mysql://h/x?ssl=true&",
        "mysql://h/x?&ssl=true&&ssl_verify=false",
        "memory://",
        "sqlite:////var/lib/a@b/orders.db",
        "sqlite:////srv/a:b@c/orders.db",
    ],
)
def test_what_is_right_is_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    where_of(url)
    assert load_settings(environ={}, databases=url).urls == (url,)


def test_a_certificate_and_its_key_must_fit(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    path, key = certificate
    files = f"{POSTGRESQL}?sslmode=verify-full&sslrootcert={path}&sslcert={path}"
    assert read_url(f"{files}&sslkey={key}").options["sslkey"] == str(key)
    other, locked = tmp_path / "other.pem", tmp_path / "locked.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(other), "2048"], check=True, capture_output=True)
    lock = ["openssl", "rsa", "-aes256", "-passout", "pass:s3cr3t", "-in", str(key), "-out", str(locked)]
    subprocess.run(lock, check=True, capture_output=True)
    with pytest.raises(ConfigError, match=rf"sslkey={other} cannot be read"):
        read_url(f"{files}&sslkey={other}")
    with pytest.raises(ConfigError, match=rf"sslkey={locked} cannot be read.*with its sslpassword"):
        read_url(f"{files}&sslkey={locked}")
    assert "s3cr3t" not in repr(read_url(f"{files}&sslkey={locked}&sslpassword=s3cr3t"))


def test_files_are_looked_at_as_the_environment_has_the_driver_read_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ca, key = f"{POSTGRESQL}?sslrootcert=/no/such.pem", f"{POSTGRESQL}?sslmode=require&sslkey=/no/such.pem"
    for name in ("PGSSLMODE", "PGSSLCERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (read_url(ca).files, read_url(key).files) == ([], [])
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with pytest.raises(ConfigError, match=f"sslrootcert={NO_FILE}"):
        read_url(ca)
    monkeypatch.setenv("PGSSLCERT", __file__)
    with pytest.raises(ConfigError, match=f"sslkey={NO_FILE}"):
        read_url(key)
    monkeypatch.delenv("PGSSLCERT")
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "postgresql.crt").touch()
    with pytest.raises(ConfigError, match=f"sslkey={NO_FILE}"):
        read_url(key)


def test_of_an_option_given_twice_the_last_value_counts_that_is_not_empty() -> None:
    assert read_url(f"{POSTGRESQL}?application_name=a&application_name=b&application_name=").options == {
        "application_name": "b"
    }


def test_no_driver_is_needed() -> None:
    program = (
        "import sys; sys.modules['asyncpg'] = sys.modules['asyncmy'] = None\n"
        "from orderway.config import load_settings\n"
        "print(*load_settings(environ={}, databases=['mysql://h/x?ssl=true', 'postgresql://h/x?sslmode=require']).urls)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["mysql://h/x?ssl=true", "postgresql://h/x?sslmode=require"]
