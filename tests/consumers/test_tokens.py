"""Making and revoking consumers, from Python and from the command line."""

import datetime
import io
import unicodedata

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from stageapp.consumers import tokens as consumers
from stageapp.models import Consumer

SCOPES = ["read", "write", "ops"]


@pytest.mark.django_db
def test_only_the_digest_of_the_token_is_kept():
    consumer, token = consumers.create(" partner ", ["write", "read", "read"])
    kept = Consumer.objects.values().get(pk=consumer.pk)
    assert kept["name"] == "partner"
    assert kept["scopes"] == ["read", "write"]
    assert kept["token_sha256"] == Consumer.digest(token)
    assert token not in str(kept)
    assert len(token) >= 43  # 32 bytes in base64


@pytest.mark.django_db
def test_two_tokens_are_never_the_same():
    tokens = {consumers.create(f"partner {number}", ["read"])[1] for number in range(50)}
    assert len(tokens) == 50


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "scopes", "expires_in"),
    [
        ("", ["read"], None),
        ("  ", ["read"], None),
        ("x" * 201, ["read"], None),
        ("nul\x00", ["read"], None),
        ("half a pair \ud800", ["read"], None),
        ("two\nlines", ["read"], None),
        ("session:root", ["read"], None),
        ("cli:root", ["read"], None),
        ("webhook:alertmanager", ["read"], None),
        ("Guard", ["read"], None),
        ("ｇｕａｒｄ", ["read"], None),
        ("rооt", ["read"], None),  # two Cyrillic letters
        ("αlpha", ["read"], None),
        ("partner", [], None),
        ("partner", ["read", "root"], None),
        ("partner", ["read"], datetime.timedelta(seconds=-1)),
    ],
)
def test_what_makes_no_consumer_is_refused(name, scopes, expires_in):
    expires_at = timezone.now() + expires_in if expires_in else None
    with pytest.raises(consumers.ConsumerError):
        consumers.create(name, scopes, expires_at)
    assert not Consumer.objects.exists()


@pytest.mark.django_db
def test_a_name_that_is_taken_is_refused_and_the_transaction_lives_on():
    consumers.create("partner", ["read"])
    for taken in ("partner", "Partner", "ＰＡＲＴＮＥＲ"):
        with pytest.raises(consumers.ConsumerError, match="already"):
            consumers.create(taken, ["write"])
    assert Consumer.objects.get().scopes == ["read"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["Fondo X", "Банк", "ファンド A", "צוות 7", "R&D (EU)", "guardian"]
)
def test_names_of_one_script_are_taken(name):
    assert consumers.create(name, ["read"])[0].name == name


@pytest.mark.django_db
def test_revoking_twice_keeps_the_first_time():
    consumer, _ = consumers.create("partner", ["read"])
    consumers.revoke(consumer)
    first = Consumer.objects.get().revoked_at
    consumers.revoke(Consumer.objects.get())
    assert Consumer.objects.get().revoked_at == first == consumer.revoked_at


class AnyName(TestCase):
    @given(st.text(max_size=210), st.lists(st.sampled_from([*SCOPES, "root"]), max_size=4))
    def test_any_name_is_taken_or_refused_by_name(self, name, scopes):
        try:
            consumer, _ = consumers.create(name, scopes)
        except consumers.ConsumerError:
            return
        plain = unicodedata.normalize("NFKC", name).strip()
        assert Consumer.objects.get(pk=consumer.pk).name == plain


@pytest.mark.django_db
def test_the_command_prints_the_token_last():
    out = io.StringIO()
    call_command(
        "consumers",
        "token",
        "--name",
        "reporting",
        "--scope",
        "read",
        "--scope",
        "write",
        stdout=out,
    )
    token = out.getvalue().splitlines()[-1]
    consumer = Consumer.objects.get(token_sha256=Consumer.digest(token))
    assert (consumer.name, consumer.scopes) == ("reporting", ["read", "write"])


@pytest.mark.django_db
def test_the_command_refuses_a_taken_name_in_words():
    consumers.create("reporting", ["read"])
    with pytest.raises(CommandError, match="Choose another name"):
        call_command("consumers", "token", "--name", "reporting", "--scope", "read")


@pytest.mark.parametrize(
    "arguments", [["tokens"], ["token"], ["token", "--name", "x", "--scope", "root"]]
)
def test_wrong_usage_is_told_as_such(arguments):
    with pytest.raises(CommandError):
        call_command("consumers", *arguments)
