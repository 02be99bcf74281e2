"""Words of other languages, and that a word nobody understands leaves no stage."""

from itertools import product

import pytest

from stageapp.vocabulary import snapshot, text
from stageapp.vocabulary.suggestions import suggest

FILES = sorted(text.LANGUAGES.glob("*.tsv"))
VOCABULARY = snapshot.shipped()
# The English that a language may stand for, and what a value of just that word is.
MEANINGS = {
    "seed": "seed",
    "seed funding": "seed",
    "pre seed": "pre_seed",
    "growth": "growth",
    **{f"series {letter}": f"series_{letter}" for letter in "abcd"},
    **dict.fromkeys(
        ("debt", "loan", "grant", "angel", "secondary", "crowdfunding", "corporate"), "not_a_stage"
    ),
    **dict.fromkeys(("rights issue", "bootstrapped"), "not_a_stage"),
    **dict.fromkeys(("ipo", "exit", "acquired", "take private", "out of business"), "exit_status"),
    **dict.fromkeys(("unknown", "other"), "blank"),
    **dict.fromkeys(("ipo ready", "early stage", "late stage", "mid stage"), "ambiguous"),
    **dict.fromkeys(("private equity", "series", "round", "funding", "bridge"), "ambiguous"),
    "pre series a": "between_stages",
}
# These add nothing to the stage before them, and mean nothing alone.
ADD_NOTHING = {"round", "funding", "stage", "closed", "completed", "confirmed", "extension"}


CODES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "cs", "sv", "da", "fi")
CODES += ("tr", "ru", "uk", "he", "ar", "zh", "ja", "ko", "vi", "id")


def test_twenty_two_languages_are_shipped():
    assert {file.stem for file in FILES} >= set(CODES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_phrase_means_what_its_english_means(file):
    wrong = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        phrase, english, _why = line.split("\t")
        meaning = VOCABULARY.normalize(phrase)
        if english in ADD_NOTHING:
            beside = VOCABULARY.normalize(f"Series A {phrase}").stage
            right = (beside, meaning.stage) == ("series_a", None)
        else:
            amount = VOCABULARY.normalize(f"{phrase} ($5M)")
            right = MEANINGS[english] in (meaning.stage, meaning.reason)
            right = right and amount.stage == meaning.stage
        if not right:
            wrong[phrase] = (english, meaning)
    assert wrong == {}


def test_a_file_that_cannot_be_read_names_its_line(tmp_path):
    for content, said in (
        ("סבב\tround\n", "line 1: write a phrase"),
        ("\t\t\n", "line 1: write a phrase"),
        ("one two three four five six seven\tseed\tx\n", "line 1: write a phrase"),
        ("סבב\tround\tx\nסבב\tseries\tx\n", "line 2: סבב is round in another line"),
    ):
        (tmp_path / "xx.tsv").write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=said):
            text.read_words(tmp_path)


HEADS = """
Seed|Pre-Seed|Series A|Serie B|Série A|Seed Round|Seria C|Раунд A|סבב A|الجولة B|A轮|シリーズA|시리즈 B|Vòng Series A|Seri B
""".strip().split("|")
# What people write beside a stage that is not (yet) reached, or not any more.
STATUSES = """
postponed|suspended|deferred|in progress|never closed|in bidding process|lender|spun out|frozen|blocked|draft|under review
|negotiating|term sheet|to be confirmed|exploring|considering|withdrawn|on ice
|geplant|verschoben|abgesagt|laufend|in Vorbereitung|ausgesetzt|gescheitert|vorläufig
|en cours|prévue|reportée|annulée|suspendue|envisagée|en attente
|en curso|prevista|cancelada|aplazada|pendiente|fallida|en negociación
|em andamento|adiada|suspensa|planejada|in corso|rinviata|annullata|sospesa
|gepland|uitgesteld|geannuleerd|planowana|odłożona|w toku|plánováno|zrušeno|probíhá
|planerad|uppskjuten|inställd|planlagt|udskudt|aflyst|suunniteltu|peruttu|käynnissä
|planlandı|ertelendi|iptal edildi|планируется|отложен|отменён|в процессе|планується|скасовано
|מתוכנן|נדחה|בוטל|בתהליך|مؤجلة|ملغاة|قيد التنفيذ|计划中|推迟|取消|进行中|計画中|延期|中止|예정|연기|취소|진행중
|dự kiến|hoãn|hủy|ditunda|dibatalkan
""".replace("\n", "").split("|")
BESIDE = [
    " - {}",
    " – {}",
    "- {}",
    " ({})",
    " [{}]",
    " / {}",
    "/{}",
    ": {}",
    ", {}",
    "; {}",
    " | {}",
    " {}",
    "_{}",
]


def test_no_status_beside_a_stage_makes_it_that_stage():
    values = [head + form.format(status) for head, status, form in product(HEADS, STATUSES, BESIDE)]
    assert len(values) > 19_000
    meant = {value: VOCABULARY.normalize(value).stage for value in values}
    assert {value: stage for value, stage in meant.items() if stage} == {}


def test_what_is_not_understood_has_the_stage_as_its_suggestion():
    for value in ("Series A - Postponed", "Serie A (geplant)", "Series A - Widget Labs"):
        assert VOCABULARY.normalize(value).reason == "unmapped"
        assert suggest(value, VOCABULARY.normalize(value), VOCABULARY) == ("series_a",)
