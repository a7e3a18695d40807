"""Names of advertising accounts and campaigns, in English, Thai and Arabic, hard cases among them."""

CAMPAIGNS = (
    "Brand search", "Spring sale", "Always on", "Retargeting 30 days", "Lead form B2B", "Store visits",
    "ลดราคาสงกรานต์", "แบรนด์ค้นหา", "เปิดร้านใหม่ เชียงใหม่", "โปรโมชั่นปีใหม่ ๒๕๗๐",
    "حملة الصيف", "عروض رمضان", "بحث العلامة التجارية", "توصيل مجاني",
)  # fmt: skip

HARD_CAMPAIGNS = (
    "Quote ' and \" and \\ backslash",
    "=SUM(A1:A9) | pipe; semicolon, comma",
    "  blanks around  ",
    "👩🏽\u200d🔬 emoji of several code points",
    "\u202bمن اليمين\u202c then left",
    "ก" * 250,
    "e\u0301cole and \u00e9cole",
)
