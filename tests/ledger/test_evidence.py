"""Certificates, exports and growth: what was issued verifies, and whatever was touched doesn't."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import safehands.ledger as package
from safehands.errors import LedgerBroken
from safehands.ledger import evidence as module
from safehands.ledger.canonical import Json, canonical_json
from safehands.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from safehands.ledger.evidence import (
    DOCUMENT_FIELD,
    FORMAT,
    Evidence,
    body_digest,
    load_document,
    make_document,
    refuse_personal_values,
    verify_document,
    verify_export,
    verify_extension,
)
from safehands.ledger.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root,
)
from safehands.ledger.note import SigningKey, sign

KEY = SigningKey.generate("station.example/ledger")
STRANGER = SigningKey.generate("station.example/ledger")
KIND = "erasure"
BODY: dict[str, Json] = {
    "subjects": 3,
    "rows": {"parcel": 41, "preference": 3},
    "policy": "sha256:" + "13812345678a" * 5 + "ffff",
    "rules": ["retention.parcel", "tombstone"],
    "note": "已删除",
    "proved": True,
}
INDEX = 5

others: st.SearchStrategy[Json] = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 99), st.text(max_size=5), st.just([]), st.just({})
)


def _entry(number: int) -> bytes:
    fields: dict[str, Json] = {"event": "purge", "number": number}
    if number == INDEX:
        fields[DOCUMENT_FIELD] = body_digest(KIND, BODY)
    return canonical_json(fields)


ENTRIES = [_entry(number) for number in range(12)]
LINES = [entry.decode() + "\n" for entry in ENTRIES]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def _note(size: int, key: SigningKey = KEY, leaves: list[bytes] = LEAVES) -> str:
    return sign_checkpoint(Checkpoint(key.name, size, root(leaves[:size])), key)


NOTES = [_note(size) for size in range(13)]


def _made(**other: object) -> dict[str, Json]:
    size = 12
    given_: dict[str, object] = {
        "entry": ENTRIES[INDEX],
        "index": INDEX,
        "checkpoint_note": NOTES[size],
        "proof": inclusion_proof(LEAVES, INDEX, size),
        "key": KEY,
    }
    kind, body = other.pop("kind", KIND), other.pop("body", BODY)
    return make_document(kind, body, **(given_ | other))  # type: ignore[arg-type]


DOCUMENT = _made()


def _resigned(changes: dict[str, object], key: SigningKey = KEY) -> dict[str, object]:
    """The document as the key's owner could forge it: changed, then signed anew."""
    forged = {**DOCUMENT, **changes}
    forged["signature"] = sign(module._signed_text(forged), key)
    return forged


def _refused(call: Callable[[], object], key: str | None = None) -> LedgerBroken:
    with pytest.raises(LedgerBroken) as error:
        call()
    assert key in (None, error.value.key)
    assert error.value.say("zh")
    assert error.value.say("en")
    return error.value


def _places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, item in items:
        yield from _places(item, (*path, name))


def _changed(document: dict[str, Json], path: tuple[str | int, ...], to: Json) -> dict[str, Json]:
    damaged = copy.deepcopy(document)
    inner: object = damaged
    for step in path[:-1]:
        inner = inner[step]  # type: ignore[index]
    inner[path[-1]] = to  # type: ignore[index]
    return damaged


# --- documents


def test_a_document_verifies_with_the_public_key_alone() -> None:
    found = verify_document(DOCUMENT, KEY.verifier)
    assert found == Evidence(
        KIND, BODY, json.loads(ENTRIES[INDEX]), INDEX, Checkpoint(KEY.name, 12, root(LEAVES))
    )


def test_a_document_has_the_layout_of_the_docstring() -> None:
    assert set(DOCUMENT) == {
        "format", "kind", "body", "entry", "index", "checkpoint", "proof", "signature",
    }  # fmt: skip
    assert all(f"\n    {name} " in str(module.__doc__) for name in DOCUMENT)
    assert DOCUMENT["format"] == FORMAT == "safehands-evidence/1"
    assert DOCUMENT["entry"] == ENTRIES[INDEX].decode()


def test_a_document_survives_a_file_and_indentation() -> None:
    for text in (canonical_json(DOCUMENT).decode() + "\n", json.dumps(DOCUMENT, indent=2)):
        assert load_document(text) == DOCUMENT
        verify_document(load_document(text), KEY.verifier)


