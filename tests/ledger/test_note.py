"""Signed notes: byte for byte what other implementations write, and refusal of all else.

The Peter Neumann key pair, text and signature are the published test vector of Go's
``golang.org/x/mod/sumdb/note``, the first implementation of the format.
"""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given
from hypothesis import strategies as st

from safehands.errors import KeyProblem, LedgerBroken
from safehands.ledger import note as module
from safehands.ledger.note import (
    SigningKey,
    VerifierKey,
    export_private,
    import_private,
    open_note,
    sign,
)

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
OTHER_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SIGNATURE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
OTHER_SIGNATURE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWL"
    "ox33WWd1RvMc+QQ=\n"
)
NOTE = f"{TEXT}\n{SIGNATURE}"

KEY = import_private(SKEY)
VERIFIER = VerifierKey.parse(VKEY)
OTHER = VerifierKey.parse(OTHER_VKEY)

characters = st.characters(exclude_categories=["Cs", "Cc"])
lines = st.text(characters, max_size=20)
texts = st.lists(lines, min_size=1, max_size=6).map(lambda items: "".join(f"{i}\n" for i in items))
names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+"), min_size=1
)


def _seed() -> bytes:
    return base64.b64decode(SKEY.split("+", 4)[4])[1:]


def _refused(call: Callable[[], object], key: str | None = None) -> LedgerBroken:
    with pytest.raises(LedgerBroken) as error:
        call()
    assert key is None or error.value.key == key
    assert error.value.say("zh")
    assert error.value.say("en")
    return error.value


# --- known answers


def test_signing_gives_the_published_note() -> None:
    assert sign(TEXT, KEY) == NOTE


def test_the_published_notes_open() -> None:
    assert open_note(NOTE, [VERIFIER]) == TEXT
    assert open_note(f"{TEXT}\n{OTHER_SIGNATURE}", [OTHER]) == TEXT
    assert open_note(f"{TEXT}\n{SIGNATURE}{OTHER_SIGNATURE}", [VERIFIER, OTHER]) == TEXT


def test_the_published_keys_read_and_write() -> None:
    assert str(VERIFIER) == str(KEY.verifier) == VKEY
    assert (VERIFIER.name, VERIFIER.key_id) == ("PeterNeumann", "c74f20a3")
    assert export_private(KEY) == SKEY


# --- round trips


@given(texts)
def test_any_text_comes_back(text: str) -> None:
    assert open_note(sign(text, KEY), [VERIFIER]) == text


@given(names, st.binary(min_size=32, max_size=32))
def test_any_key_comes_back(name: str, seed: bytes) -> None:
    key = SigningKey(name, Ed25519PrivateKey.from_private_bytes(seed))
    assert VerifierKey.parse(str(key.verifier)) == key.verifier
    again = import_private(export_private(key))
    assert again.verifier == key.verifier
    assert open_note(sign("x\n", again), [key.verifier]) == "x\n"


def test_generated_keys_differ() -> None:
    one, two = SigningKey.generate("a.example"), SigningKey.generate("a.example")
    assert one.verifier != two.verifier
    assert (one.name, one.key_id) == ("a.example", one.verifier.key_id)


# --- refusal of notes


@given(st.integers(0, len(NOTE) - 1), characters)
def test_any_changed_character_is_refused(at: int, other: str) -> None:
    assume(NOTE[at] != other)
    _refused(lambda: open_note(NOTE[:at] + other + NOTE[at + 1 :], [VERIFIER]))


@given(st.integers(0, len(NOTE) - 1))
def test_any_cut_is_refused(at: int) -> None:
    _refused(lambda: open_note(NOTE[:at], [VERIFIER]))


@given(st.integers(0, len(NOTE)), st.text(min_size=1, max_size=3))
def test_any_insertion_is_refused(at: int, more: str) -> None:
    _refused(lambda: open_note(NOTE[:at] + more + NOTE[at:], [VERIFIER]))


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    _refused(lambda: open_note(text, [VERIFIER]))


@pytest.mark.parametrize(
    ("note", "line"),
    [
        (TEXT, 3),
        (f"{TEXT}\n{SIGNATURE[:-1]}", 4),
        (f"\x01{NOTE}", 1),
        (NOTE.replace("\n", "\r\n"), 1),
        (f"a\n\tb\n\n{SIGNATURE}", 2),
        (f"\ud800{NOTE}", 1),
        (f"{TEXT}\n— Peter Neumann {SIGNATURE[15:]}", 4),
        (f"{TEXT}\n{SIGNATURE}Unexpected.\n", 5),
        (f"{TEXT}\n-{SIGNATURE[1:]}", 4),
        (f"{TEXT}\n{SIGNATURE[2:]}", 4),
        (f"{TEXT}\n{SIGNATURE}— other.example AAAAAA==\n", 5),
        (f"{TEXT}\n{SIGNATURE}— o+r AAAAAAAA\n", 5),
    ],
)
def test_malformed_notes_name_the_line(note: str, line: int) -> None:
    error = _refused(lambda: open_note(note, [VERIFIER]), "ledger.note_malformed")
    assert error.params == {"line": line}


