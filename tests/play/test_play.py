"""A newcomer's play: from rehearsal to certificate, in a folder of its own."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from safehands import embedded
from safehands.errors import SetupProblem
from safehands.play.cases import CASES
from safehands.play.telling import play
from safehands.play.town import MARKER, remove_town
from safehands.verification import verifier_from, verify_file

FIRST = date(2026, 11, 4)


def test_an_asset_deal_is_played_to_its_certificate(tmp_path: Path) -> None:
    folder, lines = tmp_path / "play", list[str]()
    try:
        play(folder, FIRST, "en", lines.append, ("asset_deal",))
        told = "\n".join(lines)
        # The rehearsal shows what blocks, and nothing of it is stubbed away later.
        assert "PIA-01" in told
        assert "Every rule that blocks is met" in told
        [certificate] = (folder / "asset_deal").rglob("certificate.json")
        verifier = verifier_from(None, folder / "asset_deal" / "ledger.pub")
        verify_file(certificate, verifier, "en")
        report = certificate.parent / "report.json"
        identity = json.loads(report.read_text(encoding="utf-8"))["body"]["identity"]
        people = identity["subject"]
        assert people["held"] == sum(people["classes"].values()) > 1000
        assert {"transferred", "refused", "silent", "unreachable"} <= set(people["classes"])
        # No file with anybody's number in clear is left beside the documents.
        assert not list(certificate.parent.glob("answers.csv"))
    finally:
        remove_town(folder)
    assert not folder.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(SetupProblem, match="something else"):
        play(tmp_path, FIRST, "en", lambda _: None)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "keep me"


def test_a_folder_that_somebody_removed_by_hand_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "play"
    folder.mkdir(mode=0o700)
    place = embedded.Place(folder / "town")
    embedded.start(place, durable=False)
    embedded.stop(place)
    shutil.rmtree(folder)
    remove_town(folder)
    assert not folder.exists()
    assert embedded.start(place, durable=False).running()
    (folder / MARKER).touch()
    remove_town(folder)
    assert not folder.exists()


def test_every_mode_has_its_case() -> None:
    from safehands.handover.state import MODES

    assert sorted(case.mode for case in CASES) == sorted(MODES)
