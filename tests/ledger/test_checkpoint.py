"""Checkpoints: exactly the format, bound to one ledger's key."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from safehands.errors import KeyProblem, LedgerBroken
from safehands.ledger import checkpoint as module
from safehands.ledger.checkpoint import (
    Checkpoint,
    check_fingerprint,
    fingerprint,
    open_checkpoint,
    parse,
    sign_checkpoint,
)
from safehands.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from safehands.ledger.note import SigningKey, VerifierKey, sign

KEY = SigningKey.generate("station.example/ledger")
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ROOT = leaf_hash(b"one")

# The example text that the tlog-checkpoint specification prints.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

lines = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
roots = st.binary(min_size=32, max_size=32)
checkpoints = st.builds(
    Checkpoint,
    origin=lines,
    size=st.integers(1, (1 << 63) - 1),
    root=roots,
    extensions=st.lists(lines, max_size=3).map(tuple),
)


def _refused(call: Callable[[], object], key: str | None = None) -> LedgerBroken:
    with pytest.raises(LedgerBroken) as error:
        call()
    assert key is None or error.value.key == key
    assert error.value.say("zh")
    assert error.value.say("en")
    return error.value


def test_the_example_of_the_specification_reads_and_writes() -> None:
    found = parse(EXAMPLE)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert base64.b64encode(found.root).decode() == EXAMPLE.splitlines()[2]
    assert found.extensions == ()
    assert found.text() == EXAMPLE


@given(checkpoints)
def test_any_checkpoint_comes_back(checkpoint: Checkpoint) -> None:
    assert parse(checkpoint.text()) == checkpoint


@given(st.integers(0, (1 << 63) - 1), roots, st.lists(lines, max_size=2).map(tuple))
def test_any_signed_checkpoint_comes_back(
    size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    checkpoint = Checkpoint(KEY.name, size, root if size else EMPTY_ROOT, extensions)
    assert open_checkpoint(sign_checkpoint(checkpoint, KEY), KEY.verifier) == checkpoint


@given(checkpoints, st.data())
def test_two_checkpoints_never_share_a_text(one: Checkpoint, data: st.DataObject) -> None:
    other = data.draw(checkpoints)
    assume(one != other)
    assert one.text() != other.text()


@given(st.text(max_size=60))
def test_any_text_is_refused_or_means_itself(text: str) -> None:
    try:
        found = parse(text)
    except LedgerBroken:
        return
    assert found.text() == text


@pytest.mark.parametrize(
    "size",
    [
        "",
        "-1",
        "+1",
        "01",
        "00",
        "1 ",
        " 1",
        "1.0",
        "1e3",
        "0x1",
        "１",
        "٣",
        "1_0",
        "9" * 19,
        "1" * 30,
    ],
)
def test_sizes_have_one_spelling(size: str) -> None:
    text = EXAMPLE.replace("20852163", size)
    _refused(lambda: parse(text), "ledger.checkpoint_size")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a\n1\n",
        EXAMPLE[:-1],
        EXAMPLE + "\n",
        EXAMPLE + "\nmore\n",
        "\n" + EXAMPLE,
        EXAMPLE.partition("\n")[2],
        EXAMPLE.replace("2I=", "2J="),
        EXAMPLE.replace("2I=", "2I"),
        EXAMPLE.replace("+", "-").replace("om/", "om_"),
        EXAMPLE.replace("\n", "\r\n"),
        EXAMPLE.replace("om/X", "om/ X"),
        EXAMPLE.replace("CsUYap", "CsUYap\u2028"),
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    _refused(lambda: parse(text))


def test_a_root_has_32_bytes() -> None:
    short = base64.b64encode(b"x" * 31).decode()
    _refused(lambda: parse(f"a\n1\n{short}\n"), "ledger.hash_length")


def test_an_empty_ledger_has_the_empty_root() -> None:
    assert parse(Checkpoint("a", 0, EMPTY_ROOT).text()).size == 0
    _refused(lambda: Checkpoint("a", 0, ROOT), "ledger.empty_root")


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, ROOT, ()),
        ("a\nb", 1, ROOT, ()),
        ("a\x00", 1, ROOT, ()),
        ("a", -1, ROOT, ()),
        ("a", 1 << 63, ROOT, ()),
        ("a", 1, b"", ()),
        ("a", 1, ROOT, ("",)),
        ("a", 1, ROOT, ("x\ny",)),
    ],
)
def test_what_cannot_be_written_cannot_be_made(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    _refused(lambda: Checkpoint(origin, size, root, extensions))


# --- signatures


def test_a_frontier_gives_a_checkpoint() -> None:
    frontier = Frontier().append(ROOT)
    note = sign_checkpoint(Checkpoint(KEY.name, frontier.size, frontier.root()), KEY)
    assert open_checkpoint(note, KEY.verifier) == Checkpoint(KEY.name, 1, ROOT)


@given(st.data())
def test_any_changed_character_of_a_signed_checkpoint_is_refused(data: st.DataObject) -> None:
    note = sign_checkpoint(Checkpoint(KEY.name, 12, ROOT), KEY)
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
    assume(note[at] != other)
    _refused(lambda: open_checkpoint(note[:at] + other + note[at + 1 :], KEY.verifier))


def test_another_key_of_the_same_name_is_refused() -> None:
    impostor = SigningKey.generate(KEY.name)
    note = sign_checkpoint(Checkpoint(KEY.name, 1, ROOT), impostor)
    _refused(lambda: open_checkpoint(note, KEY.verifier), "ledger.signature_unknown")


def test_a_key_vouches_for_its_own_ledger_only() -> None:
    foreign = Checkpoint("other.example/ledger", 1, ROOT)
    error = _refused(lambda: sign_checkpoint(foreign, KEY), "ledger.checkpoint_origin")
    assert error.params == {"wanted": KEY.name}
    note = sign(foreign.text(), KEY)
    _refused(lambda: open_checkpoint(note, KEY.verifier), "ledger.checkpoint_origin")


def test_another_signed_text_is_no_checkpoint() -> None:
    _refused(
        lambda: open_checkpoint(sign("hello\n", KEY), KEY.verifier), "ledger.checkpoint_malformed"
    )


# --- fingerprints


def test_a_fingerprint_is_ten_groups_that_begin_with_the_key_id() -> None:
    shown = fingerprint(VerifierKey.parse(VKEY))
    assert shown.split()[:2] == ["c74f", "20a3"]
    assert [len(group) for group in shown.split()] == [4] * 10
    assert VerifierKey.parse(VKEY).digest[:20].hex() == shown.replace(" ", "")


def test_a_fingerprint_covers_name_and_key() -> None:
    public = KEY.verifier.public
    renamed = VerifierKey("other.example", public)
    other = VerifierKey(KEY.name, bytes(reversed(public)))
    assert len({fingerprint(key) for key in (KEY.verifier, renamed, other)}) == 3


def test_a_fingerprint_may_be_typed_in_any_case_and_spacing() -> None:
    shown = fingerprint(KEY.verifier)
    for typed in (
        shown,
        shown.upper(),
        shown.replace(" ", "-"),
        shown.replace(" ", ""),
        f" {shown}\n",
    ):
        check_fingerprint(KEY.verifier, typed)


@given(st.integers(0, 39), st.sampled_from("0123456789abcdef"))
def test_a_mistyped_fingerprint_is_refused(at: int, digit: str) -> None:
    right = fingerprint(KEY.verifier).replace(" ", "")
    assume(right[at] != digit)
    with pytest.raises(KeyProblem) as error:
        check_fingerprint(KEY.verifier, right[:at] + digit + right[at + 1 :])
    assert error.value.key == "ledger.fingerprint"
    assert error.value.params == {"key_id": KEY.key_id}


@given(st.integers(0, 39))
def test_part_of_a_fingerprint_is_not_enough(length: int) -> None:
    right = fingerprint(KEY.verifier).replace(" ", "")
    with pytest.raises(KeyProblem):
        check_fingerprint(KEY.verifier, right[:length])


def test_everything_public_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)
