"""Text that comes from outside, made such that every database can keep it."""

from __future__ import annotations

from hashlib import sha256

__all__ = ["fitting_reference", "storable"]

REFERENCE_CHARACTERS = 128


def storable(text: str, most: int = 500) -> str:
    """The text without what cannot be stored (NUL, lone surrogates), cut to so many characters."""
    return text[:most].replace("\x00", "").encode("utf-8", "replace").decode()


def fitting_reference(reference: str) -> str:
    """A payment's reference, or, where it is too long or cannot be stored, its SHA-256: the money must be kept."""
    if len(reference) <= REFERENCE_CHARACTERS and storable(reference) == reference:
        return reference
    return "sha256:" + sha256(reference.encode("utf-8", "surrogatepass")).hexdigest()
