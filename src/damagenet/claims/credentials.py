"""Check C2PA content credentials with `c2pa-python`, offline: who signed what, and does it fit.

A signature that fits proves who signed, not that what was signed is true. Manifests kept
elsewhere, revocation lists and trust lists are not fetched; who is trusted is the caller's choice.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

from damagenet.claims.statements import SOURCE_TYPES, Label, cut

REMEDY = "install damagenet[provenance]"
MAX_STORE = 20_000_000
"""Bytes of a manifest store; larger ones are not checked."""
MAX_REPORT = 4_000_000
"""Characters of what is read out of it."""
TYPES = {
    "JPEG APP11": "image/jpeg",
    "PNG caBX": "image/png",
    "WebP C2PA": "image/webp",
    "HEIF C2PA": "image/heif",
    "TIFF C2PA": "image/tiff",
}
SETTINGS = {
    "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {
        "allowed_network_hosts": [],
        "decode_identity_assertions": False,  # they may ask to look up an identity on the web
        "max_decompressed_manifest_size_in_mb": 32,
    },
}


def check(data: bytes, carrier: str, store: bytes, trust: str | None = None) -> Label:
    """What the content credentials of a file say, and whether their signature fits the file.

    Args:
        data: The whole file.
        carrier: Where the manifest store lies, a key of `TYPES`.
        store: The store's bytes, as they lie in the file.
        trust: Certificates (PEM) of trusted signers.

    Returns:
        'found-valid' when signature and file fit, whoever signed; 'found-invalid' when they do
        not; 'found-malformed' when the store cannot be read; 'present-unverified' when it was
        not checked. `value` holds state ('Trusted', 'Valid', 'Invalid'), signer, signed at,
        generator, actions, digitalSourceType and failures, as far as they are there.
    """
    try:
        import c2pa
    except ImportError:
        return _unread(carrier, store, "present-unverified", f"were not checked: {REMEDY}")
    if len(store) > MAX_STORE:
        return _unread(carrier, store, "present-unverified", "are too large to be checked")
    settings = SETTINGS | ({"trust": {"trust_anchors": trust}} if trust else {})
    try:
        with (
            c2pa.Settings.from_dict(settings) as chosen,
            c2pa.Context(chosen) as context,
            c2pa.Reader(TYPES[carrier], io.BytesIO(data), context=context) as reader,
        ):
            report = reader.json()
        if len(report) > MAX_REPORT:
            return _unread(carrier, store, "present-unverified", "are too large to be checked")
        manifests = json.loads(report)
    except (c2pa.C2paError, ValueError, RecursionError) as error:
        reason = f"cannot be read ({cut(str(error))[:120]})"
        return _unread(carrier, store, "found-malformed", reason)
    return _judged(carrier, manifests)


def elsewhere(address: str) -> Label:
    """A file that points to content credentials kept on a server."""
    finding = "The file points to C2PA content credentials kept elsewhere; they were not fetched."
    value = {"provenance": cut(address)}
    return Label("C2PA", "XMP", "present-unverified", None, finding, value)


def _unread(carrier: str, store: bytes, status: str, reason: str) -> Label:
    value = {"bytes": str(len(store))}
    ai, what = None, "C2PA content credentials are there"
    if re.search(rb"(?i)trainedAlgorithmicMedia", store):
        ai, value["mentions"] = True, "trainedAlgorithmicMedia"
        what = "C2PA content credentials mention generative AI"
    return Label("C2PA", carrier, status, ai, f"{what}; they {reason}.", value)


def _judged(carrier: str, store: dict[str, Any]) -> Label:
    """The label for a manifest store that was read and checked."""
    state = store.get("validation_state") or "Invalid"
    history = list(_history(store))
    active = history[0] if history else {}
    signed = active.get("signature_info") or {}
    said = [_source(uri) for manifest in history for uri in _values(manifest, "digitalsourcetype")]
    known = [SOURCE_TYPES[name] for name in said if name in SOURCE_TYPES]
    ai, meaning = next((k for k in known if k[0]), known[0] if known else (None, ""))
    codes = [str(s.get("code")) for s in store.get("validation_status") or []]
    maker = [str(g.get("name", "")) for g in active.get("claim_generator_info") or []]
    actions = [a for m in history for a in _values(m, "action")]
    signer = cut(str(signed.get("issuer") or signed.get("common_name") or "unnamed"))
    value = {
        "state": state,
        "signer": signer,
        "name": cut(str(signed.get("common_name", ""))),
        "signed at": cut(str(signed.get("time", ""))),
        "generator": cut(", ".join(maker)),
        "actions": cut(", ".join(dict.fromkeys(actions))),
        "digitalSourceType": cut(", ".join(dict.fromkeys(said))),
        "failures": cut(", ".join(dict.fromkeys(codes))),
    }
    statement = f"say that the picture was {meaning}" if meaning else "name no source type"
    trusted = {
        "Trusted": f"The signature fits the file; the signer, {signer[:80]}, is a trusted one.",
        "Valid": f"The signature fits the file, but the signer, {signer[:80]}, is not on a list "
        "of trusted ones: anyone can sign under any name.",
    }.get(state, "Their signature does not fit the file, or has run out: do not rely on them.")
    status = "found-valid" if state in ("Trusted", "Valid") else "found-invalid"
    finding = f"C2PA content credentials {statement}. {trusted}"
    return Label("C2PA", carrier, status, ai, finding, {k: v for k, v in value.items() if v})


def _history(store: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The manifest of the picture, then those of what it was made from, each once.

    Pictures that were only placed in it are left out: they do not speak for the whole.
    """
    manifests, seen = store.get("manifests") or {}, set()
    name = store.get("active_manifest")
    while name in manifests and name not in seen:
        seen.add(name)
        yield manifests[name]
        parts = manifests[name].get("ingredients") or []
        parents = [p.get("active_manifest") for p in parts if p.get("relationship") == "parentOf"]
        name = parents[0] if parents else None


def _values(manifest: dict[str, Any], key: str) -> list[str]:
    """Texts under a key, with any prefix, anywhere in the assertions of a manifest."""
    found, rest = [], [a.get("data") for a in manifest.get("assertions") or []]
    for node in rest:  # which grows on the way
        if isinstance(node, dict):
            names = {k.lower().rsplit(":")[-1]: v for k, v in node.items()}
            found += [names[key]] if isinstance(names.get(key), str) else []
            rest += node.values()
        elif isinstance(node, list):
            rest += node
    return found


def _source(uri: str) -> str:
    return re.split(r"[/#:]", uri.strip().rstrip("/"))[-1].lower()
