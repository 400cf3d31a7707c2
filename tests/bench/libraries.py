"""What public libraries find on the labelled texts, beside our own scrubber.

None of them is a dependency: install those that shall be measured first, for example
``uv pip install jieba jionlp presidio-analyzer cpca``. What is not installed is left out.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labelled_texts import HELD_OUT, HELD_OUT_ALIKES, SEEN, labelled_texts
from measured import texts_measured, untouched

Found = list[tuple[int, int, str]]
Find = Callable[[str], Found]


def main() -> None:
    """Measure every library that is there; print JSON."""
    held = labelled_texts(5, HELD_OUT, 20)
    seen = labelled_texts(1, SEEN, 20)
    alike = labelled_texts(5, HELD_OUT_ALIKES, 5)
    results: dict[str, Any] = {}
    for name, make in _MAKERS.items():
        if all(find_spec(module) for module in _NEEDS[name]):
            find = make()
            begun = perf_counter()
            results[name] = {
                "held_out": texts_measured(held, find).rows(),
                "seen": texts_measured(seen, find).rows(),
                "look_alikes_untouched": round(untouched(alike, find), 3),
                "microseconds_per_text": round(
                    (perf_counter() - begun) * 1e6 / (len(held) + len(seen) + len(alike))
                ),
            }
    print(json.dumps(results, ensure_ascii=False, indent=2))  # noqa: T201


def _ours() -> Find:
    from safehands.ingest.normalise.scrub import Scrubber
    from safehands.policy import load_policy
    from safehands.settings import Settings

    scrubber = Scrubber(load_policy(Settings.read({}).policy).divisions)
    return lambda text: [(s.start, s.end, s.kind) for s in scrubber.spans(text)]


def _jieba() -> Find:
    import jieba  # type: ignore[import-not-found]
    import jieba.posseg  # type: ignore[import-not-found]

    jieba.setLogLevel(logging.ERROR)
    kinds = {"nr": "name", "nrfg": "name", "nrt": "name", "ns": "address"}

    def find(text: str) -> Found:
        found, at = [], 0
        for word, flag in jieba.posseg.cut(text):
            if flag in kinds:
                found.append((at, at + len(word), kinds[flag]))
            at += len(word)
        return found

    return find


def _jionlp() -> Find:
    import jionlp  # type: ignore[import-not-found]

    calls = (
        (jionlp.extract_phone_number, "phone"),
        (jionlp.extract_id_card, "id_number"),
    )

    def find(text: str) -> Found:
        return [
            (hit["offset"][0], hit["offset"][1], kind)
            for call, kind in calls
            for hit in call(text, detail=True)
        ]

    return find


def _presidio() -> Find:
    """Presidio's pattern recognisers over a blank Chinese pipeline: no model can be had offline."""
    import spacy  # type: ignore[import-not-found]
    from presidio_analyzer import (  # type: ignore[import-not-found]
        AnalyzerEngine,
        RecognizerRegistry,
    )
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # type: ignore[import-not-found]
    from presidio_analyzer.predefined_recognizers import (  # type: ignore[import-not-found]
        PhoneRecognizer,
    )

    class Blank(SpacyNlpEngine):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(models=[{"lang_code": "zh", "model_name": "blank"}])
            self.nlp = {"zh": spacy.blank("zh")}

        def load(self) -> None:
            pass

    registry = RecognizerRegistry(supported_languages=["zh"])
    registry.add_recognizer(
        PhoneRecognizer(
            supported_language="zh", supported_regions=("CN",), context=["电话", "手机"]
        )
    )
    engine = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["zh"])
    kinds = {"PHONE_NUMBER": "phone", "PERSON": "name", "LOCATION": "address"}

    def find(text: str) -> Found:
        hits = engine.analyze(text, language="zh")
        return [(h.start, h.end, kinds.get(h.entity_type, h.entity_type)) for h in hits]

    return find


_MAKERS: dict[str, Callable[[], Find]] = {
    "safehands": _ours,
    "jieba 0.42 (posseg)": _jieba,
    "jionlp": _jionlp,
    "presidio-analyzer": _presidio,
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "safehands": (),
    "jieba 0.42 (posseg)": ("jieba",),
    "jionlp": ("jionlp",),
    "presidio-analyzer": ("presidio_analyzer", "spacy"),
}


if __name__ == "__main__":
    main()
