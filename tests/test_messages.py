"""Every sentence exists in both languages, and every sentence that code asks for exists."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

import safehands
import safehands.errors as tree
from safehands.errors import SafehandsError
from safehands.messages import LANGUAGES, catalogue, say

PACKAGE = Path(str(files(safehands)))
ROOTS = (PACKAGE, PACKAGE.parents[1] / "plugins")
KEY = re.compile(r"^[a-z_]+(\.[a-z0-9_]+)+$")
ERRORS = {
    name
    for name in dir(tree)
    if isinstance(getattr(tree, name), type) and issubclass(getattr(tree, name), SafehandsError)
}


def placeholders(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None)


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield (place, call, name of what is called) in our code, plugins included."""
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    yield f"{path.name}:{node.lineno}", node, name


def test_the_catalogue_is_found() -> None:
    assert len(catalogue()) > 100


def test_no_key_is_in_two_files_or_twice_in_one() -> None:
    seen: dict[str, str] = {}
    for path in sorted((PACKAGE / "messages").glob("*.yaml")):
        top = yaml.compose(path.read_text(encoding="utf-8"))
        assert isinstance(top, yaml.MappingNode), path.name
        for key, _ in top.value:
            assert key.value not in seen, (key.value, path.name, seen.get(key.value))
            seen[key.value] = path.name


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_both_languages_are_there_with_the_same_placeholders(key: str) -> None:
    entry = catalogue()[key]
    assert set(entry) == set(LANGUAGES)
    assert all(entry[lang].strip() for lang in LANGUAGES)
    assert placeholders(entry["zh"]) == placeholders(entry["en"])
    assert all(name.isidentifier() for name in placeholders(entry["zh"]))


def test_every_key_that_code_names_exists() -> None:
    unknown = set()
    for place, call, name in calls():
        if name in ERRORS | {"say", "problem"} and call.args:
            first = call.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                if KEY.match(first.value) and first.value not in catalogue():
                    unknown.add((place, first.value))
            elif isinstance(first, ast.JoinedStr):
                head = str(getattr(first.values[0], "value", ""))
                if head and not any(key.startswith(head) for key in catalogue()):
                    unknown.add((place, head))
    assert unknown == set()


def test_every_error_is_given_what_its_sentence_asks_for() -> None:
    wrong = []
    for place, call, name in calls():
        first = call.args[0] if call.args else None
        if name not in ERRORS or not isinstance(first, ast.Constant):
            continue
        key, given = str(first.value), {word.arg for word in call.keywords}
        if None not in given and key in catalogue():
            missing = set(placeholders(catalogue()[key]["zh"])) - given
            if missing:
                wrong.append((place, key, sorted(missing)))
    assert wrong == []


def test_a_sentence_is_filled_and_a_missing_one_is_a_defect() -> None:
    assert "a.key" in say("keys.damaged", "en", file="a.key")
    assert "{x}" in say("keys.damaged", "zh", file="{x}")
    for key, lang, params in (
        ("no.such", "en", {}),
        ("keys.damaged", "fr", {"file": "a"}),
        ("keys.damaged", "en", {}),
    ):
        with pytest.raises(KeyError):
            say(key, lang, **params)
