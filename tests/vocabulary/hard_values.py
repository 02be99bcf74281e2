"""Strings that are hard to read: hand-picked values, and strategies that build more of them."""

import re

from hypothesis import strategies as st

WORDS = re.findall(
    r"\S+",
    r"""
    seed Seed SEED pre Pre post series Series serie Série SERIES ser. seri round Round rounds funding
    stage growth Growth expansion late early venture vc VC capital equity preferred stock extension ext.
    bridge a A b B c d E f g x aa 1 2 3 10 2021 (2019) A1 B-2 I II $5M 1.5M €3m (A) [B] 'C' #3 1. 4) A+
    C+ plus or and debt note SAFE grant angel acquired ipo unknown n/a null tbd ? - – — / , ; : | & + ~
    * ! . _ ( ) < > = % \ A轮 B+轮 轮 融资 种子轮 天使轮 シリーズ シード プレ ラウンド 시리즈 시드 프리
    라운드 上市前 及以后 amorçage semilla semente Ronda Rodada Levée d'amorçage Runde Acme Labs Inc.
    סבב סדרה גיוס סיד א גולה جولة السلسلة ب البذرة раунд серия посев hạt giống vòng seri runda kolo tohum
    abgeschlossen clôturée postponed geplant 老股转让 第三者割当増資 구주매각 ซีรีส์ श्रृंखला სერია
    Hippocratic \n \\n \xc2\xa0 \u00a0 %20 %C3%A9 &nbsp; &quot; <br> <b> </td> <td
    """,
)
CHARACTERS = (
    "abcdefinprsABCES0123456789 -_.,;:/|&+*~!?'\"()[]{}<>=%$#@\\\t\n\r"
    "éÉçüÅßæœıİſﬃĳ́̈\xa0\xad\u2003\u2009\u200b\u200d\u202e\u2060\u3000\ufeff\u2028\x85"
    "–—−‐‑“”‘’«»•·…→✓★ＡＢｓｅｄ＋－（）／АВСаеоѕΑΒαρ轮輪种子融资シード시리즈が゙ｼｰﾄﾞ€£¥₹²Ⅰ𝐀Ⓐ©™🌱❌≥→₪אَ๓अ\u200f\ufe0f\ue000\x00\x01\x7f"
)

joined_words = st.builds(
    lambda words, glue: glue.join(words),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=7),
    st.sampled_from([" ", "", "-", " - ", "_", "  ", "/"]),
)
hard_text = st.text(st.sampled_from(CHARACTERS), max_size=24)
values = st.one_of(
    joined_words,
    hard_text,
    st.builds(lambda a, b: a + b, joined_words, hard_text),
    st.text(max_size=40),
)
