"""How a rule is cited and printed. Nothing below confidence ``text`` is printed as settled law,
and a number of policy never as a number of law."""

from __future__ import annotations

import re
from collections.abc import Mapping

from safehands.messages import say
from safehands.organisation.catalogue import Organisation
from safehands.rulebook.model import Cite, FigureKind, RuleBook, RuleInForce
from safehands.rulebook.names import measure_label

__all__ = [
    "citation",
    "cite",
    "condition_words",
    "duty_words",
    "kind_words",
    "number_words",
    "whom",
]

_PLACE = re.compile(
    r"^(?P<article>\d+)(?:-(?P<sub>\d+))?(?:\((?P<item>\d+)\))?(?: ¶(?P<paragraph>\d+))?$"
)


def cite(book: RuleBook, place: Cite, lang: str) -> str:
    """Return one citation, e.g. ``《个人信息保护法》第21条第2款`` or ``PIPL 21 ¶2``."""
    law = book.laws[place.law]
    if lang == "en":
        return f"{law.short} {place.place}".strip()
    title = law.zh if law.kind == "standard" else f"《{law.zh}》"
    found = _PLACE.match(place.place)
    if found is None:
        return f"{title} {place.place}".strip()
    parts = [f"第{found['article']}条"]
    parts += [f"之{found['sub']}"] if found["sub"] else []
    parts += [f"第{found['paragraph']}款"] if found["paragraph"] else []
    parts += [f"第（{found['item']}）项"] if found["item"] else []
    return title + "".join(parts)


def citation(book: RuleBook, rule: RuleInForce, lang: str) -> str:
    """Return all citations of the edition in force; words for none."""
    shown = [cite(book, place, lang) for place in rule.edition.cited]
    joined = ("；" if lang == "zh" else "; ").join(shown) or say("rulebook.no_law", lang)
    if rule.edition.confidence == "text":
        return joined
    mark = say(f"rulebook.confidence.{rule.edition.confidence}", lang)
    return f"{joined}（{mark}）" if lang == "zh" else f"{joined} ({mark})"


def kind_words(kind: str, rule: RuleInForce, lang: str) -> str:
    """Return who sets a duty or number of the rule; law that was not read is called unsettled."""
    unsettled = kind == "L" and rule.edition.confidence != "text"
    return say("rulebook.kind.unsettled" if unsettled else f"rulebook.kind.{kind}", lang)


def number_words(rule: RuleInForce, lang: str) -> str:
    """Return the number in words with who sets it."""
    shown = rule.number.zh if lang == "zh" else rule.number.en
    mark = kind_words(rule.number.kind, rule, lang)
    return f"{shown}（{mark}）" if lang == "zh" else f"{shown} ({mark})"


def duty_words(rule: RuleInForce, lang: str) -> str:
    """Return who imposes the duty."""
    return kind_words(rule.rule.duty, rule, lang)


def condition_words(
    words: str, organisation: Organisation, figures: Mapping[str, FigureKind], lang: str
) -> str:
    """Return when a rule applies, for people: alternatives joined by a word."""
    shown = []
    for part in words.split("|"):
        family, measure, *bound = part.split(":")
        if family == "occasion":
            kind, _, detail = measure.partition("/")
            label = say(f"rulebook.occasion.{kind}", lang)
            shown.append(f"{label} {detail}".strip())
        else:
            label = measure_label(measure, organisation, figures, lang)
            shown.append(f"{label} ≥ {bound[0] if bound else 1}")
    return ("，或 " if lang == "zh" else ", or ").join(shown)


def whom(rule: RuleInForce, lang: str) -> str:
    """Return whom the rule binds."""
    shown = [say(f"rulebook.binds.{who}", lang) for who in rule.rule.binds]
    return ("、" if lang == "zh" else ", ").join(shown)