@settings(max_examples=50)
@given(
    st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 9999) | st.booleans() | st.none()),
    st.integers(1, 40),
    st.data(),
)
def test_any_counts_at_any_place_of_any_ledger(
    body: dict[str, Json], size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    entries = [canonical_json({"n": number}) for number in range(size)]
    entries[index] = canonical_json({DOCUMENT_FIELD: body_digest("receipt", body), "n": index})
    leaves = [leaf_hash(entry) for entry in entries]
    made = make_document(
        "receipt",
        body,
        entry=entries[index],
        index=index,
        checkpoint_note=_note(size, KEY, leaves),
        proof=inclusion_proof(leaves, index, size),
        key=KEY,
    )
    found = verify_document(made, KEY.verifier)
    assert (found.kind, found.body, found.index) == ("receipt", body, index)


@given(st.data())
def test_any_value_put_anywhere_is_refused(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(_places(DOCUMENT))[1:]))
    to = data.draw(others)
    damaged = _changed(DOCUMENT, path, to)
    assume(json.dumps(damaged, sort_keys=True) != json.dumps(DOCUMENT, sort_keys=True))
    _refused(lambda: verify_document(damaged, KEY.verifier))


@given(st.data())
def test_any_changed_character_of_the_file_is_refused(data: st.DataObject) -> None:
    text = canonical_json(DOCUMENT).decode()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    assume(text[at] != other)
    damaged = text[:at] + other + text[at + 1 :]
    _refused(lambda: verify_document(load_document(damaged), KEY.verifier))


@given(st.data())
def test_even_the_signer_cannot_put_any_value_anywhere(data: st.DataObject) -> None:
    # The signature is made anew, so that the checks behind it are the ones that must refuse.
    paths = [path for path in list(_places(DOCUMENT))[1:] if path[0] != "signature"]
    path = data.draw(st.sampled_from(paths))
    to = data.draw(others)
    damaged = _changed(DOCUMENT, path, to)
    assume(json.dumps(damaged, sort_keys=True) != json.dumps(DOCUMENT, sort_keys=True))
    _refused(lambda: verify_document(_resigned({**damaged}), KEY.verifier))


@pytest.mark.parametrize("name", sorted(DOCUMENT))
def test_a_missing_field_is_refused(name: str) -> None:
    damaged = {field: value for field, value in DOCUMENT.items() if field != name}
    key = "ledger.document_format" if name == "format" else "ledger.document_fields"
    _refused(lambda: verify_document(damaged, KEY.verifier), key)


def test_an_added_field_is_refused() -> None:
    error = _refused(
        lambda: verify_document(_resigned({"extra": 1}), KEY.verifier), "ledger.document_fields"
    )
    assert error.params == {"missing": 0, "extra": 1}


def test_another_version_is_refused() -> None:
    later = {**DOCUMENT, "format": "safehands-evidence/2"}
    error = _refused(lambda: verify_document(later, KEY.verifier), "ledger.document_format")
    assert error.params == {"wanted": FORMAT}


def test_another_key_of_the_same_name_is_refused() -> None:
    _refused(lambda: verify_document(DOCUMENT, STRANGER.verifier), "ledger.signature_unknown")
    forged = _resigned({}, STRANGER)
    _refused(lambda: verify_document(forged, KEY.verifier), "ledger.signature_unknown")


def test_a_changed_body_is_refused() -> None:
    more = {**DOCUMENT, "body": {**BODY, "subjects": 4}}
    _refused(lambda: verify_document(more, KEY.verifier), "ledger.document_changed")
    again = _resigned({"body": {**BODY, "subjects": 4}})
    error = _refused(lambda: verify_document(again, KEY.verifier), "ledger.entry_of_another")
    assert error.params == {"index": INDEX}


def test_one_entry_does_not_serve_another_kind() -> None:
    forged = _resigned({"kind": "receipt"})
    _refused(lambda: verify_document(forged, KEY.verifier), "ledger.entry_of_another")


def test_an_entry_that_is_not_in_the_ledger_is_refused() -> None:
    invented = canonical_json({"event": "other", DOCUMENT_FIELD: body_digest(KIND, BODY)}).decode()
    error = _refused(
        lambda: verify_document(_resigned({"entry": invented}), KEY.verifier), "ledger.not_included"
    )
    assert error.params == {"index": INDEX, "size": 12}


def test_a_checkpoint_from_before_the_entry_is_refused() -> None:
    early = _resigned({"checkpoint": NOTES[INDEX], "proof": []})
    error = _refused(lambda: verify_document(early, KEY.verifier), "ledger.index_outside")
    assert error.params == {"index": INDEX, "size": INDEX}


