"""Policy files of the rule book and the organisation: read strictly, refused with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from safehands.errors import PolicyError

__all__ = ["Frozen", "Words", "checked", "read_yaml"]

Model = TypeVar("Model", bound=BaseModel)


class Frozen(BaseModel):
    """A frozen model that refuses keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Words(Frozen):
    """The same thing said in both languages."""

    zh: str
    en: str

    def say(self, lang: str) -> str:
        """Return the wording in ``lang`` (``zh`` or ``en``)."""
        return self.zh if lang == "zh" else self.en


class _Strict(yaml.CSafeLoader):
    """A loader that refuses a key that stands twice: YAML would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for place, key in enumerate(keys) if key in keys[:place]]
        if twice:
            raise _Twice(str(twice[0]))
        return super().construct_mapping(node, deep)


class _Twice(Exception):
    """A key stands twice in one mapping."""


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in ``path``, without its ``version``.

    Raises ``PolicyError`` when the file can't be read, is no mapping, or says a key twice.
    """
    try:
        # A safe loader with one more check.
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)  # noqa: S506
    except _Twice as twice:
        raise PolicyError("organisation.twice", file=path.name, name=str(twice)) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=path.name) from None
    if not isinstance(loaded, dict) or loaded.pop("version", None) != 1:
        raise PolicyError("policy.unreadable", file=path.name)
    return loaded


def checked(model: type[Model], data: Any, file: str, block: str) -> Model:
    """Return ``data`` as ``model``.

    Raises ``PolicyError`` naming file, block (e.g. the rule's id), key and what is wrong with it.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "-"
        raise PolicyError(
            "organisation.invalid", file=file, block=block, where=where, why=first["msg"]
        ) from None
