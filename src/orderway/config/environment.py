"""The environment as a source: a variable is named as its key, in capitals, with `__` for the dot."""

from __future__ import annotations

from collections.abc import Mapping

from orderway.config.given import Given, Problem

__all__ = ["PREFIX", "read_environment", "variable_of"]

PREFIX = "ORDERWAY_"
OTHERS = {"ORDERWAY_APP", "ORDERWAY_CONFIG", "ORDERWAY_LISTEN", "ORDERWAY_LONG", "ORDERWAY_SEED", "ORDERWAY_URL"}
"""Variables that are no settings: of the command line, and of the tests."""
_OF_TESTS = PREFIX + "TEST_"


def read_environment(environ: Mapping[str, str], levels: Mapping[str, object]) -> tuple[Given, list[Problem]]:
    """The values of all variables that are meant for Orderway. An empty variable counts as none.

    Args:
        environ: the variables; their values may be secret.
        levels: the names of the sections, to tell a value in the place of one.
    """
    found: dict[str, Given] = {}
    problems: list[Problem] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHERS or variable.startswith(_OF_TESTS):
            continue
        where = f"variable {variable}"
        section, separator, name = variable.removeprefix(PREFIX).lower().partition("__")
        given = Given(environ[variable] or None, where)
        if not separator:
            if section in levels:
                problems.append(Problem(where, f"{section} is a section: set {variable}__... for each of its keys"))
            else:
                found[section] = given
        else:
            inner = found.setdefault(section, Given({}, where))
            if isinstance(inner.value, dict):
                inner.value[name] = given
            else:
                problems.append(Problem(where, f"{section} is no section"))
    return Given(found, "the environment"), problems


def variable_of(key: str) -> str:
    """The variable that sets a key."""
    return PREFIX + key.upper().replace(".", "__")