def test_a_checkpoint_of_another_key_is_refused() -> None:
    foreign = _resigned({"checkpoint": _note(12, STRANGER)})
    _refused(lambda: verify_document(foreign, KEY.verifier), "ledger.signature_unknown")


def test_the_signature_of_a_checkpoint_does_not_serve_a_document() -> None:
    forged = {**DOCUMENT, "signature": DOCUMENT["checkpoint"]}
    _refused(lambda: verify_document(forged, KEY.verifier), "ledger.document_changed")


def test_the_signature_of_a_document_does_not_serve_as_a_checkpoint() -> None:
    signature = DOCUMENT["signature"]
    assert isinstance(signature, str)
    _refused(lambda: open_checkpoint(signature, KEY.verifier), "ledger.checkpoint_size")


@pytest.mark.parametrize(
    "proof", [["AB" * 32], ["ab" * 31], ["zz" * 32], [" " + "ab" * 32], [7], "ab"]
)
def test_a_malformed_proof_is_refused(proof: Json) -> None:
    forged = _resigned({"proof": proof})
    error = _refused(lambda: verify_document(forged, KEY.verifier), "ledger.document_field")
    assert error.params == {"field": "proof"}


def test_an_entry_in_another_spelling_is_refused() -> None:
    forged = _resigned({"entry": ENTRIES[INDEX].decode() + " "})
    _refused(lambda: verify_document(forged, KEY.verifier), "ledger.json_spelling")


@pytest.mark.parametrize("text", ["[]", "1", "null", '"x"'])
def test_a_file_that_is_no_object_is_refused(text: str) -> None:
    _refused(lambda: load_document(text), "ledger.document_field")


def test_a_file_with_a_name_twice_is_refused() -> None:
    text = canonical_json(DOCUMENT).decode().replace('"kind":', '"kind":"receipt","kind":')
    _refused(lambda: load_document(text), "ledger.json_twice")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_any_json_is_refused_and_nothing_else_happens(value: Json) -> None:
    _refused(lambda: verify_document({"format": FORMAT, "body": value}, KEY.verifier))
    _refused(lambda: verify_document({**DOCUMENT, "checkpoint": value}, KEY.verifier))


# --- issuing


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"index": 4}, "ledger.not_included"),
        ({"index": 12}, "ledger.index_outside"),
        ({"index": True}, "ledger.document_field"),
        ({"entry": ENTRIES[4]}, "ledger.entry_of_another"),
        ({"entry": b"\xff"}, "ledger.json_malformed"),
        ({"entry": b"[]"}, "ledger.document_field"),
        ({"entry": ENTRIES[INDEX] + b"\n"}, "ledger.json_spelling"),
        ({"checkpoint_note": NOTES[11]}, "ledger.not_included"),
        ({"checkpoint_note": "x"}, "ledger.note_malformed"),
        ({"proof": []}, "ledger.proof_length"),
        ({"key": STRANGER}, "ledger.signature_unknown"),
        ({"kind": "Erasure"}, "ledger.document_field"),
        ({"kind": "7"}, "ledger.document_field"),
        ({"kind": "a\nb"}, "ledger.document_field"),
        ({"body": {**BODY, "share": 0.5}}, "ledger.json_type"),
        ({"body": {}}, "ledger.entry_of_another"),
    ],
)
def test_a_document_that_would_not_verify_is_not_issued(other: dict[str, object], key: str) -> None:
    _refused(lambda: _made(**other), key)


def test_an_issued_document_does_not_change_with_its_source() -> None:
    body = copy.deepcopy(BODY)
    made = _made(body=body)
    body["subjects"] = 4
    rows = body["rows"]
    assert isinstance(rows, dict)
    rows["parcel"] = 0
    verify_document(made, KEY.verifier)


# --- the guard

LOOK_PERSONAL = [
    "13800000000",
    "19912345678",
    "+8613800000000",
    "+86 138 0000 0000",
    "86-13800000000",
    "138-0000-0000",
    "tel:13800000000.",
    "客户13800000000已通知",
    "１３８０００００００００"[:11],
    "x13800000000x",
    "11010519491231002X",
    "11010519491231002x",
    "证件110105199001010015号",
]
LOOK_FINE = [
    "",
    "2026-11-23T20:24:00+08:00",
    "1700000000000",
    "12345678901",
    "1380000000",
    "138000000001",
    "138****0000",
    "sha256:" + "13812345678a" * 5 + "ffff",
    "ab13812345678",
    "0013812345678",
    "aaaaa138-1234-5678-8000-0123456789ab",
    "550e8400-e29b-41d4-a716-a13812345678",
    "550E8400-E29B-41D4-A716-A13812345678",
    "110105199013010015",
    "110105199001320015",
    "1101051990010100150",
]


