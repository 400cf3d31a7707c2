"""The sheet: what the template writes the reader reads; a doubtful line takes nothing in."""

from __future__ import annotations

import csv
import hashlib
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from openpyxl import Workbook, load_workbook  # type: ignore[import-untyped]

from nights import BUSINESS_DATE
from safehands.errors import BadInput, PolicyError
from safehands.messages import LANGUAGES
from safehands.organisation import load_organisation, read_sheet, write_template
from safehands.settings import Settings

SHIPPED = Settings.read({}).policy
ORGANISATION = load_organisation(SHIPPED)
HEAD = ["owner", "kind", "label", "date", "valid until", "number", "duty", "responsible", "file"]
SECRET = "13800138000"


def sheet(folder: Path, *lines: list[str], head: list[str] | None = None) -> Path:
    path = folder / "evidence.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([head or HEAD, *lines])
    return path


def line(kind: str, held: str = "2026-11-01", **cells: str) -> list[str]:
    given = {"owner": "jia", "kind": kind, "date": held, **cells}
    return [given.get(name, "") for name in HEAD]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_empty_template_has_every_kind_and_reads_as_nothing(
    tmp_path: Path, suffix: str, lang: str
) -> None:
    path = tmp_path / f"t{suffix}"
    write_template(path, ORGANISATION, ["jia", "yi"], lang)
    assert read_sheet(path, ORGANISATION, BUSINESS_DATE) == []
    with pytest.raises(BadInput):
        write_template(path, ORGANISATION, ["jia"], lang)
    kinds = [*ORGANISATION.kinds, *ORGANISATION.declarations]
    if suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as handle:
            assert [row[1] for row in csv.reader(handle)][1:] == kinds * 2
    else:
        shown = [row[1] for row in load_workbook(path).active.values]
        assert shown[1:] == kinds * 2


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_filled_workbook_is_read(tmp_path: Path, lang: str) -> None:
    path = tmp_path / "t.xlsx"
    write_template(path, ORGANISATION, ["jia"], lang)
    (tmp_path / "sign-in.pdf").write_bytes(b"attendance")
    book = load_workbook(path)
    for row in book.active.iter_rows(min_row=2):
        if row[1].value == "training":
            row[3].value, row[7].value, row[8].value = date(2026, 11, 2), "钱多多", "sign-in.pdf"
        if row[1].value == "log_days":
            row[3].value, row[5].value = "2026/11/03", 184
        if row[1].value == "cctv":
            row[3].value, row[5].value = "2026年11月03日", "是" if lang == "zh" else "yes"
    book.save(path)
    found = {row.kind: row for row in read_sheet(path, ORGANISATION, BUSINESS_DATE)}
    assert set(found) == {"training", "log_days", "cctv"}
    training = found["training"]
    assert (training.held_on, training.valid_until) == (date(2026, 11, 2), date(2027, 11, 2))
    assert training.file_digest == hashlib.sha256(b"attendance").hexdigest()
    assert (training.entry, training.responsible) == ("evidence", "钱多多")
    assert (found["log_days"].number, found["log_days"].entry) == (184.0, "declaration")
    assert found["cctv"].number == 1.0


def test_labels_and_chinese_headings_are_read_from_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    head = "经营者,类型,日期,有效期至,岗位,文件"
    text = f"{head}\njia,设备与账号清单,2026-11-01,2026-12-31,站长,{'b' * 64}\n"
    path.write_bytes(text.encode("gb18030"))
    (row,) = read_sheet(path, ORGANISATION, BUSINESS_DATE)
    assert (row.kind, row.duty, row.valid_until) == ("devices", "manager", date(2026, 12, 31))


@pytest.mark.parametrize(
    ("cells", "key"),
    [
        (line(SECRET), "organisation.no_such_kind"),
        (line("drill", SECRET), "organisation.no_date"),
        (line("drill", "2026-11-24"), "organisation.in_future"),
        (line("drill", **{"valid until": "2026-10-01"}), "organisation.ends_before"),
        (line("drill", **{"valid until": SECRET}), "organisation.no_date"),
        (line("drill"), "organisation.file_needed"),
        (line("drill", file=SECRET), "organisation.no_file"),
        (line("anti_virus", duty=SECRET), "organisation.no_such_duty"),
        (line("log_days", number="many"), "organisation.no_number"),
        (line("log_days", number="-1"), "organisation.no_number"),
        (line("cctv", number=SECRET), "organisation.no_yes_no"),
        (line("cctv", "", number="1"), "organisation.no_date"),
    ],
)
def test_a_wrong_line_is_named_and_never_quoted(tmp_path: Path, cells: list[str], key: str) -> None:
    path = sheet(tmp_path, line("anti_virus"), cells)
    with pytest.raises(BadInput) as caught:
        read_sheet(path, ORGANISATION, BUSINESS_DATE)
    assert caught.value.key == key
    assert caught.value.params["row"] == 3
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "head", [HEAD[2:], [*HEAD[:-1], "date"], ["kind", "label"], ["x"] * len(HEAD)]
)
def test_a_sheet_without_its_heading_is_refused(tmp_path: Path, head: list[str]) -> None:
    with pytest.raises(BadInput):
        read_sheet(sheet(tmp_path, line("anti_virus"), head=head), ORGANISATION, BUSINESS_DATE)


@pytest.mark.parametrize("content", [b"PK\x03\x04 no workbook", b""])
def test_a_broken_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(content)
    with pytest.raises(BadInput):
        read_sheet(path, ORGANISATION, BUSINESS_DATE)


def test_a_cell_that_is_a_formula_is_no_number(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(HEAD)
    book.active.append(line("log_days", number="=1+1"))
    path = tmp_path / "t.xlsx"
    book.save(path)
    with pytest.raises(BadInput):
        read_sheet(path, ORGANISATION, BUSINESS_DATE)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["kinds"]["drill"].update(valid_days=0),
        lambda c: c["kinds"]["drill"].update(group="luck"),
        lambda c: c["kinds"]["drill"].pop("label"),
        lambda c: c["declarations"]["cctv"].update(unit="feet"),
        lambda c: c["tiers"][0].pop("below"),
        lambda c: c["keep_years"].update(kind="X"),
        lambda c: c["declarations"].update(drill=c["declarations"]["cctv"]),
        lambda c: c.update(surprise=1),
    ],
)
def test_a_wrong_organisation_is_refused(tmp_path: Path, change: Callable[[Any], object]) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "policy"))
    content = yaml.safe_load((folder / "organisation.yaml").read_text(encoding="utf-8"))
    change(content)
    (folder / "organisation.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    with pytest.raises(PolicyError, match=r"organisation\.yaml"):
        load_organisation(folder)


def test_the_register_covers_what_no_pipeline_sees() -> None:
    """Everything that the register must be able to hold has a kind, in each group of sources."""
    wanted = {
        *("training", "drill", "processor_agreement", "physical_security", "network_security"),
        *("responsible_person", "supervision", "audit", "paper_destruction", "incident_plan"),
        *("anti_virus", "discipline", "internal_sharing", "stakeholders", "devices"),
    }
    assert wanted <= ORGANISATION.kinds.keys()
    groups = {kind.group for kind in ORGANISATION.kinds.values()}
    assert groups == {"technical", "process", "people", "posture"}
