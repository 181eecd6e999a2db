"""The names a control plane generates: template hashes and the suffixes of Pods and EndpointSlices.

Real suffixes are random; these are hashes of what the object is for, so that one set of manifests always
gives one set of names. Alphabet and lengths are those of k8s.io/apimachinery (util/rand.SafeEncodeString,
names/generate.go).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and none of 0, 1, 3: no suffix spells a word or misleads the eye."""

SUFFIX_LENGTH = 5
TEMPLATE_HASH_LENGTH = 10
MAX_BASE_LENGTH = 63 - SUFFIX_LENGTH
"""A generated name is cut so that it stays a DNS label with its suffix."""


def encoded_hash(text: str, length: int) -> str:
    """Return a hash of a text, in `length` letters of the alphabet."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)


def generated_name(base: str, seed: str, taken: Container[str]) -> str:
    """Return `base-<5 letters>`, the letters a hash of the seed; if that is taken, the next that is not."""
    attempt = 0
    while True:
        suffix = encoded_hash(f"{seed}#{attempt}", SUFFIX_LENGTH)
        name = f"{base}-"[:MAX_BASE_LENGTH] + suffix
        if name not in taken:
            return name
        attempt += 1