@pytest.mark.parametrize("text", LOOK_PERSONAL)
@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"a": [{"b": t}]}, lambda t: ["x", [t]]])
def test_what_looks_like_a_persons_number_is_refused_unseen(
    text: str, wrap: Callable[[str], object]
) -> None:
    error = _refused(lambda: refuse_personal_values(wrap(text)), "ledger.personal_value")
    assert not text or text not in f"{error}{error.params}{error!r}"


@pytest.mark.parametrize("text", LOOK_FINE)
def test_counts_times_digests_and_ids_pass(text: str) -> None:
    refuse_personal_values({"a": [text]})


def test_integers_pass_as_the_docstring_says() -> None:
    refuse_personal_values({"bytes": 13_800_000_000})


def test_a_number_as_a_name_is_refused_unseen() -> None:
    error = _refused(
        lambda: refuse_personal_values({"by": {"13800000000": 1}}), "ledger.personal_value"
    )
    assert error.params == {"place": "$.by"}


@given(st.binary(min_size=6, max_size=64))
def test_hex_digests_never_trip_the_guard(data: bytes) -> None:
    text = data.hex()
    assume(any(char in "abcdef" for char in text))
    refuse_personal_values([text, f"sha256:{text}", f"key/{text}.bin"])


@given(st.uuids())
def test_uuids_never_trip_the_guard(value: object) -> None:
    refuse_personal_values([str(value), f"subject {value}"])


def test_neither_body_nor_entry_may_hold_a_number() -> None:
    _refused(lambda: _made(body={**BODY, "to": "13800000000"}), "ledger.personal_value")
    fields: dict[str, Json] = {DOCUMENT_FIELD: body_digest(KIND, BODY), "by": "13800000000"}
    entry = canonical_json(fields)
    _refused(lambda: _made(entry=entry), "ledger.personal_value")


# --- exports


@pytest.mark.parametrize("size", range(13))
def test_an_export_verifies_with_every_earlier_checkpoint(size: int) -> None:
    found = verify_export(LINES[:size], NOTES[size], KEY.verifier, earlier=NOTES[: size + 1])
    assert found == Checkpoint(KEY.name, size, root(LEAVES[:size]))


def test_an_export_is_read_line_by_line_and_its_last_newline_may_miss() -> None:
    verify_export(iter([*LINES[:-1], LINES[-1].rstrip("\n")]), NOTES[12], KEY.verifier)


def test_a_longer_export_is_stopped_at_the_checkpoint() -> None:
    rest = iter(LINES)
    error = _refused(lambda: verify_export(rest, NOTES[3], KEY.verifier), "ledger.export_longer")
    assert error.params == {"size": 3}
    assert len(list(rest)) == len(LINES) - 4


@given(st.integers(0, 11))
def test_a_truncated_export_names_both_counts(have: int) -> None:
    error = _refused(
        lambda: verify_export(LINES[:have], NOTES[12], KEY.verifier), "ledger.export_shorter"
    )
    assert error.params == {"have": have, "size": 12}


@given(st.lists(st.integers(0, 11), min_size=12, max_size=12))
def test_reordered_or_repeated_lines_are_refused(order: list[int]) -> None:
    assume(order != list(range(12)))
    shuffled = [LINES[number] for number in order]
    _refused(lambda: verify_export(shuffled, NOTES[12], KEY.verifier), "ledger.export_changed")


@given(st.data())
def test_any_changed_character_of_an_export_is_refused(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 11))
    at = data.draw(st.integers(0, len(LINES[number]) - 2))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    assume(LINES[number][at] != other)
    damaged = list(LINES)
    damaged[number] = LINES[number][:at] + other + LINES[number][at + 1 :]
    _refused(lambda: verify_export(damaged, NOTES[12], KEY.verifier))


@pytest.mark.parametrize(
    "line", ["", "\n", "{}\n\n", " {}\n", "{}\r\n", "{", "1.5", "[1, 2]", "\ud800"]
)
def test_a_line_that_is_not_canonical_is_named_by_number(line: str) -> None:
    damaged = [*LINES[:4], line, *LINES[5:]]
    error = _refused(lambda: verify_export(damaged, NOTES[12], KEY.verifier), "ledger.export_line")
    assert error.params == {"line": 5}


