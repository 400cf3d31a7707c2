"""One spelling for one value."""

from __future__ import annotations

import json
from collections import OrderedDict
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safehands.errors import LedgerBroken
from safehands.ledger import canonical as module
from safehands.ledger.canonical import Json, canonical_json, parse_canonical, parse_strict, walk

names = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=8)
integers = st.integers(-(1 << 53) + 1, (1 << 53) - 1)
strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | integers | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


class _Small(IntEnum):
    ONE = 1


def _reason(call_value: object) -> LedgerBroken:
    with pytest.raises(LedgerBroken) as error:
        canonical_json(call_value)
    assert error.value.say("zh")
    assert error.value.say("en")
    return error.value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (-(2**53) + 1, "-9007199254740991"),
        ({}, "{}"),
        ([], "[]"),
        ({"b": 1, "a": [2, None], "A": False}, '{"A":false,"a":[2,null],"b":1}'),
        ("é€驿😀\u007f\u2028", '"é€驿😀\u007f\u2028"'),
        # RFC 8785 section 3.2.2.2: short escapes where JSON has them, lower-case hex elsewhere.
        ('\x08\t\n\x0c\r"\\/\x00\x1f', r'"\b\t\n\f\r\"\\/\u0000\u001f"'),
    ],
)
def test_the_spelling_of_rfc_8785(value: object, text: str) -> None:
    assert canonical_json(value) == text.encode()
    assert parse_canonical(text) == value


@given(values)
def test_any_value_comes_back(value: Json) -> None:
    text = canonical_json(value).decode()
    assert parse_canonical(text) == value
    assert canonical_json(parse_strict(text)) == text.encode()


@given(values, values)
def test_two_values_never_share_a_spelling(one: Json, two: Json) -> None:
    # repr tells True from 1, which == does not; sorting names makes it blind to their order.
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (canonical_json(one) == canonical_json(two)) == same


@given(st.dictionaries(names, integers, min_size=2, max_size=6))
def test_the_order_of_names_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))


@given(values)
def test_another_spelling_of_the_same_value_is_refused(value: Json) -> None:
    text = canonical_json(value).decode()
    for other in (f" {text}", f"{text}\n", json.dumps(value, indent=1) + " "):
        assert parse_strict(other) == value
        with pytest.raises(LedgerBroken) as error:
            parse_canonical(other)
        assert error.value.key == "ledger.json_spelling"


@pytest.mark.parametrize(
    "text",
    ['{"b":1,"a":2}', r'"\u0041"', r'"\/"', "-0", '{"a" :1}', r'"é"'.replace("é", r"\u00e9")],
)
def test_valid_json_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(LedgerBroken) as error:
        parse_canonical(text)
    assert error.value.key == "ledger.json_spelling"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "ledger.json_malformed"),
        ("{", "ledger.json_malformed"),
        ("1 2", "ledger.json_malformed"),
        ("'a'", "ledger.json_malformed"),
        ("\ufeff1", "ledger.json_malformed"),
        ("9" * 5000, "ledger.json_malformed"),
        ("[" * 200_000, "ledger.json_malformed"),
        ("[" * 40 + "]" * 40, "ledger.json_depth"),
        ('{"a":1,"a":1}', "ledger.json_twice"),
        ('[{"b":{"a":1,"a":2}}]', "ledger.json_twice"),
        ("1.0", "ledger.json_type"),
        ("1e2", "ledger.json_type"),
        ("NaN", "ledger.json_type"),
        ("-Infinity", "ledger.json_type"),
        ("9007199254740992", "ledger.json_integer"),
        (r'"\ud800"', "ledger.json_text"),
        ('"\ud800"', "ledger.json_text"),
        ('{"姓名":1}', "ledger.json_name"),
        ('{"":1}', "ledger.json_name"),
    ],
)
def test_what_has_no_single_meaning_is_refused(text: str, key: str) -> None:
    for read in (parse_strict, parse_canonical):
        with pytest.raises(LedgerBroken) as error:
            read(text)
        assert error.value.key == key
        assert error.value.say("zh")


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        (1,),
        b"x",
        {1},
        _Small.ONE,
        OrderedDict(a=1),
        object(),
        type("S", (str,), {})("x"),
    ],
)
def test_other_types_are_refused_with_their_place(value: object) -> None:
    error = _reason({"counts": [0, value]})
    assert error.key == "ledger.json_type"
    assert error.params == {"place": "$.counts[1]", "type": type(value).__name__}


@pytest.mark.parametrize("name", [1, None, True, "", "é", "\n", "a\x7f"])
def test_other_names_are_refused(name: object) -> None:
    error = _reason({"outer": {name: 1}})
    assert (error.key, error.params) == ("ledger.json_name", {"place": "$.outer"})


@pytest.mark.parametrize("size", [1 << 53, -(1 << 53), 10**30])
def test_integers_beyond_a_double_are_refused(size: int) -> None:
    assert _reason([size]).key == "ledger.json_integer"


def test_a_value_within_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    assert _reason(value).key == "ledger.json_depth"


def test_a_place_hides_names_that_could_be_values() -> None:
    for name in ("13800000000", "Zhang San", "x" * 41):
        error = _reason({"by": {name: 1.5}})
        assert error.params["place"] == "$.by.*"


def test_walk_reaches_names_and_values() -> None:
    found = list(walk({"a": [1, {"b": "x"}]}))
    assert ("$.a[1].b", "x") in found
    assert ("$", "a") in found
    assert ("$.a[1]", "b") in found


def test_an_error_does_not_hold_the_text() -> None:
    with pytest.raises(LedgerBroken) as error:
        parse_strict('{"a": secret}')
    assert error.value.__context__ is None
    assert "secret" not in str(error.value)


def test_everything_public_is_there() -> None:
    assert all(hasattr(module, name) for name in module.__all__)
