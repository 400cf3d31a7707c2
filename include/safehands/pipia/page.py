"""A document as HTML, JSON and PDF. The same document gives the same bytes.

PDF is set by Typst (Apache-2.0) with a Chinese font of the system: any family of ``FAMILIES``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from safehands.errors import SetupProblem
from safehands.messages import say
from safehands.pipia import charts
from safehands.pipia.contradictions import drafts, sentences

__all__ = ["FAMILIES", "font", "html", "pdf", "plain", "view"]

FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Noto Serif CJK SC",
    "SimSun",
)
"""Chinese fonts that are looked for on the system, best first. Noto and Source Han are OFL 1.1."""


def plain(document: Mapping[str, Any]) -> bytes:
    """Return the document as JSON, both languages in it."""
    return f"{json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True)}\n".encode()


def html(document: Mapping[str, Any], lang: str) -> bytes:
    """Return the document as one page without script, with nothing fetched from anywhere."""
    shown = view(document, lang)
    for name in ("heat", "histogram", "trend"):
        shown[name] = Markup(shown[name])  # noqa: S704 - drawn here, every text in it escaped
    page = _environment().get_template("pipia.html.j2").render(v=shown)
    return page.encode()


def pdf(document: Mapping[str, Any], lang: str) -> bytes:
    """Return the document as PDF. Raises ``SetupProblem`` when there is no Chinese font."""
    import typst

    shown = view(document, lang)
    given = {"data": json.dumps(shown, ensure_ascii=False), "font": font()}
    day = datetime.fromisoformat(document["day"]).replace(tzinfo=UTC)
    made = typst.compile(_source("pipia.typ").encode(), sys_inputs=given, timestamp=day)
    return bytes(made) if isinstance(made, bytes) else b"".join(made or [])


@cache
def font() -> str:
    """Return the Chinese font for PDFs. Raises ``SetupProblem`` naming the package to install."""
    import typst

    there = set(typst.Fonts().families())
    found = next((family for family in FAMILIES if family in there), None)
    if found is None:
        raise SetupProblem("pipia.no_font")
    return found


def view(document: Mapping[str, Any], lang: str) -> dict[str, Any]:
    """Return what page and PDF print in one language: words, rows and drawings. Pure."""
    against = sentences(document, lang)
    heading = {name: say(f"pipia.page.{name}", lang) for name in _HEADINGS}
    return {
        "lang": "zh-CN" if lang == "zh" else "en",
        "words": heading,
        "title": say("pipia.page.title", lang),
        "edition": say(f"pipia.page.edition.{document['edition']}", lang),
        "state": say(f"pipia.page.state.{document['state']}", lang),
        "draft": document["state"] == "draft",
        "facts": _facts(document, lang),
        "verdict": _verdict(document, lang),
        "acceptable": document["acceptable"] and not against and not drafts(document),
        "contradictions": against,
        "heat": charts.heat_map(document, lang),
        "legend": [
            # In the order of the drawing: a document that was kept has its keys sorted.
            f"{mark} {document['sources'][risk['source']][lang]}"
            for mark, risk in zip("①②③④", document["after"], strict=True)
        ],
        "notes": [note[lang] for note in document["notes"]],
        "histogram": charts.histogram(document["histogram"], lang),
        "trend": charts.trend(document["trend"], lang),
        "parts": [_part(part, document, lang) for part in document["parts"]],
        "audit": _audit(document["self_audit"], lang),
    }


_HEADINGS = (
    *("question", "answer", "evidence", "basis", "heat", "histogram", "trend", "audit", "stale"),
    *("draft", "no_trend", "item", "tick", "declaration", "watermark", "wanted", "against"),
)


def _facts(document: Mapping[str, Any], lang: str) -> list[list[str]]:
    name = document["owner"]["name"]
    pairs = [
        ("owner", f"{name} ({document['owner']['code']})"),
        ("occasion", document["occasion_label"][lang]),
        ("cites", document["occasion_cites"][lang]),
        ("scope", document["scope"]),
        ("form", say(f"pipia.page.form.{document['form']}", lang)),
        ("number", document["pipia_id"]),
        ("opened", document["opened"]),
        ("day", document["day"]),
        ("signed", document["signed"]),
        ("signer", document.get("signer", "")),
        ("keep_until", document["keep_until"]),
    ]
    return [[say(f"pipia.page.{key}", lang), value] for key, value in pairs if value]


def _verdict(document: Mapping[str, Any], lang: str) -> str:
    levels, unnamed = document["levels"], drafts(document)
    before = say("pipia.page.verdict_draft", lang, count=unnamed) if unnamed else ""
    return before + say(
        "pipia.page.acceptable" if document["acceptable"] else "pipia.page.unacceptable",
        lang,
        before=levels[str(document["worst_before"])][lang],
        after=levels[str(document["worst_after"])][lang],
    )


def _part(part: Mapping[str, Any], document: Mapping[str, Any], lang: str) -> dict[str, Any]:
    return {
        "label": part["label"][lang],
        "cites": part["cites"][lang],
        "rows": [_row(entry, document, lang) for entry in part["answers"]],
    }


def _row(entry: Mapping[str, Any], document: Mapping[str, Any], lang: str) -> dict[str, Any]:
    who = ""
    if entry["kind"] != "figure" and not entry["draft"]:
        named = entry["assessor"] or say("pipia.page.named", lang)
        who = say("pipia.page.by", lang, who=named, day=entry["answered"] or "")
    moved = [
        say("pipia.page.moved", lang, was=_number(m["was"]), now=_number(m["now"]))
        for m in entry["moved"]
    ]
    return {
        "text": entry["text"][lang],
        "cites": entry["cites"][lang],
        "answer": _answer(entry, document, lang),
        "draft": entry["draft"],
        "stale": entry["stale"],
        "good": bool(entry["choice"]) if entry["kind"] in {"figure", "yes_no"} else None,
        "who": who,
        "note": entry["note"],
        "moved": moved,
        "evidence": [_item(item, lang) for item in entry["evidence"]],
    }


def _answer(entry: Mapping[str, Any], document: Mapping[str, Any], lang: str) -> str:
    if entry["kind"] == "figure":
        outcomes = {item["outcome"] for item in entry["evidence"]}
        order = ("not_met", "no_evidence", "met", "not_applicable")
        worst = next(o for o in order if o in outcomes)
        return say(f"pipia.page.outcome.{worst}", lang)
    if entry["kind"] == "yes_no":
        return say("pipia.page.yes" if entry["choice"] else "pipia.page.no", lang)
    scale = "levels" if entry["kind"] == "impact" else "likelihoods"
    return f"{entry['choice']} · {document[scale][str(entry['choice'])][lang]}"


def _item(item: Mapping[str, Any], lang: str) -> dict[str, str]:
    return {
        "label": item["label"][lang],
        "shown": item["shown"],
        "wanted": item["wanted"],
        "outcome": item["outcome"],
        "mark": {"met": "✓", "not_met": "✗", "no_evidence": "?", "not_applicable": "·"}[
            item["outcome"]
        ],
        "run": " · ".join(part for part in (item["source"], item["run"]) if part),
    }


def _audit(audit: Mapping[str, Any] | None, lang: str) -> dict[str, Any] | None:
    if audit is None:
        return None
    items = [
        {
            "text": item["text"][lang],
            "rules": ", ".join(item["rules"]),
            "tick": say(f"pipia.page.tick.{item['tick']}", lang),
        }
        for item in audit["items"]
    ]
    return {"note": audit["note"][lang], "items": items}


def _number(number: float | None) -> str:
    return "–" if number is None else f"{number:,.6g}"


def _source(name: str) -> str:
    return (files("safehands.pipia") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=DictLoader({"pipia.html.j2": _source("pipia.html.j2")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