@given(st.integers(1, 11), st.data())
def test_a_rewritten_past_is_seen_by_an_earlier_checkpoint(old: int, data: st.DataObject) -> None:
    # The key's owner rewrote an entry and signed a fresh checkpoint over the new history.
    at = data.draw(st.integers(0, old - 1))
    lines = list(LINES)
    lines[at] = '{"event":"rewritten"}\n'
    leaves = [leaf_hash(line.rstrip("\n").encode()) for line in lines]
    fresh = _note(12, KEY, leaves)
    verify_export(lines, fresh, KEY.verifier)
    error = _refused(
        lambda: verify_export(lines, fresh, KEY.verifier, earlier=[NOTES[old]]),
        "ledger.not_a_prefix",
    )
    assert error.params == {"old": old, "new": 12}


@given(st.integers(0, 12), st.integers(0, 12))
def test_a_rolled_back_export_is_seen_by_an_earlier_checkpoint(one: int, two: int) -> None:
    old, new = max(one, two), min(one, two)
    assume(old != new)
    verify_export(LINES[:new], NOTES[new], KEY.verifier)
    error = _refused(
        lambda: verify_export(LINES[:new], NOTES[new], KEY.verifier, earlier=[NOTES[old]]),
        "ledger.rolled_back",
    )
    assert error.params == {"old": old, "new": new}


def test_two_earlier_checkpoints_of_one_size_that_differ_are_a_fork() -> None:
    other = _note(4, KEY, list(reversed(LEAVES)))
    error = _refused(
        lambda: verify_export(LINES, NOTES[12], KEY.verifier, earlier=[NOTES[4], other]),
        "ledger.forked",
    )
    assert error.params == {"size": 4}


def test_an_export_needs_the_right_key() -> None:
    _refused(lambda: verify_export(LINES, NOTES[12], STRANGER.verifier), "ledger.signature_unknown")
    foreign = [_note(4, STRANGER)]
    _refused(
        lambda: verify_export(LINES, NOTES[12], KEY.verifier, earlier=foreign),
        "ledger.signature_unknown",
    )


def test_an_empty_ledger_exports_nothing() -> None:
    assert verify_export([], NOTES[0], KEY.verifier).root == EMPTY_ROOT
    _refused(lambda: verify_export(LINES[:1], NOTES[0], KEY.verifier), "ledger.export_longer")


# --- growth


def test_every_growth_verifies() -> None:
    for new in range(13):
        for old in range(new + 1):
            proof = consistency_proof(LEAVES, old, new)
            first, second = verify_extension(NOTES[old], NOTES[new], proof, KEY.verifier)
            assert (first.size, second.size) == (old, new)


def test_a_rolled_back_ledger_names_both_sizes() -> None:
    proof = consistency_proof(LEAVES, 7, 12)
    error = _refused(
        lambda: verify_extension(NOTES[12], NOTES[7], proof, KEY.verifier), "ledger.rolled_back"
    )
    assert error.params == {"old": 12, "new": 7}
    assert "12" in error.say("zh")
    assert "7" in error.say("zh")


@given(st.integers(1, 11), st.data())
def test_a_ledger_cut_and_grown_again_is_no_extension(old: int, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, old - 1))
    regrown = LEAVES[:kept] + [leaf_hash(f"new {n}".encode()) for n in range(12 - kept)]
    proof = consistency_proof(regrown, old, 12)
    error = _refused(
        lambda: verify_extension(NOTES[old], _note(12, KEY, regrown), proof, KEY.verifier),
        "ledger.not_a_prefix",
    )
    assert error.params == {"old": old, "new": 12}


@pytest.mark.parametrize(
    ("old", "new"), [(_note(4, STRANGER), NOTES[12]), (NOTES[4], _note(12, STRANGER))]
)
def test_growth_needs_the_right_key_on_both_sides(old: str, new: str) -> None:
    proof = consistency_proof(LEAVES, 4, 12)
    _refused(lambda: verify_extension(old, new, proof, KEY.verifier), "ledger.signature_unknown")


# --- the package


def test_everything_public_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)
    assert all(hasattr(package, name) for name in package.__all__)


def test_the_package_does_not_pass_on_the_private_key() -> None:
    assert "export_private" not in package.__all__
    assert not hasattr(package, "export_private")


def test_every_message_is_raised_and_every_raised_message_exists() -> None:
    folder = Path(package.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    catalogue = folder.parent / "messages" / "ledger.yaml"
    messages = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    assert set(re.findall(r'"(ledger\.[a-z_]+)"', source)) == set(messages)