def test_two_spellings_of_one_signature_are_not_both_good() -> None:
    # 68 bytes end in one '=': the last letter has two bits that decode to nothing.
    other = SIGNATURE.replace("nAM=", "nAN=")
    body, again = SIGNATURE.split()[2], other.split()[2]
    assert base64.b64decode(body) == base64.b64decode(again)
    _refused(lambda: open_note(f"{TEXT}\n{other}", [VERIFIER]), "ledger.note_malformed")


def test_unknown_signatures_alone_are_refused_without_their_names() -> None:
    error = _refused(lambda: open_note(NOTE, [OTHER]), "ledger.signature_unknown")
    assert error.params == {"have": 1, "wanted": "EnochRoot+af0cfe78"}
    _refused(lambda: open_note(NOTE, []), "ledger.signature_unknown")


def test_unknown_signatures_beside_a_known_one_are_ignored() -> None:
    assert open_note(f"{TEXT}\n{OTHER_SIGNATURE}{OTHER_SIGNATURE}{SIGNATURE}", [VERIFIER]) == TEXT
    strange = "— later.example/pq " + base64.b64encode(b"\x01" * 3000).decode() + "\n"
    assert open_note(NOTE + strange, [VERIFIER]) == TEXT


def test_a_wrong_known_signature_spoils_a_good_one() -> None:
    error = _refused(
        lambda: open_note(f"Other.\n\n{SIGNATURE}", [VERIFIER]), "ledger.signature_wrong"
    )
    assert error.params == {"name": "PeterNeumann", "key_id": "c74f20a3"}
    key = SigningKey.generate("b.example")
    mixed = sign("Other.\n", key) + SIGNATURE
    assert open_note(mixed, [key.verifier]) == "Other.\n"
    _refused(lambda: open_note(mixed, [key.verifier, VERIFIER]), "ledger.signature_wrong")


@pytest.mark.parametrize("length", [5, 67, 69])
def test_a_known_signature_of_another_length_is_wrong(length: int) -> None:
    body = (base64.b64decode(SIGNATURE.split()[2]) + b"\x00")[:length]
    line = f"— PeterNeumann {base64.b64encode(body).decode()}\n"
    _refused(lambda: open_note(f"{TEXT}\n{line}", [VERIFIER]), "ledger.signature_wrong")


def test_a_known_signature_twice_is_refused() -> None:
    _refused(lambda: open_note(NOTE + SIGNATURE, [VERIFIER]), "ledger.signature_twice")


def test_the_name_is_part_of_the_key() -> None:
    renamed = VerifierKey("CarmenSandiego", VERIFIER.public)
    _refused(lambda: open_note(NOTE, [renamed]), "ledger.signature_unknown")
    line = SIGNATURE.replace("PeterNeumann", "CarmenSandiego")
    _refused(lambda: open_note(f"{TEXT}\n{line}", [renamed]), "ledger.signature_unknown")


def test_the_same_verifier_twice_is_one_verifier() -> None:
    assert open_note(NOTE, [VERIFIER, OTHER, VERIFIER]) == TEXT


def test_two_keys_of_one_name_and_id_are_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VerifierKey, "key_id", "c74f20a3")
    twin = VerifierKey("PeterNeumann", OTHER.public)
    _refused(lambda: open_note(NOTE, [VERIFIER, twin]), "ledger.verifier_ambiguous")


def test_size_and_number_of_signatures_are_bounded() -> None:
    many = "".join(f"— w{number}.example AAAAAAAA\n" for number in range(99))
    assert open_note(NOTE + many, [VERIFIER]) == TEXT
    _refused(
        lambda: open_note(NOTE + many + "— w.example AAAAAAAA\n", [VERIFIER]),
        "ledger.signature_count",
    )
    _refused(lambda: open_note(f"{TEXT}\n\n", [VERIFIER]), "ledger.signature_count")
    _refused(lambda: open_note("x" * 1_000_001, [VERIFIER]), "ledger.note_too_long")


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "cr\r\n", "null\x00\n", "\ud800\n"])
def test_what_cannot_be_a_note_is_not_signed(text: str) -> None:
    _refused(lambda: sign(text, KEY), "ledger.note_malformed")


