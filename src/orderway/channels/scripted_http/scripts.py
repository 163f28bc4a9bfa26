"""Behaviours from JSON: ``"never_pays"``, or ``{"does": "pays_later", "after_s": 2, "notices": "doubled"}``.

The name is that of the class in :mod:`orderway.channels.behaviours`, the fields are its own; delays are in seconds and
end in ``_s``. ``notices`` is a list of ``{"after_s": ..., "forged": ...}``, or one of ``lost``, ``once``, ``doubled``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from types import NoneType, UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from orderway.channels.behaviours import DOUBLED, LOST, ONCE, Behaviour, Notice, RefundBehaviour
from orderway.errors import InvalidValue

__all__ = ["as_behaviours", "as_refund_behaviours"]

_NOTICES = {"lost": LOST, "once": ONCE, "doubled": DOUBLED}


def _named(union: UnionType) -> dict[str, type]:
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", each.__name__).lower(): each for each in get_args(union)}


_PAYERS = _named(Behaviour)
_REFUNDS = _named(RefundBehaviour)


def as_behaviours(said: object) -> Behaviour | Sequence[Behaviour]:
    """How a payer behaves, or a list of it, one behaviour an attempt.

    Raises:
        InvalidValue: an unknown name, field or value; the message says which are known.
    """
    return cast("Behaviour | Sequence[Behaviour]", _one_or_many(said, _PAYERS))


def as_refund_behaviours(said: object) -> RefundBehaviour | Sequence[RefundBehaviour]:
    """What becomes of a refund, or a list of it, one behaviour an attempt.

    Raises:
        InvalidValue: as ``as_behaviours``.
    """
    return cast("RefundBehaviour | Sequence[RefundBehaviour]", _one_or_many(said, _REFUNDS))


def _one_or_many(said: object, known: Mapping[str, type]) -> object:
    return [_behaviour(each, known) for each in said] if isinstance(said, list) else _behaviour(said, known)


def _behaviour(said: object, known: Mapping[str, type]) -> object:
    given = {"does": said} if isinstance(said, str) else said
    if not isinstance(given, dict) or given.get("does") not in known:
        raise InvalidValue(f'a behaviour is {{"does": NAME, ...}}, NAME one of {", ".join(known)}; found {said!r}')
    return _filled(known[given["does"]], {name: value for name, value in given.items() if name != "does"})


def _filled(kind: type, given: Mapping[str, object]) -> object:
    """A value of this class from its JSON fields; those that are not given keep their defaults."""
    hints = get_type_hints(kind)
    names = {f"{field.name}_s" if hints[field.name] is timedelta else field.name: field.name for field in fields(kind)}
    if unknown := given.keys() - names.keys():
        raise InvalidValue(f"{kind.__name__} has no {sorted(unknown)}; it has {sorted(names)}")
    try:
        return kind(**{names[name]: _value(name, value, hints[names[name]]) for name, value in given.items()})
    except TypeError as error:
        raise InvalidValue(f"{kind.__name__}: {error}") from None


def _value(name: str, value: object, hint: Any) -> object:
    if hint is timedelta:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
            raise InvalidValue(f"{name} is a number of seconds from 0 to 1e9, not {value!r}")
        return timedelta(seconds=value)
    if name == "notices":
        return _notices(value)
    if name == "pays":
        return _behaviour(value, _named(hint))
    allowed = get_args(hint) if get_origin(hint) is not Literal and get_args(hint) else (hint,)
    if not any(_fits(value, each) for each in allowed):
        raise InvalidValue(f"{name} is to be {hint}, not {value!r}")
    return value


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    return value is None if kind is NoneType else type(value) is kind


def _notices(said: object) -> Sequence[Notice]:
    if isinstance(said, str) and said in _NOTICES:
        return _NOTICES[said]
    if not isinstance(said, list) or not all(isinstance(each, dict) for each in said):
        raise InvalidValue(f'notices are "lost", "once", "doubled", or a list of objects, not {said!r}')
    return [cast(Notice, _filled(Notice, each)) for each in said]
