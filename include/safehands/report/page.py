"""The report as one page: both languages, no script, nothing fetched from anywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from safehands.messages import LANGUAGES, catalogue, say
from safehands.policy import Policy
from safehands.report.document import DIMENSIONS
from safehands.report.evidence import ROWS_SHOWN

__all__ = ["Texts", "edition", "render"]

# A chain of a thousand stations must still get a page that opens; the JSON file has everything.
_PLACES_SHOWN = 24
_STATIONS_SHOWN = 40
_OWNERS_SHOWN = 12

_TEMPLATES = ("page.html.j2", "body.html.j2", "charts.html.j2")
_STYLE = "page.css"


def render(document: Mapping[str, Any], policy: Policy) -> bytes:
    """Return the page of ``document`` as UTF-8 bytes; the same document gives the same bytes."""
    template = _environment().get_template("page.html.j2")
    texts = [Texts(lang, policy) for lang in LANGUAGES]
    page = template.render(
        d=document,
        languages=texts,
        style=Markup(_sources()[_STYLE]),  # noqa: S704 - our own file, no value in it
        dimensions=DIMENSIONS,
        rows_shown=ROWS_SHOWN,
        places_shown=_PLACES_SHOWN,
        stations_shown=_STATIONS_SHOWN,
        owners_shown=_OWNERS_SHOWN,
    )
    return page.encode()


def edition() -> str:
    """Return the digest of what turns a document into a page: templates, style and sentences."""
    sentences = json.dumps(catalogue(), sort_keys=True, ensure_ascii=True)
    parts = [*(f"{name}\0{source}" for name, source in sorted(_sources().items())), sentences]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Texts:
    """What the template says in one language. Calling it gives the sentence ``report.<key>``."""

    def __init__(self, lang: str, policy: Policy) -> None:
        self.lang, self.policy = lang, policy
        self.tag = {"zh": "zh-CN", "en": "en"}[lang]

    def __call__(self, key: str, **params: str | int | float) -> str:
        shown = {n: self.number(v) if isinstance(v, int) else v for n, v in params.items()}
        return say(f"report.{key}", self.lang, **shown)

    def number(self, value: int) -> str:
        """Return a whole number with separators."""
        return f"{value:,}"

    def share(self, value: float) -> str:
        """Return a share between 0 and 1 in percent."""
        return f"{value * 100:.1f} %"

    def score(self, hundredths: int | None) -> str:
        """Return hundredths of a percent as percent; a dash for no verdict."""
        if hundredths is None:
            return "–"
        return "100" if hundredths == 10_000 else f"{hundredths // 10 / 10:.1f}"

    def known(self, *keys: str) -> str | None:
        """Return the first sentence of the catalogue that exists."""
        return next((catalogue()[k][self.lang] for k in keys if k in catalogue()), None)

    def count(self, name: str) -> str:
        """Return the name of a step's count, or the bare name."""
        rule = self.policy.retention.get(name)
        return self.known(f"count.{name}", f"report.count.{name}") or (
            self.label(rule.label) if rule else name
        )

    def rule(self, dataset: str, rule: str) -> str:
        """Return what to do about a broken rule."""
        keys = (f"rule.{rule}", f"rule.{dataset}.{rule}", f"ingest.rule.{rule}")
        return self.known(*keys, f"report.rule.{rule}") or self("rule_other", rule=rule)

    def problem(self, problem: Mapping[str, Any] | None) -> str:
        """Return why a file was set aside; the bare key if this version has no such sentence."""
        if problem is None:
            return "–"
        if problem["key"] not in catalogue():
            return str(problem["key"])
        return say(problem["key"], self.lang, **problem["params"])

    def dataset(self, name: str) -> str:
        """Return the label of a dataset."""
        found = self.policy.datasets.get(name)
        return self.label(found.label) if found else name

    def field(self, dataset: str, name: str) -> str:
        """Return the label of a field."""
        found = self.policy.datasets.get(dataset)
        rule = found.fields.get(name) if found else None
        return self.label(rule.label) if rule else name

    def basis(self, basis: str) -> str:
        """Return a policy's legal basis with the law's name as it is known in this language."""
        return basis.replace("PIPL", "个保法") if self.lang == "zh" else basis

    def retention(self, rule: str) -> str:
        """Return the label of a retention rule."""
        return self.label(self.policy.retention[rule].label)

    def label(self, label: Any) -> str:
        """Return a policy label in this language."""
        return str(getattr(label, self.lang))


@cache
def _sources() -> dict[str, str]:
    folder = files("safehands.report") / "templates"
    return {n: (folder / n).read_text(encoding="utf-8") for n in (*_TEMPLATES, _STYLE)}


@cache
def _environment() -> Environment:
    loader = DictLoader({name: _sources()[name] for name in _TEMPLATES})
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
