"""Columns of files with odd or missing headers, each with the kind that its cells are.

Made for measuring the detectors: names, addresses and numbers are put together from lists of
their own, with shares of blanks, slips and cells of other kinds. All people are invented.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "LabelledColumn",
    "address",
    "id_number",
    "labelled_columns",
    "mobile",
    "name",
    "s10",
    "single_cells",
]


@dataclass(frozen=True)
class LabelledColumn:
    """One column of a file: an odd ``header`` or none, its ``cells``, and what they are."""

    kind: str
    header: str
    cells: list[str]


_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方"
    "石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文庞樊兰殷施陶洪翟安颜倪严牛温芦季俞章鲁葛伍韦申"
    "尤毕聂丛焦向柳邢路岳齐沿梅莫庄辛管祝左涂谷祁时舒耿牟卜路詹关苗凌费纪靳盛童欧甄项曲成游阳裴席卫查屈鲍位覃霍翁隋植甘景薄单包"
    "司柏宁柯阮桂闵解强柴华车冉房边闫付代肖"
)
_RARE_SURNAMES = "昝蔺缪郦芮储仇戚褚禹晏瞿郗麻鄢冼官衣由来敖宓荆仲巩寇阙年逄鹿苟战宛茹都回门郇矫"
_COMPOUND = (
    "欧阳",
    "上官",
    "司马",
    "诸葛",
    "皇甫",
    "令狐",
    "尉迟",
    "端木",
    "慕容",
    "司徒",
    "夏侯",
    "东方",
)
_GIVEN = [
    "建国",
    "志强",
    "秀英",
    "桂兰",
    "海涛",
    "晓燕",
    "文博",
    "子涵",
    "梓萱",
    "雨桐",
    "浩然",
    "宇轩",
    "欣怡",
    "思远",
    "嘉懿",
    "沐阳",
    "若溪",
    "一诺",
    "亦菲",
    "景行",
    "慕青",
    "知行",
    "千寻",
    "语嫣",
    "奕辰",
    "美玲",
    "国栋",
    "翠花",
    "铁柱",
    "金凤",
    "玉梅",
    "春生",
    "德胜",
    "荣华",
    "永康",
    "长青",
    "少华",
    "立群",
    "小雨",
    "大勇",
    "丽娜",
    "红霞",
    "卫东",
    "爱民",
    "跃进",
    "援朝",
    "新民",
    "解放",
    "胜利",
    "芷若",
    "星辰",
    "云起",
    "予安",
    "十一",
    "未晞",
    "南乔",
    "北辰",
    "西西",
    "可乐",
    "糖糖",
    "多多",
    "米粒",
    "果果",
    "朵朵",
    "安之",
    "乐天",
    "鹿鸣",
    "松月",
    "犇犇",
    "淼淼",
    "喆",
    "懿",
    "晗",
    "玥",
    "瑄",
    "珺",
    "骁",
    "昱",
    "旻",
    "颢",
    "偲",
    "芃",
    "煜",
    "烨",
    "毓",
    "妤",
    "婧",
    "琛",
    "伟",
    "芳",
    "敏",
    "静",
    "磊",
    "洋",
    "勇",
    "杰",
    "军",
    "涛",
    "明",
    "辉",
    "刚",
    "平",
    "丹",
    "萍",
    "鑫",
    "博",
    "帅",
    "坤",
    "凯",
    "飞",
    "玲",
    "雪",
    "倩",
    "颖",
    "琳",
    "娟",
    "霞",
]
_MINORITY = [
    "买买提·吐尔逊",
    "阿依夏木·艾合买提",
    "古丽巴哈尔·买买提",
    "依力哈木·肉孜",
    "热孜万古丽·阿布都",
    "扎西·顿珠",
    "次仁·拉姆",
    "巴特尔·孟和",
    "娜仁·托娅",
    "哈丽旦·司马义",
]
_LATIN = (
    "John Smith",
    "Maria Garcia",
    "Li Wei",
    "Anna Ivanova",
    "David O'Neil",
    "Kim Min-su",
    "Wang Fang",
    "Peter Mueller",
)
_TITLES = ("先生", "女士", "小姐", "老师", "阿姨", "师傅", "同学", "老板")
_PLACES = (
    *(
        "北京市朝阳区",
        "上海市闵行区",
        "广州市天河区",
        "深圳市龙岗区",
        "成都市武侯区",
        "重庆市渝北区",
        "武汉市洪山区",
        "西安市雁塔区",
    ),
    *(
        "江苏省南京市江宁区",
        "浙江省义乌市",
        "山东省青岛市黄岛区",
        "河南省郑州市金水区",
        "湖南省长沙市岳麓区",
        "福建省泉州市晋江市",
    ),
    *(
        "广西壮族自治区南宁市青秀区",
        "内蒙古呼和浩特市赛罕区",
        "新疆乌鲁木齐市天山区",
        "黑龙江省哈尔滨市南岗区",
        "安徽省合肥市蜀山区",
    ),
    *(
        "云南昆明市官渡区",
        "贵州省遵义市汇川区",
        "河北省廊坊市三河市",
        "辽宁省大连市甘井子区",
        "江西省赣州市章贡区",
        "",
    ),
)
_ROADS = [
    "长江",
    "解放",
    "中山",
    "人民",
    "迎宾",
    "学府",
    "创业",
    "滨河",
    "幸福",
    "和平",
    "朝阳",
    "建设",
    "振兴",
    "文昌",
    "龙泉",
    "科技",
    "环城",
    "青年",
    "友谊",
    "胜利",
]
_ESTATES = [
    "万科城",
    "恒大名都",
    "碧桂园",
    "绿地新里程",
    "保利花园",
    "金域华府",
    "世纪城",
    "东方明珠",
    "翡翠湾",
    "锦绣江南",
    "凤凰城",
    "水岸公馆",
    "书香苑",
    "温馨家园",
    "职工宿舍",
]
_VILLAGES = ("大王庄村", "小李村", "张家湾村", "柳林镇东街村", "石桥乡前进村", "三里屯村")
_CARRIERS = (
    "顺丰速运",
    "圆通",
    "中通快递",
    "申通",
    "韵达",
    "极兔速递",
    "京东物流",
    "EMS",
    "邮政快递包裹",
    "德邦",
    "菜鸟",
    "STO",
    "yunda",
    "ZTO",
)
_STATUS = (
    "待取件",
    "已取件",
    "已入库",
    "已出库",
    "退回",
    "滞留",
    "已签收",
    "未取",
    "异常",
    "在库",
    "PICKED_UP",
    "STORED",
)
_PLAIN_GOODS = (
    "衣服 鞋子 零食 图书 手机壳 奶粉 日用品 化妆品 水果 茶叶 "
    "床上用品 保健品 宠物粮 文具 家电配件 窗帘 儿童玩具 洗衣液 大米 钓鱼竿"
)
_TRICKY_GOODS = (
    "金针菇 黄焖鸡 白衬衫 花露水 毛呢裙 水杨酸 高跟鞋 马丁靴 牛仔裤 羊绒衫 "
    "鲍鱼汁 柴火灶 苗银镯 安全裤 车载架 方便面 万能胶 温度计 龙井茶 鱼腥草"
)
"""Goods that begin like a name."""
_GOODS = f"{_PLAIN_GOODS} {_TRICKY_GOODS}".split()
_REMARKS = (
    *(
        "放门口",
        "易碎轻放",
        "已短信通知",
        "客户要求周末送",
        "外包装破损已拍照",
        "到付",
        "大件放地上",
        "生鲜请尽快取",
        "联系不上",
        "已放货架最上层",
    ),
    *(
        "再派",
        "客户改期",
        "贵重物品当面签收",
        "晚上八点后来取",
        "门禁进不去",
        "加急",
        "让放丰巢",
        "冷藏",
        "请勿倒置",
        "少一件",
    ),
)


def name(rng: random.Random) -> str:
    """A name of any of the usual forms."""
    draw = rng.random()
    if draw < 0.03:
        return rng.choice(_MINORITY)
    if draw < 0.05:
        return rng.choice(_LATIN)
    surname = rng.choice(_COMPOUND) if draw < 0.08 else rng.choice(_SURNAMES)
    surname = rng.choice(_RARE_SURNAMES) if 0.08 <= draw < 0.12 else surname
    return surname + rng.choice(_GIVEN)


def mobile(rng: random.Random) -> str:
    """A mobile number of eleven digits."""
    return f"1{rng.choice('3456789')}{rng.randrange(10**9):09}"


def address(rng: random.Random) -> str:
    """An address of a town or a village, whole or without its province."""
    place = rng.choice(_PLACES)
    if rng.random() < 0.12:
        return f"{place}{rng.choice(_VILLAGES)}{rng.randint(1, 12)}组{rng.randint(1, 99)}号"
    ending = rng.choice(("路", "大道", "街", "东路", "西街", "巷"))
    road = f"{rng.choice(_ROADS)}{ending}{rng.randint(1, 999)}号"
    estate, block, room = rng.choice(_ESTATES), rng.randint(1, 30), rng.randint(101, 3306)
    home = rng.choice(
        (
            f"{estate}{block}栋{rng.randint(1, 4)}单元{room}",
            f"{estate}{block}-{room}",
            f"{estate}{block}号楼{rng.randint(1, 33)}层",
            f"{estate}{rng.choice('ABC')}座{room}室",
            "",
        )
    )
    gap = " " if rng.random() < 0.1 else ""
    return f"{place}{gap}{road}{gap}{home}".strip()


def id_number(rng: random.Random) -> str:
    """A resident ID number with its check digit (GB 11643-1999), of an invented person."""
    body = f"{rng.choice((110101, 310115, 330106, 440305, 510107, 420111)):06}"
    body += f"{rng.randint(1945, 2012)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    body += f"{rng.randrange(1000):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(c) * w for c, w in zip(body, weights, strict=True))
    return body + "10X98765432"[total % 11]


def s10(rng: random.Random) -> str:
    """A postal item identifier with its check digit (UPU S10)."""
    serial = f"{rng.randrange(10**8):08}"
    rest = sum(int(c) * w for c, w in zip(serial, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    check = {0: 5, 1: 0}.get(rest, 11 - rest)
    return f"{rng.choice(('EA', 'EB', 'CP', 'RR', 'LX'))}{serial}{check}CN"


def waybill(rng: random.Random) -> str:
    digits = rng.randrange
    return rng.choice(
        (
            lambda: f"SF{digits(10**13):013}",
            lambda: f"YT{digits(10**13):013}",
            lambda: f"7{digits(10**13):013}",
            lambda: f"77{digits(10**13):013}",
            lambda: f"46{digits(10**13):013}",
            lambda: f"JT{digits(10**13):013}",
            lambda: f"JDVA{digits(10**11):011}",
            lambda: f"DPK{digits(10**12):012}",
            lambda: f"9{digits(10**12):012}",
            lambda: f"ZX{digits(10**10):010}",
            lambda: s10(rng),
        )
    )()


def phone(rng: random.Random) -> str:
    number = mobile(rng)
    forms = (
        *(number,) * 12,
        *(f"+86{number}", f"86-{number}", f"{number[:3]} {number[3:7]} {number[7:]}"),
        *(
            f"{number[:3]}-{number[3:7]}-{number[7:]}",
            f"'{number}",
            f"{number}转{rng.randint(1, 9999)}",
        ),
        *(f"{number[:3]}****{number[7:]}", f"{number}/{mobile(rng)}", number.translate(_WIDE)),
    )
    return rng.choice(forms)


_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


def landline(rng: random.Random) -> str:
    area = rng.choice(("010", "021", "0571", "0755", "028", "0379"))
    number = f"{rng.randint(2, 8)}{rng.randrange(10**7):07}"
    return rng.choice(
        (
            f"{area}-{number}",
            f"{area}{number}",
            f"({area}){number}",
            f"{area}-{number}-{rng.randint(1, 999)}",
        )
    )


def moment(rng: random.Random) -> str:
    y, m, d = rng.randint(2024, 2026), rng.randint(1, 12), rng.randint(1, 28)
    h, i, s = rng.randrange(24), rng.randrange(60), rng.randrange(60)
    return rng.choice(
        (
            f"{y}-{m:02}-{d:02} {h:02}:{i:02}:{s:02}",
            f"{y}/{m}/{d} {h}:{i:02}",
            f"{y}年{m}月{d}日 {h}时{i}分",
            f"{y}-{m:02}-{d:02}T{h:02}:{i:02}:{s:02}+08:00",
            f"{y}.{m:02}.{d:02}",
            f"{y}/{m}/{d} 星期一 {h}:{i:02}",
        )
    )


def pickup_code(rng: random.Random) -> str:
    slot = rng.randint(1000, 9999)
    return rng.choice(
        (
            f"{rng.randint(1, 20)}-{rng.randint(1, 6)}-{slot}",
            f"Z{rng.randint(1, 9)}-{rng.randint(1, 6)}-{slot}",
            f"K{rng.randint(1, 9)}-{slot}",
            f"{rng.randint(0, 99):02}-{slot}",
            f"{rng.randint(0, 99):02}-{rng.randint(10000, 99999)}",
            f"G{rng.randint(10**7, 10**8 - 1)}",
        )
    )


def shelf(rng: random.Random) -> str:
    return rng.choice(
        (
            f"{rng.choice('ABCD')}-{rng.randint(1, 20):02}-{rng.randint(1, 6):02}",
            f"{rng.choice('ABCD')}{rng.randint(1, 30):02}",
            f"{rng.randint(1, 9)}号货架{rng.randint(1, 5)}层",
            f"{rng.choice('ABCD')}区",
        )
    )


def weight(rng: random.Random) -> str:
    grams = rng.randint(50, 20000)
    return rng.choice(
        (f"{grams / 1000:.2f}kg", f"{grams}g", f"{grams / 1000:.1f}公斤", f"{grams / 500:.1f}斤")
    )


def money(rng: random.Random) -> str:
    yuan = rng.randint(0, 9900) / 100
    return rng.choice((f"¥{yuan:.2f}", f"{yuan:.2f}元", f"{int(yuan)}元", f"￥{yuan:.1f}"))


def recipient(rng: random.Random) -> str:
    gap = rng.choice((" ", "，", ",", "  "))
    parts = [name(rng), mobile(rng), address(rng)]
    rng.shuffle(parts)
    return gap.join(parts)


def titled(rng: random.Random) -> str:
    return name(rng) if rng.random() < 0.9 else rng.choice(_SURNAMES) + rng.choice(_TITLES)


_MAKERS: dict[str, tuple[Callable[[random.Random], str], tuple[str, ...]]] = {
    "mobile": (phone, ("联络号", "号码", "tel2", "买家", "", "F3", "收件人")),
    "landline": (landline, ("座机", "固话", "", "办公电话号")),
    "id_number": (id_number, ("证件", "身份", "", "ID", "编号")),
    "waybill": (waybill, ("单", "货单", "", "面单编码", "号")),
    "address": (address, ("送哪", "位置", "", "收件区域", "addr1")),
    "name": (titled, ("人", "谁的", "", "客户", "name_cn", "单号")),
    "pickup_code": (pickup_code, ("码", "取货号", "", "凭证")),
    "shelf": (shelf, ("放哪", "格子", "", "仓")),
    "time": (moment, ("到了", "什么时候", "", "t1", "日期")),
    "status": (lambda rng: rng.choice(_STATUS), ("情况", "", "stat", "取没取")),
    "carrier": (lambda rng: rng.choice(_CARRIERS), ("哪家", "", "品牌", "exp")),
    "weight": (weight, ("多重", "", "w", "称重")),
    "money": (money, ("钱", "", "费", "应收")),
    "recipient": (recipient, ("信息", "", "收件", "客户信息栏")),
    "number": (lambda rng: f"{rng.randint(1, 30000) / 1000:.3f}", ("数", "", "v")),
    "count": (lambda rng: str(rng.randint(1, 500)), ("序", "", "天数", "件数")),
    "flag": (lambda rng: rng.choice(("是", "否")), ("要不要", "", "opt")),
    "text": (lambda rng: rng.choice((*_REMARKS, *_GOODS)), ("说明栏", "", "物品", "其它")),
}


def labelled_columns(seed: int, files: int) -> list[LabelledColumn]:
    """Return the columns of ``files`` files of between 3 and 300 rows."""
    rng = random.Random(seed)
    found: list[LabelledColumn] = []
    for _ in range(files):
        rows = rng.choice((3, 5, 8, 15, 30, 60, 120, 300))
        for kind in rng.sample(list(_MAKERS), rng.randint(6, 12)):
            make, headers = _MAKERS[kind]
            found.append(LabelledColumn(kind, rng.choice(headers), _cells(rng, make, rows)))
    return found


def _cells(rng: random.Random, make: Callable[[random.Random], str], rows: int) -> list[str]:
    """Make cells; up to a quarter are blank and up to a tenth belong somewhere else."""
    blank, astray = rng.choice((0, 0, 0.1, 0.25)), rng.choice((0, 0, 0.03, 0.1))
    cells = []
    for _ in range(rows):
        draw = rng.random()
        if draw < blank:
            cells.append(rng.choice(("", "", " ", "-", "无", "NULL")))
        elif draw < blank + astray:
            cells.append(rng.choice(list(_MAKERS.values()))[0](rng))
        else:
            cells.append(make(rng) + (" " if rng.random() < 0.03 else ""))
    return cells


def single_cells(seed: int, each: int) -> list[tuple[str, str]]:
    """Return (kind, cell) of ``each`` cells of every kind."""
    rng = random.Random(seed)
    return [(kind, make(rng)) for kind, (make, _) in _MAKERS.items() for _ in range(each)]
