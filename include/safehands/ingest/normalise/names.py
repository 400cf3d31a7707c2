"""Names of people as they are written on parcels: canonical form, and what looks like one."""

from __future__ import annotations

import re
import unicodedata

from safehands.ingest.normalise.lexicon import compound_surnames, given, is_word, surnames

__all__ = ["HONORIFIC", "SELF_TITLES", "canonical_name", "looks_like_name"]

SELF_TITLES = (
    "先生|女士|小姐|老师|同学|师傅|医生|大夫|护士|教授|经理|主任|老板娘|老板|店长|会计|律师|阿姨|叔叔|大爷|大妈|大叔|大姐|大哥|美女"
    "|帅哥|小朋友|宝宝"
)
"""Honorifics of the person who is named, longer ones first where one begins another."""

HONORIFIC = f"{SELF_TITLES}|太太|夫人|奶奶|爷爷|妈妈|爸爸"
"""All honorifics. Those of a relative say that somebody else is meant: they stay with a name."""

_SPACES = re.compile(r"[\s\u200b-\u200f\ufeff]+")
_DOTS = re.compile(r"\s*[·•‧・∙･‒‧˙.．]\s*(?=[\u3400-\u9fff])")
_TITLE = re.compile(rf"(?<=[\u3400-\u9fff*])\s*[(（]?\s*(?:{SELF_TITLES})\s*[)）]?$")
_NOTE = re.compile(
    r"\s*[(（【\[](?:收|本人|亲收|转|代收|女|男|家人)[)）】\]]$|(?<=[\u3400-\u9fff])(?:亲启|亲收|启收|收)$"
)
_PREFIX = re.compile(r"^(?:收件人|收货人|姓名|联系人|客户)\s*[:：]\s*")
_NOT_LAST = frozenset("的了着过吗呢吧件号码单路街区市县省楼室栋")
_HAN = r"[\u3400-\u9fff\U00020000-\U0003ffff]"
_NOTHING = re.compile(r"(?i)(?:null|nan|none|\\n|-+)?")
_WHOLE = re.compile(rf"{_HAN}{{2,4}}")
_MINORITY = re.compile(rf"{_HAN}{{1,8}}(?:·{_HAN}{{1,10}})+")
_LATIN = re.compile(r"[A-Z][A-Za-z'’-]*\.?(?:\s+[A-Z][A-Za-z'’-]*\.?){1,3}|[A-Z][a-z]{2,14}")
_MASKED = re.compile(rf"(?:{_HAN}{{1,2}}\*{{1,3}}{_HAN}?|\*{{1,2}}{_HAN}{{1,2}})")


def canonical_name(text: str) -> str | None:
    """Return a name in canonical form, or None where the cell says that there is none.

    NFKC; no spaces between Chinese characters, single ones between Latin words; a middle dot
    (U+00B7) between the parts of a minority name; without a label in front, and without an
    honorific behind a name of at least two characters (``王先生`` stays: there the honorific is
    part of how the person is known). Masked names keep their stars.
    """
    plain = unicodedata.normalize("NFKC", text)
    # A spreadsheet's marks of text go; any other formula-like text stays what it is.
    plain = re.sub(r'^="([^"]*)"$', r"\1", plain.strip())
    plain = _PREFIX.sub("", plain.strip(" \t\r\n'`\""))
    plain = _DOTS.sub("·", _SPACES.sub(" ", plain)) if re.search(_HAN, plain) else plain
    plain = _SPACES.sub(" ", plain).strip()
    plain = re.sub(rf"(?<={_HAN}) (?={_HAN})", "", plain)
    if _NOTHING.fullmatch(plain):
        return None
    return _untitled(plain)


def _untitled(plain: str) -> str:
    bare = _TITLE.sub("", _NOTE.sub("", plain)).strip()
    surname_only = len(bare) < 2 or bare in compound_surnames()
    return plain if surname_only else bare


def looks_like_name(cell: str) -> bool:
    """Say whether a whole cell can be a person's name: of Chinese, minority or Latin form."""
    name = canonical_name(cell) or ""
    if _MASKED.fullmatch(name) or _MINORITY.fullmatch(name):
        return True
    if _LATIN.fullmatch(name):
        return " " in name
    titled = re.fullmatch(rf"({_HAN}{{1,2}})(?:{HONORIFIC})", name)
    if titled:
        return titled.group(1)[0] in surnames()
    return bool(_WHOLE.fullmatch(name)) and _is_chinese(name)


def _is_chinese(name: str) -> bool:
    if name[:2] in compound_surnames():
        return 3 <= len(name) <= 4
    if name[0] not in surnames() or is_word(name):
        return False
    if len(name) == 4:
        # A married woman's or a child's double surname: both must be surnames.
        return name[1] in surnames() and all(c in given() for c in name[2:])
    # One sign of a given name may be any: traditional and rare characters are not all listed.
    return sum(c in given() for c in name[1:]) >= len(name) - 2 and name[-1] not in _NOT_LAST
