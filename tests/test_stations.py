"""Whose station it is must be said, and what is said must be possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from safehands.errors import PolicyError
from safehands.stations import load_register

SETS = ("parcels", "customers")


def folders(landing: Path, *names: str) -> None:
    for name in names:
        (landing / name).mkdir(parents=True)


def station(code: str, folder: str) -> dict[str, str]:
    return {"code": code, "name": code, "folder": folder}


def owner(code: str, *stations: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"code": code, "name": code, "record_sets": {}, "stations": list(stations), **more}


def declare(landing: Path, *owners: dict[str, Any]) -> None:
    content = yaml.safe_dump({"controllers": list(owners)}, allow_unicode=True)
    (landing / "stations.yaml").write_text(content, encoding="utf-8")


@pytest.mark.parametrize("names", [(), ("福田店",)])
def test_one_station_needs_no_declaration(tmp_path: Path, names: tuple[str, ...]) -> None:
    folders(tmp_path, *names, ".hidden", "_old")
    register = load_register(tmp_path, SETS)
    (only,) = register.controllers
    assert [s.folder for s in only.stations] == [names[0] if names else "."]
    assert register.undeclared() == [("owner", "parcels"), ("owner", "customers")]


def test_several_folders_need_one_and_a_template_is_offered(tmp_path: Path) -> None:
    folders(tmp_path, "南山店", "福田店")
    with pytest.raises(PolicyError) as caught:
        load_register(tmp_path, SETS)
    template = str(caught.value.params["template"])
    (tmp_path / "stations.yaml").write_text(template, encoding="utf-8")
    register = load_register(tmp_path, SETS)
    assert [s.folder for s in register.controllers[0].stations] == ["南山店", "福田店"]


def test_what_is_declared_is_read_and_unsaid_roles_are_unknown(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b/c")
    entrusted = {"parcels": {"role": "entrusted", "by": "菜鸟"}}
    declare(
        tmp_path,
        owner("X", station("S1", "a"), record_sets=entrusted, kind="company"),
        owner("Y", station("S2", "b/c")),
    )
    register = load_register(tmp_path, SETS)
    assert register.controllers[0].record_sets["parcels"].by == "菜鸟"
    assert register.undeclared() == [("X", "customers"), ("Y", "parcels"), ("Y", "customers")]


@pytest.mark.parametrize(
    "owners",
    [
        [owner("X", station("S1", "a")), owner("X", station("S2", "b"))],
        [owner("X", station("S1", "a"), station("S1", "b"))],
        [owner("X", station("S1", "a")), owner("Y", station("S1", "b"))],
        [owner("X", station("S1", "a")), owner("Y", station("S2", "a"))],
        [owner("X", station("S1", "a")), owner("Y", station("S2", "./a"))],
        [owner("X", station("S1", "a")), owner("Y", station("S2", "b/../a/"))],
        [owner("X", station("S1", "missing"))],
        [owner("X", station("S1", ".."))],
        [owner("X", station("S1", "/etc"))],
        [owner("X", station("S1", "link"))],
        [owner("X", station("S1", "a"), record_sets={"goods": {"role": "handler"}})],
        [owner("X", station("S1", "a"), record_sets={"parcels": {"role": "entrusted"}})],
        [owner("X", station("S1", "a"), record_sets={"parcels": {"role": "joint"}})],
        [owner("X", station("S1", "a"), record_sets={"parcels": {"role": "boss"}})],
        [owner("X", station("S1", "a"), kind="ghost")],
        [owner("X", station("../S1", "a"))],
        [owner("x" * 33, station("S1", "a"))],
        [owner("X", station("S1", "a"), extra=1)],
        [{"code": "X"}],
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, owners: list[dict[str, Any]]) -> None:
    landing = tmp_path / "landing"
    folders(landing, "a", "b")
    (landing / "link").symlink_to("/etc")
    declare(landing, *owners)
    with pytest.raises(PolicyError) as caught:
        load_register(landing, SETS)
    assert caught.value.say("en")


@pytest.mark.parametrize("content", [b"", b"[]", b"a: [", b"\xff\xfe\x00", b"controllers: 3"])
def test_an_unreadable_declaration_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stations.yaml").write_bytes(content)
    with pytest.raises(PolicyError):
        load_register(tmp_path, SETS)


def test_a_missing_landing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_register(tmp_path / "nowhere", SETS)
    assert caught.value.key == "policy.no_landing"
