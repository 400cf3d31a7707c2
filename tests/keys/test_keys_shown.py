"""Nothing that holds key material can be printed, formatted, logged, copied or pickled."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from keys_scene import files_of

from safehands.keys import DayBox, KeyRing, RunKey, new_wrapped_keys
from safehands.keys.choose import Sources, choose
from safehands.keys.escrow import Bundle
from safehands.keys.roots import LocalRoot
from safehands.keys.sealed import SealedFiles

SECRET = b"\x07top secret key material \xff 32 by"
FORMS = (
    SECRET.hex(),
    base64.b64encode(SECRET).decode(),
    repr(SECRET)[2:-1],
    "top secret key",
)


@pytest.fixture
def objects(tmp_path: Path) -> dict[str, Any]:
    keys = files_of(tmp_path)
    keys.create("root", SECRET)
    keys.create("epoch/A/1", SECRET)
    root = LocalRoot(SECRET)
    value = base64.b64encode(SECRET).decode()
    places = Sources(tmp_path / "env", tmp_path / "env2", lambda _: value)
    sealed = choose("env:", places)
    sealed.ensure_root()
    sealed.create("ledger", SECRET)
    return {
        "file provider": keys,
        "sealed provider": sealed,
        "sealed files": SealedFiles(tmp_path / "env", tmp_path / "env2", [root]),
        "root": root,
        "ring": KeyRing("A", 2, 1, SECRET, SECRET, SECRET, former={1: SECRET}),
        "opened ring": KeyRing.open(keys, new_wrapped_keys(keys, "A"), 1),
        "box": DayBox(keys, "quarantine", "A1", "2026-11-23"),
        "run": RunKey("r", SECRET),
        "bundle": Bundle(1, {"root": SECRET}),
        "wrapped": new_wrapped_keys(keys, "A"),
        "sources": places,
    }


def shown(thing: Any, caplog: pytest.LogCaptureFixture) -> str:
    logging.getLogger("keys").error("%s %r", thing, thing)
    texts = [repr(thing), str(thing), f"{thing}", f"{thing!r:>5}", f"{[thing]}", f"{thing!a}"]
    try:
        raise ValueError(thing)
    except ValueError as error:
        texts += [str(error), repr(error)]
    return " ".join([*texts, caplog.text])


def test_no_way_of_showing_shows_a_key(
    objects: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    for name, thing in objects.items():
        text = shown(thing, caplog)
        assert not [form for form in FORMS if form in text], name
        assert SECRET.decode("latin-1") not in text, name


KEPT_HERE = ("file provider", "sealed provider", "sealed files", "root", "ring", "opened ring")


@pytest.mark.parametrize("name", [*KEPT_HERE, "box", "run", "bundle"])
@pytest.mark.parametrize(
    "leave",
    [
        *(lambda thing, p=p: pickle.dumps(thing, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)),
        copy.copy,
        copy.deepcopy,
        lambda thing: pickle.dumps({"nested": [thing]}),
    ],
)
def test_a_key_is_neither_copied_nor_pickled(
    objects: dict[str, Any], name: str, leave: Any
) -> None:
    with pytest.raises(TypeError, match="do not leave the process"):
        leave(objects[name])


def test_every_class_with_key_material_is_a_secret() -> None:
    import importlib
    import inspect
    import pkgutil

    import safehands.keys as package
    from safehands.keys.secret import Secret

    # What holds no key: descriptions, interfaces, codecs (which refer to places, secrets all).
    harmless = {"Secret", "WrappedKeys", "Sources", "Clear", "Sealed"}
    found = set()
    for module in pkgutil.iter_modules(package.__path__):
        members = importlib.import_module(f"safehands.keys.{module.name}")
        for name, thing in inspect.getmembers(members, inspect.isclass):
            if thing.__module__ != members.__name__ or name.startswith("_"):
                continue
            if getattr(thing, "_is_protocol", False) or issubclass(thing, Secret):
                continue
            found.add(name)
    assert found <= harmless