def test_a_text_that_imitates_a_signature_stays_text() -> None:
    text = f"{TEXT}\n{SIGNATURE}"
    key = SigningKey.generate("b.example")
    assert open_note(sign(text, key), [key.verifier]) == text
    _refused(lambda: open_note(sign(text, key), [VERIFIER]), "ledger.signature_unknown")


# --- keys


@given(st.integers(0, len(VKEY) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_any_changed_character_of_a_public_key_is_refused(at: int, other: str) -> None:
    assume(VKEY[at] != other)
    with pytest.raises(KeyProblem) as error:
        VerifierKey.parse(VKEY[:at] + other + VKEY[at + 1 :])
    assert error.value.key == "ledger.verifier_key_malformed"


@given(st.integers(0, len(SKEY) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_any_changed_character_of_a_private_key_is_refused(at: int, other: str) -> None:
    assume(SKEY[at] != other)
    with pytest.raises(KeyProblem) as error:
        import_private(SKEY[:at] + other + SKEY[at + 1 :])
    assert error.value.key == "ledger.signing_key_malformed"


@given(st.integers(0, len(VKEY)), st.integers(0, len(VKEY)))
def test_any_part_of_a_public_key_is_refused(start: int, end: int) -> None:
    assume((start, end) != (0, len(VKEY)))
    with pytest.raises(KeyProblem):
        VerifierKey.parse(VKEY[start:end])


@pytest.mark.parametrize(
    "text",
    [
        # A key of another length and one of another algorithm, both with the fitting id.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        VKEY + "\n",
        VKEY.upper(),
        VKEY.replace("c74f20a3", "C74F20A3"),
        SKEY,
    ],
)
def test_other_public_keys_are_refused(text: str) -> None:
    with pytest.raises(KeyProblem):
        VerifierKey.parse(text)


@pytest.mark.parametrize("head", [b"\x00", b"\x02", b"\x04", b"\xff"])
def test_keys_of_another_algorithm_are_refused_even_with_this_ones_id(head: bytes) -> None:
    public = base64.b64encode(head + VERIFIER.public).decode()
    with pytest.raises(KeyProblem) as error:
        VerifierKey.parse(f"PeterNeumann+c74f20a3+{public}")
    assert error.value.key == "ledger.verifier_key_malformed"
    private = base64.b64encode(head + _seed()).decode()
    with pytest.raises(KeyProblem) as error:
        import_private(f"PRIVATE+KEY+PeterNeumann+c74f20a3+{private}")
    assert error.value.key == "ledger.signing_key_malformed"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_of_another_length_are_refused(length: int) -> None:
    body = base64.b64encode(b"\x01" + (_seed() + _seed())[:length]).decode()
    with pytest.raises(KeyProblem):
        VerifierKey.parse(f"PeterNeumann+c74f20a3+{body}")
    with pytest.raises(KeyProblem):
        import_private(f"PRIVATE+KEY+PeterNeumann+c74f20a3+{body}")


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\u0085", "a\n", "\ud800"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(KeyProblem) as error:
        SigningKey.generate(name)
    assert error.value.key == "ledger.key_name"


def test_a_public_key_has_32_bytes() -> None:
    with pytest.raises(KeyProblem):
        VerifierKey("a.example", b"x" * 31)


# --- the private key does not get out


def _secrets() -> list[str]:
    return [_seed().hex(), SKEY[-20:], repr(_seed())]


def test_a_signing_key_shows_only_its_name_and_id() -> None:
    assert repr(KEY) == "SigningKey(name='PeterNeumann', key_id='c74f20a3')"
    for shown in (str(KEY), f"{KEY}", repr([KEY]), repr({"key": KEY})):
        assert not any(secret in shown for secret in _secrets())
    with pytest.raises(TypeError):
        vars(KEY)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_signing_key_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="not copied or pickled"):
        pickle.dumps(KEY, protocol)


def test_a_signing_key_is_not_copied() -> None:
    calls: list[Callable[[SigningKey], object]] = [copy.copy, copy.deepcopy, SigningKey.__reduce__]
    for call in calls:
        with pytest.raises(TypeError, match="not copied or pickled"):
            call(KEY)


def test_a_broken_private_key_is_not_repeated_in_the_error() -> None:
    broken = SKEY[:-1] + "A"
    with pytest.raises(KeyProblem) as error:
        import_private(broken)
    shown = "".join(traceback.format_exception_only(error.value)) + repr(error.value.params)
    assert broken[-20:-1] not in shown
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


def test_a_broken_note_is_not_repeated_in_the_error() -> None:
    error = _refused(lambda: open_note("secret\udc80\n\n" + SIGNATURE, [VERIFIER]))
    assert "secret" not in str(error)
    assert error.__context__ is None


def test_everything_public_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)
