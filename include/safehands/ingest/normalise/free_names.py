"""Names of people within free text: candidates by surname, weighed by what stands around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from safehands.ingest.normalise.lexicon import compound_surnames, given, is_word, surnames
from safehands.ingest.normalise.names import HONORIFIC

__all__ = ["names_in"]

_HAN = r"[\u3400-\u9fff]"
_ALL_HAN = re.compile(f"{_HAN}+")
_NEEDED = 2.6
_WEAK = frozenset(
    "于时高方平安常单全包石金马白向成边关开管查温明红车门房花水年和万千有后来路易连双满通充干应党解付计别步都那能相言从盛强宁祝代国文"
    "江林田米牛鱼羊钱家官司公师商东南西北阳阴广甘古巴乌桑莫武舒经支项印宿游农福寿幸危贵富利胜空封段凌简展布信盖操初生回由衣位楼植"
    "沙谷宫钟仇上官第五百里子书太长微左右前爱名乐养须充求要字光新黑银铁海山风云雷冰电火土木竹茶麦豆瓜果菜酒药线布刁竺库席库"
    "尚暴谈终居越隆阚顿哈佴赏查红权盖是当真被本同一但其如因则再才可行在为所以之"
)
"""Surnames that are often something else within a text about parcels."""
_SURNAMES, _GIVEN, _COMPOUND = surnames(), given(), compound_surnames()
_FIRST_OF_TWO = frozenset(name[0] for name in _COMPOUND)
_STRONG = _SURNAMES - _WEAK
_ASK = re.compile(
    r"(?:本人|找|联系人?|联络|交给|转交|转给|留给|打给|发给|收件人?|收货人|姓名|名字|叫做?|本名|问|代取人|代收人|取件人|签收人|寄件人"
    r"|提货人|经手人|业主|房主|客户|顾客|租客|住户|机主|户主|同事|朋友|老公|老婆|爱人|儿子|女儿|爸|妈|通知|告诉|告知|致电|委托|授权)"
    r"\s*[:是为叫]?\s*$"
)
_LEAN = re.compile(
    r"(?:[给是请由让跟和与及或代替帮被因@已先要说把对向为有叫喊天晚早午的让同找问加人主户客友事妈爸叔姨婆公儿女子员长店家]|打给|送给|留给|改为|改成|转给|寄给|带给)\s*$"
)
_EDGE_LEFT = re.compile(r"(?:^|[\s,，。.;；:：、/()（）【】\[\]〔〕\"“”'!！?？|+-])$")
_DOES = re.compile(
    r"\s*(?:说|来[取拿领]?|代[取收领拿]|自[取提]|本人|家[人属里]|亲[收自启]|[取拿领签][件走货收]|的(?:快递|包裹|件|电话|手机|货|东西|老公|老婆"
    r"|妈|爸|朋友)|帮[取拿带忙收]|投诉|反映|反馈|来电|打来|称|身份证|证件|老公|老婆|爱人|妈|爸|女儿|儿子|电话|手机|微信|要求|打电话|不在|在家|下楼|周[一二三四五六日末]|明[天早晚]|今[天晚]|后天|下午|上午|晚上|中午|\(?1[3-9]\d)"
)
_VERB = re.compile(
    r"\s*(?:[收取拿领要让会已没未和与及跟在将先去到等帮付改同签留问找打来说称的不想能可叫请给把被再也都还又就才刚正从代放送寄退换反投"
    r"确过下上明今后周晚早中回出家本自亲电手微身证号老爸妈女儿吗呢吧啊您你是])"
)
_EDGE_RIGHT = re.compile(r"(?:$|[\s,，。.;；:：、/()（）【】\[\]〔〕\"“”'!！?？|+\d-])")
_TITLE = re.compile(rf"\s*(?:{HONORIFIC}|总(?![共计额量部分是])|工(?![作人业程])|哥|姐|姨|叔|伯)")
_NEXT_WORDS = frozenset(
    [
        "明天",
        "明早",
        "明晚",
        "今天",
        "今晚",
        "今早",
        "后天",
        "周末",
        "周一",
        "周二",
        "周三",
        "周四",
        "周五",
        "周六",
        "周日",
        "下午",
        "上午",
        "中午",
        "晚上",
        "早上",
        "同意",
        "同事",
        "家人",
        "家属",
        "本人",
        "代取",
        "代收",
        "自取",
        "自提",
        "来取",
        "来拿",
        "来领",
        "电话",
        "手机",
        "快递",
        "包裹",
        "安排",
        "明白",
        "平时",
        "国庆",
        "春节",
        "元旦",
        "开门",
        "关门",
        "放学",
        "下班",
        "上班",
        "出差",
        "在家",
        "不在",
        "先放",
        "先拿",
        "方便",
        "有空",
        "没空",
        "已经",
        "还没",
        "要求",
        "如果",
        "因为",
        "可以",
        "从来",
        "立即",
        "立刻",
        "马上",
        "永远",
        "大概",
        "大约",
        "正在",
        "正好",
        "文件",
        "生鲜",
        "水果",
        "红包",
    ]
)
_MINORITY = re.compile(rf"({_HAN}{{1,6}})\s?[·•‧・]\s?({_HAN}{{1,8}})")
_CUT_FRONT = re.compile(
    r"^.*(?:找|联系|交给|转交|收件人|姓名|通知|告诉|取人|收人|请|给|叫|是|让|由|问|和|代|到|帮|替)"
)
_CUT_BACK = re.compile(
    r"(?:说|来|代|自取|自提|本人|家人|家属|收|取|拿|领|要|让|已|的|电话|手机|明天|今天|下午|上午|晚上|周|先生|女士|不在|在家).*$"
)
_LATIN = re.compile(
    r"(?<![A-Za-z])(?:(?:Mr|Ms|Mrs|Miss|Dr)\.?\s?)?[A-Z][a-z'’]+"
    r"(?:[ -][A-Z]['’]?[A-Za-z'’]+(?:-[a-z]+)?){1,2}(?![A-Za-z])"
    r"|(?:Mr|Ms|Mrs|Miss|Dr)\.?\s?[A-Z][a-z]+"
)
_BRANDS = frozenset(
    [
        "Apple",
        "Air",
        "New",
        "Old",
        "Nike",
        "Under",
        "Red",
        "Blue",
        "Black",
        "White",
        "Express",
        "Post",
        "Hello",
        "Thank",
        "Please",
        "Switch",
        "Mini",
        "Pro",
        "Max",
        "Plus",
    ]
)
_NEAR_LEFT = re.compile(r"〔[\s,，/()（:：;-]{0,3}$")
_NEAR_RIGHT = re.compile(r"[\s,，/()（:：;-]{0,3}〔")
_NEVER = frozenset(
    "的了着过吗呢吧啊是不没在有要请把被就也还都很太这那哪什么怎件号码单电话快递取收付送打来去和与给或已再先元点"
)
_POLITE = re.compile(r"先生|女士|小姐|老师|阿姨|师傅|太太")
_FAMILIAR = re.compile(r"[小老阿]$")
_MASKED = re.compile(rf"{_HAN}\*{{1,2}}")


@dataclass(frozen=True)
class _Candidate:
    start: int
    end: int
    score: float


def names_in(plain: str, taken: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of names in a text, leaving out the parts that are ``taken`` already."""
    text = list(plain)
    for start, end in taken:
        text[start:end] = "〔" * (end - start)
    masked = "".join(text)
    found = [*_dotted(masked), *_latin(masked)]
    for candidate in sorted(_candidates(masked), key=lambda c: (-c.score, c.start - c.end)):
        if all(candidate.end <= start or candidate.start >= end for start, end in found):
            found.append((candidate.start, candidate.end))
    yield from sorted(found)


