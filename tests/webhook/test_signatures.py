"""Signing and comparing, against vectors that others have published, and headers of every shape."""

import base64
import hashlib
import hmac
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.webhook import signatures as headers
from stageapp.webhook.secrets import read_secrets
from stageapp.webhook.signatures import Malformed

# Of the tests of the libraries of Standard Webhooks (MIT):
# github.com/standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py and
# libraries/rust/src/lib.rs.
PUBLISHED = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]
# RFC 4231, section 4.3 and 4.6 (the latter is of 128 bits, which is none of ours).
RFC_4231 = (
    "Jefe",
    b"what do ya want for nothing?",
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
)
KEY = b"k" * 31 + b"x"


@pytest.mark.parametrize("secret, id, timestamp, body, signature", PUBLISHED)
def test_it_signs_and_agrees_as_the_published_vectors_do(secret, id, timestamp, body, signature):
    for text in (secret, secret.removeprefix("whsec_")):  # the libraries decode either
        keys = read_secrets(text)[0].keys
        given_ones = headers.read_signatures(signature)
        assert headers.is_signed(keys, id, str(timestamp), body, given_ones)
    assert headers.sign(read_secrets(secret)[0].keys[0], id, timestamp, body) == signature


@pytest.mark.parametrize(
    "signature",
    [
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OF=",
        "v1,g0hM9",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ],
)
def test_it_does_not_agree_with_what_differs_in_a_bit_a_version_or_what_base64_leaves_over(
    signature,
):
    secret, id, timestamp, body, _ = PUBLISHED[0]
    given_ones = headers.read_signatures(signature)
    assert not headers.is_signed(read_secrets(secret)[0].keys, id, str(timestamp), body, given_ones)


def test_hex_is_of_the_raw_body_whole_and_of_either_case():
    key, message, mac = RFC_4231
    assert headers.is_signed_hex([key.encode()], message, mac)
    assert headers.is_signed_hex([b"another", key.encode()], message, headers.read_hex(mac.upper()))
    assert not headers.is_signed_hex([key.encode()], message + b" ", mac)
    for cut in (mac[:32], mac + "\n", mac[:-1] + "g", f"sha256={mac}", ""):
        with pytest.raises(Malformed):
            headers.read_hex(cut)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "abc",
        "v1,x,y",
        "v1,",
        "v1,é",
        " v1,abcd",
        "v1,abcd ",
        "v1,abcd  v1,abcd",
        "v1, abcd",
        "V1,abcd",
        "v1,a\nb",
        "v1,ab=d",
        "bad_header",
        "i'm not even a real signature header",
        "v1,abcd,v1,abcd",
        "v1,ab\x00d",
        ",",
        "v1",
    ],
)
def test_a_signature_header_that_is_no_list_of_versions_and_base64_is_malformed(value):
    with pytest.raises(Malformed):
        headers.read_signatures(value)


def test_a_flood_of_signatures_is_refused_at_once():
    flood = " ".join(["v1," + "A" * 43 + "="] * 20_000)
    began = time.perf_counter()
    with pytest.raises(Malformed):
        headers.read_signatures(flood)
    with pytest.raises(Malformed):
        headers.read_signatures(" ".join(["v1,AAAA"] * (headers.MAX_SIGNATURES + 1)))
    assert time.perf_counter() - began < 0.05


@pytest.mark.parametrize("value", ["x.1", "", "a b", "a,b", "ä", "a\n", "x" * 129, "\x7f"])
def test_an_id_that_could_be_split_otherwise_is_malformed(value):
    with pytest.raises(Malformed):
        headers.read_id(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "nan",
        "1e99",
        "inf",
        "1700000000.9",
        " 1700000000",
        "1700000000 ",
        "1_700000000",
        "-170000000",
        "+170000000",
        "١٧٠٠٠٠٠٠٠٠",
        "170000000",
        "17000000000",
        "0x65a1b2c3d",
        "1700000000\n",
        "hello",
    ],
)
def test_a_timestamp_is_ten_digits_and_nothing_else(value):
    with pytest.raises(Malformed):
        headers.read_timestamp(value)


ANYTHING = (
    st.text()
    | st.text(alphabet="v12,=+/ abAB.\t\x00é", max_size=60)
    | st.from_regex(r"(v1,[A-Za-z0-9+/]*=* ?)+")
)


@given(ANYTHING)
def test_whatever_a_signature_header_holds_is_a_list_of_base64_or_malformed(value):
    try:
        found = headers.read_signatures(value)
    except Malformed:
        return
    assert len(found) <= headers.MAX_SIGNATURES
    assert all(re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", one) for one in found)
    assert not headers.is_signed([KEY], "msg", "1700000000", b"{}", found)


@given(st.text(max_size=200), st.text(max_size=20))
def test_whatever_id_and_timestamp_hold_is_what_it_was_or_malformed(id, timestamp):
    for read, value in ((headers.read_id, id), (headers.read_timestamp, timestamp)):
        try:
            found = read(value)
        except Malformed:
            continue
        assert str(found).rjust(10, "0") == value.rjust(10, "0")
        assert "." not in value


@given(
    st.binary(max_size=200),
    st.binary(min_size=1, max_size=80),
    st.from_regex(r"[!-+\-/-~]{1,128}", fullmatch=True),
)
def test_what_is_signed_agrees_beside_wrong_ones_and_with_no_other_key_body_or_id(body, key, id):
    own = headers.sign(key, id, 1_700_000_000, body)
    wrong = base64.b64encode(hmac.new(b"wrong", body, hashlib.sha256).digest()).decode()
    read = headers.read_signatures(f"v1,{wrong} v1,{wrong} v9,{wrong} {own}")
    assert headers.is_signed([b"other", key], headers.read_id(id), "1700000000", body, read)
    assert not headers.is_signed([b"other" + key], id, "1700000000", body, read)
    assert not headers.is_signed([key], id, "1700000000", body + b" ", read)
    assert not headers.is_signed([key], id, "1700000001", body, read)
    assert not headers.is_signed([key], f"{id}x"[:200], "1700000000", body, read)
