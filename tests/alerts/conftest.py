"""Fixtures of alerts: real servers on loopback, and an installation with an address book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks import MailSink, WebhookSink


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with MailSink() as sink:
        yield sink


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookSink]:
    with WebhookSink(tmp_path) as sink:
        for name, value in sink.environment.items():
            monkeypatch.setenv(name, value)
        yield sink
