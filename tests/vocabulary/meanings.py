"""One table of raw values and what they mean, run through Python and through PostgreSQL alike."""

KNOWN = {
    "pre_seed": """
        pre_seed|Pre-Seed|Pre-Seed+|PRESEED|pre - seed|Pré–seed|Pre.Seed|Series Pre-Seed|Pre-Seed Funding Round
        |Pré-amorçage|Presemilla|Pré-semente|プレシード|프리 시드
        |Pre-Seed - II
        |טרום סיד|مرحلة ما قبل البذرة|Tiền hạt giống|Пресид|Tohum öncesi|种子前轮|Pre种子轮
        |2. Pre-Seed|Pre-Seed ($250K)|Pre-Seed-Phase""",
    "seed": """
        seed|Seed Round|SEED VC|the Seed round|Series Seed|Series Seed-2 Preferred Stock
        |Series Seed B Preferred|Seed Ext.|Seed II|Seed+|Seed plus|Late Seed|Seed / Angel Funding
        |Angel/Seed|Amorçage|Tour d'amorçage|Ronda Semilla|Capital semente|Seed-Runde|Seedfinanzierung
        |シード|ｼｰﾄﾞ|시드 투자|种子轮|種子輪|3. Seed Round (Series Seed)|a $3 million seed round
        |Seed: €1.2M|<b>Seed</b>|Seed\\nFunding|Stage: Seed|Seed fund|seeding round|Seed Series|🌱 Seed|𝐒𝐞𝐞𝐝|Seed™
        |סבב סיד|البذرة|المرحلة البذرية|Посевной раунд|Vòng hạt giống ($200k)|Tohum|Runda Seed
        |Siemenvaihe|Series Seed-2 Preferred (PS2)|✅ Seed|Seed - closed|种子轮（已完成）""",
    "series_a": """
        series_a|Series A|SeriesA|SERIES-A|Ser. A|Série A|Serie-A|Ronda de inversión Serie A
        |Levée de fonds série A|Round A|A-Round|Series A1|Series A-2|Series A Prime|Series A (2)
        |Series A Extension Round|Series A - final close|Series A-1 Preferred
        |Series A Convertible Preferred Stock|4. Early Stage VC (Series A)|6. Later Stage VC (Series A1)
        |Series A ($5M)|$10M Series A|2021: Series A|Series A - Mar 2021
        |#3 Series A|A轮|A+轮|A++轮融资|シリーズAラウンド|시리즈 A 투자|Series%20A|S%C3%A9rie%20A
        |A-series|Series 𝐀|🚀 Series A|Series A 🇺🇸|סבב A|סבב א׳|גיוס סבב A|السلسلة أ|Раунд A|Серия а
        |Runda A|Vòng Series A ($1M)|seri a|Serie-A-financiering|Series A Extension ~$75MM (April 2025)
        |Serie A - abgeschlossen|Série A - clôturée|Series A - completed|\u200fSeries A\u200f
        |Series+A|Series&nbsp;A|"Series A"|Series (A)|• Series A;|Ｓｅｒｉｅｓ　Ａ|Series\xa0A""",
    "series_b": """
        Series B|series b2|Series B Preferred Units|Series B - Extension|Round B|B轮|Series B Funding Extension Round
        |7. Corporate (Series B)|الجولة B|السلسلة ب|Kolo B|Putaran B""",
    "series_c": """
        Series C|Series C (ext)|Série C|Late Stage VC (Series C)|C+轮""",
    "series_d": """
        Series D|SERIES_D|Series D-1 Preferred|D輪""",
    "series_e_plus": """
        series_e_plus|Series E+|Series E|Series E and later|Series E/F|Series F+|Series H|Series I
        |12. Later Stage VC (Series F)|E轮及以后|F轮-上市前|Série G|Round E""",
    "growth": """
        growth|Growth Equity|GROWTH EQUITY VC|growth-stage|Series Growth|6. PE Growth/Expansion|النمو|Wachstumsphase|Cap-Dev
        |Growth Equity - II""",
}
UNKNOWN = {
    "blank": "|   |\u200b|N/A|n.a.|-|—|null|NaN|Unknown|(blank)|Undisclosed|TBD|未披露|[]|その他|不明|其他|기타"
    "|לא ידוע|unbekannt|🏁",
    "ambiguous": """
        A|[B]|c|A+|Series A+|Series C+|series-c+|Series B or later|Series 1|Series|Series Unknown
        |Venture - Series Unknown|Venture Round|Private Equity|Early Stage VC|Late stage|LATE VC
        |Expansion|Pre-IPO|Bridge Round|Series A (TBC)|Seed?|probably seed|Series AA|Series X
        |Series A - cancelled|Raising Series A|not Series A
        |IPO Ready|IPO準備中|プレIPO|Series Ⅰ|Series A ❌|Seed ❓|≥ Series C|→ Series A
        |👎 Seed|💀 Series A|⏹ Seed|🚧 Series B|Series A 😢|アーリー|Erken Aşama
        |a funding round|a $4 million round|A round of $5M
        |Venture Growth""",
    "between_stages": """
        Pre-Series A|pre_series_b|Pre-A Round|Pré-Série A|Pre-A轮|프리 시리즈A|Bridge to Series A
        |Series A Bridge|Post Seed|Serie A - puente|Serie A - Brückenfinanzierung""",
    "multiple_stages": """
        Series A / B|Series A–B|Series A or B|Series C, D|Seed/Series A|Seed, Série A|Seed - Series B
        |Pre-Seed/Seed|A+B|A轮,B轮|Series A; Series B|Seed → Series A|Series D/E|Growth, Series C
        |<li>Series A</li><li>Series B</li>|Seed Round (Series A)""",
    "not_a_stage": """
        Debt|7. Debt - General|Venture Debt|Convertible Note|Series A Notes|Series A - Debt|Seed SAFE
        |Grant|Equity Crowdfunding|Angel|天使轮|Corporate Round|战略投资|Secondary Market|ICO|Class A
        |Series B Warrants|Debt - General (Series B)|Mezzanine|Accelerator/Incubator
        |第三者割当増資|老股转让|구주매각|Melek Yatırımcı|Preferred Shares|Public sale|מענק
        |Series A - Convertible Note|Friends & Family|Growth Loan""",
    "exit_status": """
        Acquired|M&A|IPO|Post-IPO Equity|11. Merger/Acquisition|Out of Business|LBO|Shut down|新三板
        |并购|הנפקה|Выход|上場済み|私有化|Subsidiary|Buyout""",
    "junk": """
        \x00|Seed\x00|\ud800|#REF!|2021-03-04|200,000,000|$5M|true|①|Total Shares
        |Amor\ufffdage|https://example.org|<td class="column-9"></td>""",
    "unmapped": """
        Series А|Sеed|Series Β|Seires A|Tier A|Vitamin C|Seedcamp|Mini Series A|Y Combinator
        |Series A - Postponed|Series A closing|Seed Fund II|Seed - suspended|Série A - en cours|Serie A - geplant
        |Series A - In Bidding Process|Series A (never closed)|Series A: deferred|Seed / on ice|Series A Partners LP
        |Seed Round - Widget, Inc.|Series A - Widget Labs|Seed Round - Tiny Labs|ซีรีส์ A|სერია A|Sееd|Ѕeries A
        |Xbox Series X|S-A""",
}


def _cases():
    for stage, values in KNOWN.items():
        yield from ((raw, stage, None) for raw in _split(values))
    for reason, values in UNKNOWN.items():
        yield from ((raw, None, reason) for raw in _split(values))
    # Values that hold the separator of the tables above.
    yield from [
        ("Series A | Series B", None, "multiple_stages"),
        ("| Series A |", "series_a", None),
    ]
    yield from [
        ("x" * 257, None, "junk"),
        ("Seed" + " " * 252, "seed", None),
        ("Seed" + " " * 253, None, "junk"),
    ]


def _split(values):
    parts = values.split("|")
    return [part.strip(" \n") if "\n" in values else part for part in parts]


CASES = list(_cases())
