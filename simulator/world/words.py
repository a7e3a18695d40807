"""Names and texts that people of the simulated world are made from, in English, Thai and Arabic.

Names are joined by chance; nobody in particular is meant. Each name has the Latin form that its addresses use.
"""

GIVEN_EN = tuple((n, n.lower()) for n in (
    "Ada", "Bruno", "Carla", "Dario", "Elsie", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Klara", "Lionel",
    "Maren", "Nadia", "Oskar", "Petra", "Quentin", "Rosa", "Silas", "Thea", "Ulrich", "Vera", "Wanda", "Yara",
))  # fmt: skip
FAMILY_EN = tuple((n, n.lower()) for n in (
    "Abbott", "Birch", "Calloway", "Dunmore", "Eastwick", "Fairley", "Granger", "Holloway", "Ivers", "Jessop",
    "Kettle", "Lockhart", "Marlow", "Northway", "Oakes", "Pemberton", "Quill", "Ridley", "Sandoval", "Thorne",
    "Underhill", "Vance", "Whitlock", "Yardley",
))  # fmt: skip
GIVEN_TH = (
    ("กานดา", "kanda"), ("ขวัญ", "khwan"), ("จิตรา", "jittra"), ("ชาติ", "chat"), ("ณัฐ", "nat"), ("ดารา", "dara"),
    ("ธิดา", "thida"), ("นภา", "napha"), ("ปรีชา", "pricha"), ("พิมพ์", "phim"), ("มานี", "mani"), ("รัตนา", "ratana"),
    ("วิชัย", "wichai"), ("ศิริ", "siri"), ("สมหญิง", "somying"), ("อรทัย", "orathai"),
)  # fmt: skip
FAMILY_TH = (
    ("แก้วใส", "kaewsai"), ("ใจดี", "jaidee"), ("ทองมาก", "thongmak"), ("น้ำใส", "namsai"), ("บุญมี", "bunmi"),
    ("พงษ์ไพร", "phongphrai"), ("มั่งมี", "mangmi"), ("รุ่งเรือง", "rungrueang"), ("วงศ์งาม", "wongngam"),
    ("ศรีสุข", "sisuk"), ("สายธาร", "saithan"), ("อยู่เย็น", "yuyen"),
)  # fmt: skip
GIVEN_AR = (
    ("أمل", "amal"), ("باسم", "basem"), ("جميلة", "jamila"), ("حسام", "husam"), ("خالد", "khaled"), ("دانة", "dana"),
    ("ريم", "reem"), ("زياد", "ziad"), ("سلمى", "salma"), ("طارق", "tareq"), ("ليلى", "layla"), ("نور", "nour"),
)  # fmt: skip
FAMILY_AR = (
    ("الأمين", "alameen"), ("البحري", "albahri"), ("الحداد", "alhaddad"), ("الخياط", "alkhayyat"),
    ("الزهراني", "alzahrani"), ("السالم", "alsalem"), ("الصباغ", "alsabbagh"), ("العطار", "alattar"),
    ("النجار", "alnajjar"), ("الورد", "alward"),
)  # fmt: skip
COMPANIES = (
    ("Copper Kettle Trading", "copperkettle"), ("Northlight Surveying", "northlight"),
    ("Blue Heron Logistics", "blueheron"),
    ("บริษัท ดอกบัว จำกัด", "dokbua"), ("ร้านชาเขียว", "chakhiao"), ("بيت الورق", "baytalwaraq"),
    ("شركة النخلة", "alnakhla"), ("Quiet Harbour Software", "quietharbour"), ("Meadow & Sons", "meadowsons"),
    ("Tin Roof Studio", "tinroof"),
)  # fmt: skip
TITLES = (
    "Buyer", "Head of Sales", "Engineer", "Accountant", "ผู้จัดการ", "ฝ่ายบัญชี", "مديرة المبيعات", "مهندس", "Partner",
    "Office Manager",
)  # fmt: skip
CITIES = (
    ("Chiang Mai", "TH"), ("Bangkok", "TH"), ("Bristol", "GB"), ("Porto", "PT"), ("Amman", "JO"), ("Muscat", "OM"),
    ("Leipzig", "DE"), ("Austin", "US"),
)  # fmt: skip
STREETS = ("Canal Road", "Mill Lane", "ถนนสายธาร", "شارع النور", "Station Street", "Harbour View")
SUBJECTS_EN = (
    "Quote for the spring order", "Minutes of our call", "Invoice {n}", "Are you free on Thursday?",
    "Re: delivery to the new warehouse", "Your visit last week", "Contract draft, second round",
)  # fmt: skip
SUBJECTS_TH = (
    "ใบเสนอราคาสำหรับเดือนหน้า", "สรุปการประชุม", "ใบแจ้งหนี้เลขที่ {n}", "นัดหมายวันพฤหัสบดี", "เรื่องการจัดส่งสินค้า",
)  # fmt: skip
SUBJECTS_AR = ("عرض أسعار للطلب القادم", "محضر الاجتماع", "فاتورة رقم {n}", "موعد يوم الخميس", "بخصوص التسليم")
LINES_EN = (
    "Thank you for the talk this morning.", "We would need the papers by the end of the month.",
    "The lorry leaves on Tuesday and arrives the day after.", "Let me know which of the two suits you better.",
    "I have put the figures into the attached sheet.", "Please greet the others from me.",
)  # fmt: skip
LINES_TH = (
    "ขอบคุณสำหรับการพูดคุยเมื่อเช้านี้", "เราต้องการเอกสารภายในสิ้นเดือน", "รถบรรทุกจะออกวันอังคารและถึงในวันถัดไป",
    "กรุณาแจ้งว่าแบบไหนเหมาะกับคุณมากกว่า", "ฝากสวัสดีทุกคนด้วยนะครับ",
)  # fmt: skip
LINES_AR = (
    "شكرا على حديثنا هذا الصباح.", "نحتاج الأوراق قبل نهاية الشهر.", "تغادر الشاحنة يوم الثلاثاء وتصل في اليوم التالي.",
    "أخبرني أيهما يناسبك أكثر.", "سلامي للجميع.",
)  # fmt: skip
MEETINGS = (
    "Weekly round", "Call with the buyer", "ประชุมทีมขาย", "اجتماع المشروع", "Lunch", "Review of the quarter",
    "Site visit",
    "ตรวจรับงาน", "مكالمة مع العميل",
)  # fmt: skip