def _dotted(text: str) -> Iterator[tuple[int, int]]:
    for found in _MINORITY.finditer(text):
        left, right = found.groups()
        start = found.start() + len(left) - len(_CUT_FRONT.sub("", left) or left)
        end = found.end() - len(right) + len(_CUT_BACK.sub("", right) or right)
        yield start, end


def _latin(text: str) -> Iterator[tuple[int, int]]:
    for found in _LATIN.finditer(text):
        if _BRANDS.intersection(found.group().split()):
            continue
        yield found.start() + (len(found.group()) - len(found.group().lstrip())), found.end()


def _candidates(text: str) -> Iterator[_Candidate]:
    for start, sign in enumerate(text[:-1]):
        if sign in _FIRST_OF_TWO and text[start : start + 2] in _COMPOUND:
            yield from _with_surname(text, start, 2, 1.8)
        elif sign in _SURNAMES and "\u3400" <= text[start + 1] <= "\U0003ffff":
            yield from _with_surname(text, start, 1, 1.0 if sign in _STRONG else 0.4)


def _with_surname(text: str, start: int, size: int, base: float) -> Iterator[_Candidate]:
    left = _left(text[:start])
    after = start + size
    title = _TITLE.match(text, after)
    sure = size > 1 or text[start] in _STRONG or left > 0.5 or _POLITE.match(text, after)
    if title and sure and not _joined(text, start):
        yield _Candidate(start, title.end(), 6.0)
    familiar = _FAMILIAR.search(text[:start])
    if (
        familiar
        and text[start] in _STRONG
        and _right(text, after) + _left(text[: start - 1]) >= 1.3
    ):
        yield _Candidate(start - 1, after, 2.8)
    near = 0.7 if _NEAR_LEFT.search(text[:start]) else 0.0
    for length in (2, 1):
        end = after + length
        name = text[start:end]
        if end > len(text) or not _ALL_HAN.fullmatch(name) or not _NEVER.isdisjoint(name[size:]):
            continue
        right = _right(text, end)
        near_right = 0.7 if _NEAR_RIGHT.match(text, end) else 0.0
        firm = (left >= 1.5 and right > 0) or right >= 2.0 or (left > 0 and near + near_right > 0)
        score = base + left + right + max(near, near_right)
        score += _given(name[size:], firm) + _ordinary(text, name, end)
        if score >= _NEEDED:
            yield _Candidate(start, end, score)


