"""Word lists that invented people, addresses and parcels are put together from.

Surnames with their approximate share of the population per thousand; districts with their GB/T
2260 codes, all of them in ``policy/divisions.csv``. Streets, compounds and companies are invented.
"""

from __future__ import annotations

__all__ = [
    "CARRIERS",
    "COMPOUNDS",
    "COMPOUND_SURNAMES",
    "FIRST",
    "GOODS",
    "HANGZHOU",
    "MINORITY_NAMES",
    "OPERATORS",
    "PREFIXES",
    "REMARKS",
    "SECOND",
    "SHENZHEN",
    "STREETS",
    "STREET_ENDINGS",
    "SURNAMES",
    "District",
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


District = tuple[int, str, str, str]

SHENZHEN: tuple[District, ...] = tuple(
    (code, "广东省", "深圳市", name)
    for code, name in (
        *((440305, "南山区"), (440306, "宝安区"), (440304, "福田区"), (440303, "罗湖区")),
        *((440307, "龙岗区"), (440309, "龙华区"), (440310, "坪山区"), (440311, "光明区")),
        (440308, "盐田区"),
    )
)
HANGZHOU: tuple[District, ...] = tuple(
    (code, "浙江省", "杭州市", name)
    for code, name in (
        *((330106, "西湖区"), (330110, "余杭区"), (330105, "拱墅区"), (330102, "上城区")),
        *((330108, "滨江区"), (330109, "萧山区"), (330113, "临平区"), (330114, "钱塘区")),
    )
)

_SHARES = {
    72: "王李",
    68: "张",
    54: "刘",
    46: "陈",
    31: "杨",
    23: "黄赵",
    20: "吴",
    19: "周",
    15: "徐孙",
    14: "马",
    13: "朱",
    12: "胡郭",
    11: "何林",
    10: "高罗",
    9: "郑梁",
    8: "谢宋",
    7: "唐许",
    6: "邓韩冯曹彭",
    5: "曾肖田董潘袁蔡蒋余于",
    4: "杜叶程魏苏吕丁任卢",
    3: "姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白",
    2: "孟秦邱侯江尹薛闫",
}
SURNAMES = {name: share for share, names in _SHARES.items() for name in names}
COMPOUND_SURNAMES = ("欧阳", "司徒", "上官", "诸葛", "司马", "夏侯", "皇甫", "慕容", "令狐", "尉迟")
MINORITY_NAMES = (
    "阿依古丽·买买提",
    "古丽娜尔·阿不都拉",
    "艾力·吐尔逊",
    "帕丽达·依明",
    "迪丽娜孜·库尔班",
    "买买提江·萨迪克",
    "卓玛·次仁措",
    "扎西·多吉旺堆",
    "乌云·巴特尔",
    "热依扎·努尔兰",
    "木合塔尔·艾山",
    "努尔古丽·托合提",
)
FIRST = tuple(
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英文慧建国玉兰红志华晓春海燕雪梅国庆思雨子轩"
    "梓涵浩宇欣怡佳琪俊辉宏立新永健家豪嘉诚若曦一诺沐宸可馨诗雅博承泽云天瑞锦程皓月清婉淑贤"
)
SECOND = tuple(
    "伟芳敏静丽强磊军勇艳杰娟涛明超霞平刚英文华林波辉宁斌鹏飞玲珍琴云洁婷雪梅莹倩晨阳宇轩涵怡"
    "琪辰昊然睿哲航凯瑶萱彤诚瑾岚晴萍东南峰峻松柏楠桐菲蕾"
)
# Three-digit ranges of mobile numbers in use on the mainland.
PREFIXES = tuple(
    f"{n}"
    for n in (
        *(130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 147, 150, 151, 152, 153, 155, 156),
        *(157, 158, 159, 166, 173, 175, 176, 177, 178, 180, 181, 182, 183, 184, 185, 186, 187),
        *(188, 189, 191, 193, 195, 198, 199),
    )
)
STREETS = _words(
    "海棠 云杉 望潮 锦鲤 白鹭 听松 揽月 晴川 竹影 桃源里 石榴 银杏 鸣泉 紫荆 澄湖 丹枫 青禾 南屏 "
    "归雁 长汀 落霞 半山 映雪 渔歌"
)
STREET_ENDINGS = ("路", "街", "大道", "一路", "二路", "巷", "南路", "北路")
COMPOUNDS = _words(
    "阳光花园 碧水湾 翠竹苑 金色家园 云栖里 山语城 星河湾畔 御景台 和悦府 紫薇公馆 书香门邸 "
    "创客公寓 科创大厦 青年人才公寓 第三小学宿舍 桂花新村 滨河小区 万象名邸"
)
# Share per thousand, waybill prefix, digits that follow, suffix; then what stations call the brand.
CARRIERS: tuple[tuple[int, str, int, str, str, str], ...] = (
    (240, "7", 13, "", "中通快递", "ZTO"),
    (200, "YT", 13, "", "圆通速递", "YTO"),
    (150, "77", 13, "", "申通快递", "STO"),
    (140, "46", 13, "", "韵达快递", "YUNDA"),
    (110, "JT", 13, "", "极兔速递", "JT"),
    (70, "SF", 13, "", "顺丰速运", "SF"),
    (40, "JDVA", 11, "", "京东快递", "JD"),
    (35, "EA", 9, "CN", "邮政EMS", "EMS"),
    (15, "DPK", 12, "", "德邦快递", "DEPPON"),
)
GOODS = _words(
    "衣服 鞋子 零食 图书 手机壳 奶粉 日用品 化妆品 药品 文件 玩具 水果 电子配件 床上用品 茶叶 "
    "宠物粮 保健品 成人用品 血糖试纸 孕妇装"
)
OPERATORS = ("周店长", "小陈", "小吴", "兼职01")
# ``{n}`` and ``{p}`` stand for the recipient's name and phone: what people type into remarks.
REMARKS = (
    "放门口",
    "放门口，电话{p}",
    "易碎轻放",
    "到付",
    "生鲜，尽快通知",
    "大件，放地上了",
    "外包装破损，已拍照",
    "{n}说周末来取",
    "已联系{n}，家人代取",
    "代取人电话{p}",
    "加急",
    "打过电话没人接",
    "老人不会用手机，打{p}找{n}",
    "送货上门",
)
