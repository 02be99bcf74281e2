"""The default vocabulary: complete, without contradiction, and true to itself."""

from stageapp.vocabulary import defaults
from stageapp.vocabulary.text import reduce

STAGES = defaults.stages()
ALIASES = defaults.aliases()


def test_the_stages_are_the_eight_of_the_vocabulary_from_early_to_late():
    assert [stage.slug for stage in STAGES] == [
        *("pre_seed", "seed", "series_a", "series_b"),
        *("series_c", "series_d", "series_e_plus", "growth"),
    ]
    assert [stage.rank for stage in STAGES] == sorted({stage.rank for stage in STAGES})


def test_slugs_and_labels_mean_their_own_stage():
    by_key = {reduce(alias.spelling).key: alias.stage for alias in ALIASES}
    for stage in STAGES:
        assert by_key[reduce(stage.slug).key] == stage.slug
        assert by_key[reduce(stage.label).key] == stage.slug


def test_no_two_aliases_share_a_key():
    keys = [reduce(alias.spelling).key for alias in ALIASES]
    assert len(keys) == len(set(keys))


def test_every_alias_names_a_stage_that_exists_and_says_why():
    slugs = {stage.slug for stage in STAGES}
    assert all(alias.stage in slugs and alias.comment for alias in ALIASES)


def test_a_bare_letter_has_no_alias():
    keys = {reduce(alias.spelling).key for alias in ALIASES}
    assert keys.isdisjoint("abcdefghijklmnopqrstuvwxyz")