def _left(before: str) -> float:
    if _ASK.search(before):
        return 1.5
    if _EDGE_LEFT.search(before):
        return 0.8
    return 0.8 if _LEAN.search(before) else -0.5


def _right(text: str, end: int) -> float:
    if _TITLE.match(text, end):
        return 2.0
    if _DOES.match(text, end):
        return 1.2
    if _EDGE_RIGHT.match(text, end):
        return 0.8
    return 0.6 if _VERB.match(text, end) else -0.3


def _given(signs: str, firm: bool) -> float:
    """Weigh the characters of a given name; where the place is a name's, any sign may be one."""
    known = sum(sign in _GIVEN for sign in signs)
    return 0.6 * known - (0.3 if firm else 1.6) * (len(signs) - known)


def _ordinary(text: str, name: str, end: int) -> float:
    """Return what speaks against a name: it is a word, or its end begins the next one."""
    against = 0.0
    if is_word(name):
        against -= 2.5
    elif len(name) == 3 and is_word(name[:2]):
        against -= 1.2
    if text[end - 1 : end + 1] in _NEXT_WORDS:
        against -= 1.5
    elif is_word(text[end - 1 : end + 1]):
        against -= 0.7
    return against


def _joined(text: str, start: int) -> bool:
    """Say whether the surname ends a word: 开张老板, 海关总."""
    return start > 0 and is_word(text[start - 1 : start + 1])
