"""The command lines: that of Orderway, and each database's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

ORDERWAY = Path(sys.executable).with_name("orderway")


def orderway(*words: str, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as it is installed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERWAY_")}
    done = subprocess.run([ORDERWAY, *words], capture_output=True, text=True, check=False, env=environment, cwd=cwd)
    assert done.returncode == 0 or not check, f"orderway {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done


class Client:
    """The command line client of an empty database.

    Args:
        dialect: of the database.
        url: of the database, as an App takes it.
    """

    def __init__(self, dialect: str, url: str) -> None:
        self.dialect = dialect
        self.url = url

    def run(self, script: str) -> str:
        """Run SQL, stopping at the first error; returns the rows that it prints."""
        command, environment = self._command()
        done = subprocess.run(
            command, input=script, env=os.environ | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _command(self) -> tuple[list[str], dict[str, str]]:
        parts = urlsplit(self.url)
        if self.dialect == "sqlite":
            return ["sqlite3", "-bail", parts.path.removeprefix("/")], {}
        at = ["--host", str(parts.hostname), "--port", str(parts.port), "--user", unquote(parts.username or "")]
        name, password = parts.path.lstrip("/"), unquote(parts.password or "")
        if self.dialect == "postgresql":
            at[4] = "--username"
            quiet = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
            return ["psql", *quiet, *at, "--dbname", name], {"PGPASSWORD": password}
        quiet = ["--no-defaults", "--batch", "--skip-column-names", "--protocol=tcp"]
        return ["mariadb", *quiet, *at, name], {"MYSQL_PWD": password}
