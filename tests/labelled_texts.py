"""Remarks and other free text with the personal parts marked, and look-alikes without any.

Two sets of templates: the rules were tuned on ``SEEN`` and ``LOOK_ALIKES``; ``HELD_OUT`` and
``HELD_OUT_ALIKES`` were written after the last change to a rule and measured once. The published
figures are of those. All people are invented.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from labelled_columns import address, id_number, mobile, name, s10

__all__ = [
    "HELD_OUT",
    "HELD_OUT_ALIKES",
    "LOOK_ALIKES",
    "SEEN",
    "LabelledText",
    "labelled_texts",
]


@dataclass(frozen=True)
class LabelledText:
    """A text (NFKC) and what is personal in it: (start, end, kind), half open."""

    text: str
    spans: tuple[tuple[int, int, str], ...]


SEEN = (
    *(
        "放门口，电话{p}",
        "{n}说周末来取",
        "已联系{n}，家人代取",
        "代取人电话{p}",
        "老人不会用手机，打{p}找{n}",
        "送到{a}",
    ),
    *(
        "{n}{t}的快递，{p}",
        "收件人：{n} 电话：{p} 地址：{a}",
        "身份证{i}已核验",
        "{t1}来电要求改送{a}",
        "请联系{n}（{p}）",
    ),
    *(
        "{n}，{p}，{a}",
        "本人{n}身份证号{i}",
        "找{t1}",
        "{n}代收",
        "打{l}找{n}",
        "{p}打不通，换{p}",
        "改地址：{a}",
        "放{h}",
    ),
    *(
        "同事{n}帮取",
        "客户{n}投诉破损",
        "门卫{t1}已签",
        "{n} {p}",
        "已交给{n}",
        "微信{w}",
        "{n}让放丰巢",
        "请送{h}，{t1}收",
    ),
    *(
        "退回寄件人{n}，{p}",
        "{n}老公来拿",
        "证件号码：{i}",
        "电话{pc}",
        "{ps}这个号才打得通",
        "call {n} at {p}",
    ),
    *(
        "帮{n}带的，她电话{p}",
        "今天{n}没空，{t1}过来拿",
        "麻烦送到{a}，谢谢",
        "货到请打{p}或{l}",
        "{n}家的，放{h}门口",
        "{t1}，{p}，急用",
    ),
    *(
        "与{n}核对过，同意退件",
        "有问题找店里的{n}，号码{p}",
        "取件人出示身份证{i}",
        "户主{n}不在，由{n}签收",
        "搬家了，新地址{a}",
    ),
    *(
        "寄给{n}的礼物，别给别人",
        "(备用：{p})",
        "备注:{n}/{p}/{h}",
        "{n}－{p}－{a}",
        "顾客{n}称未收到，请回电{l}",
        "孩子叫{n}，让他来",
    ),
    *(
        "快递员你好，我是{n}，请放{h}，打{p}",
        "加我微信{w}",
        "我手机号{pc}",
        "联系方式 {ps}",
        "{t1}女儿来取，证件{i}",
        "{n}和{n}一起取",
    ),
    *(
        "物业{t1}代收，有事打{p}",
        "楼下{h}，别按门铃",
        "发{a} {n} {p}",
        "{p}{n}",
        "{n}{p}",
        "原收件人{n}改为{n}",
        "请问{n}在吗",
        "号码错了，应为{p}",
    ),
    *(
        "不要打{p}，打{l}",
        "{n}已付款12元",
        "通知{n}明天来拿2件",
        "单号SF1234567890123 收件{n}",
        "给{n}留着，下午3点取",
        "{n}的到付件，收23.5元",
    ),
)
HELD_OUT = (
    *(
        "这件是{n}的，{n2}先替她收着",
        "孕妇{n}不方便下楼，送{h}",
        "电话里{t1}说改到{a}",
        "已发短信给{p}",
        "{p}停机，另一个号{p}",
        "收货人改成{n}，号码{p}",
    ),
    *(
        "跟{n}说好了放{h}",
        "{n}的弟弟拿走了",
        "货主{n}同意部分退款{m}元",
        "{t1}反映少件，联系{l}",
        "身份证{i}，{n}",
        "转寄{a}，{n}收，{p}",
    ),
    *(
        "到了喊一声{n}",
        "签收人写的是{n}",
        "登记：{n}，证件{i}，{p}",
        "{n}今晚八点前来",
        "别打{p}了，老人在睡觉",
        "她叫{n}，住{h}",
        "{k}是{n}的码",
    ),
    *(
        "地址写错，正确的是{a}",
        "三楼{n}，{p}",
        "楼上{t1}帮收一下",
        "给{n}打过三次都没接",
        "{n}/{n2}合并取",
        "{a}{n}{p}",
        "WX：{w}",
        "投诉人{n}（{p}），要求赔{m}元",
    ),
    *(
        "{b} {n} 拒收",
        "{n}小朋友的书",
        "上门取退货：{a}，{p}",
        "代收：{n}",
        "{p}（{n}）",
        "{n}到付",
        "找不到{n}，打{ps}也不通",
        "新号{pc}，旧号停了",
        "请转告{n}有两件",
    ),
)
LOOK_ALIKES = (
    *(
        "放门口",
        "易碎轻放",
        "生鲜，尽快通知",
        "外包装破损，已拍照",
        "打过电话没人接",
        "送货上门",
        "大件，放地上了",
        "明天下午来取",
        "周末送",
    ),
    *(
        "运单号{b}",
        "取件码{k}",
        "请凭{k}来取",
        "到付{m}元",
        "代收货款¥{m}",
        "{d}入库",
        "{d} 已通知",
        "订单{o}",
        "单号：{b}请查收",
        "共3件 {m}元",
    ),
    *(
        "放3号柜",
        "2号货架第4层",
        "在A-03-02",
        "放小区门口超市",
        "高兴得很，五星好评",
        "方便的时候送",
        "任何人不得代签",
        "安全第一",
        "时间不限",
    ),
    *(
        "包装完好",
        "单独存放",
        "常温保存",
        "金属制品勿压",
        "花生油5L",
        "石榴3斤",
        "白酒两瓶",
        "黄瓜和毛豆",
        "马上来",
        "全部退回",
        "关门了明天再来",
    ),
    *(
        "家里没人",
        "钱已付",
        "车上等",
        "平台已赔付{m}元",
        "高价值物品",
        "元旦前送到",
        "国庆放假",
        "向上放置",
        "文件资料勿折",
        "水果烂了两个",
    ),
    *(
        "15号下午到",
        "3楼前台取",
        "二楼服务台",
        "8月10日前有效",
        "满100减20",
        "版本2.0.1.15",
        "重12.5kg",
        "第13800件",
        "编号20261123",
        "易碎品3号箱",
    ),
    *(
        "温度-18以下",
        "司机已离开",
        "房东代收",
        "管理员不在",
        "保安室",
        "成人用品保密",
        "米面粮油",
        "单据在箱内",
        "路上堵车晚点",
        "{b} 与 {b} 合并",
    ),
    *(
        "尾单{k}",
        "S10邮件{x}",
        "称重1.25公斤",
        "客服热线转人工",
        "退款{m}元已到账",
        "凭码{k}，24小时内取",
        "货号88123456",
        "批次13812345678901",
    ),
)
HELD_OUT_ALIKES = (
    *(
        "重新打包，箱子压坏了",
        "放前台代收处",
        "请从东门进",
        "晚上九点关门",
        "{d}到，{d}前取走",
        "共{m}元，已收",
        "货架{k}空了",
        "扫{b}无结果",
        "冷链车已到",
    ),
    *(
        "高新区分拣中心转出",
        "万一下雨请盖好",
        "明星周边勿压",
        "常州发出",
        "安徽黄山毛峰茶叶",
        "金华火腿一条",
        "海鲜，今天必须取走",
        "白色纸箱",
        "黑色袋子装着",
    ),
    *(
        "柜子满了，放地上",
        "平台要求拍照",
        "客户要求开箱验货",
        "双十一爆仓延误",
        "重庆火锅底料两包",
        "于{d}前未取将退回",
        "温州鞋两双",
        "别放太阳下",
        "石家庄中转",
    ),
    *(
        "程序自动入库",
        "路由异常",
        "单号重复{b}",
        "房间号没写",
        "包间预订",
        "雷雨天气延误",
        "牛肉干3袋",
        "江米条一箱",
        "宁愿晚点也别暴力",
        "解封后送",
        "花瓶易碎，轻拿轻放",
    ),
    *(
        "{m}公斤，超重补{m}元",
        "第3批共120件",
        "保质期20261231",
        "4楼会议室",
        "10号窗口办理",
        "尺码42，颜色白",
        "3-5天内到",
        "套餐A含8件",
        "2026/11/23 14:05再派",
    ),
)
_TITLES = ("先生", "女士", "小姐", "老师", "阿姨", "师傅")
_COMMON = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭罗梁宋郑谢韩唐冯董萧曹袁邓许"
_NUMERALS = "零一二三四五六七八九"


def _dressed(rng: random.Random) -> str:
    n = mobile(rng)
    wide = n.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    forms = (n, n, n, n, f"+86 {n}", f"{n[:3]}-{n[3:7]}-{n[7:]}", f"{n[:3]} {n[3:7]} {n[7:]}", wide)
    return rng.choice((*forms, f"{n}转{rng.randint(100, 9999)}"))


def _cut(rng: random.Random) -> str:
    """A number written to be overlooked."""
    n = mobile(rng)
    return rng.choice(
        (
            " ".join(n),
            f"{n[:4]} {n[4:8]} {n[8:]}",
            f"{n[:3]}.{n[3:7]}.{n[7:]}",
            n.replace("0", "O", 1),
            f"{n[:5]} {n[5:]}",
        )
    )


def _home(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{rng.randint(1, 30)}栋{rng.randint(1, 4)}单元{rng.randint(101, 2505)}室",
            f"{rng.randint(1, 30)}号楼{rng.randint(101, 2505)}",
            f"{rng.randint(1, 9)}单元{rng.randint(101, 905)}室",
            f"阳光花园{rng.randint(1, 30)}栋{rng.randint(101, 2505)}",
        )
    )


def _landline(rng: random.Random) -> str:
    return (
        f"{rng.choice(('010', '0571', '021', '0755'))}-{rng.randint(2, 8)}{rng.randrange(10**7):07}"
    )


_MAKERS: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "p": ("phone", _dressed),
    "pc": ("phone", _cut),
    "ps": ("phone", lambda r: "".join(_NUMERALS[int(c)] for c in mobile(r))),
    "l": ("phone", _landline),
    "w": ("phone", lambda r: f"{r.choice(('wx', 'abc_', 'lily'))}{r.randint(1000, 999999)}"),
    "n": ("name", name),
    "n2": ("name", name),
    "t1": ("name", lambda r: r.choice(_COMMON) + r.choice(_TITLES)),
    "t": ("", lambda r: r.choice(("先生", "女士", ""))),
    "a": ("address", address),
    "h": ("address", _home),
    "i": ("id_number", id_number),
    "b": (
        "",
        lambda r: r.choice(
            (
                f"SF{r.randrange(10**13):013}",
                f"7{r.randrange(10**13):013}",
                f"YT{r.randrange(10**13):013}",
                s10(r),
            )
        ),
    ),
    "x": ("", s10),
    "k": (
        "",
        lambda r: r.choice(
            (
                f"{r.randint(1, 9)}-{r.randint(1, 6)}-{r.randint(1000, 9999)}",
                f"K{r.randint(1, 9)}-{r.randint(1000, 9999)}",
            )
        ),
    ),
    "m": ("", lambda r: f"{r.randint(1, 20000) / 100:.2f}"),
    "d": ("", lambda r: f"2026-{r.randint(1, 12):02}-{r.randint(1, 28):02}"),
    "o": ("", lambda r: f"{r.randrange(10**18, 10**19)}"),
}
_SLOT = re.compile(r"\{(\w+)\}")


def labelled_texts(seed: int, templates: tuple[str, ...], each: int) -> list[LabelledText]:
    """Fill every template ``each`` times."""
    rng = random.Random(seed)
    return [_filled(template, rng) for template in templates for _ in range(each)]


def _filled(template: str, rng: random.Random) -> LabelledText:
    text, spans, at = "", [], 0
    for slot in _SLOT.finditer(template):
        text += unicodedata.normalize("NFKC", template[at : slot.start()])
        kind, make = _MAKERS[slot.group(1)]
        value = unicodedata.normalize("NFKC", make(rng))
        if kind:
            spans.append((len(text), len(text) + len(value), kind))
        text, at = text + value, slot.end()
    text += unicodedata.normalize("NFKC", template[at:])
    return LabelledText(text, tuple(spans))
