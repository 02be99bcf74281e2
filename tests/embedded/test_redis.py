"""The embedded Redis, and every client of this project on its URL."""

import os
import stat

import psutil
import pytest
from celery import Celery
from django_redis.cache import RedisCache
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from stageapp import embedded
from stageapp.embedded.redis import EmbeddedRedis
from tests.embedded.conftest import redis_at, redis_client


@pytest.fixture
def redis(root, bare) -> EmbeddedRedis:
    bare.setenv("DATABASE_URL", "postgres://not.used/here")
    bare.setenv("DEBUG", "1")
    embedded.provide(root)
    return redis_at(root)


def test_redis_py_takes_the_url(redis):
    with redis_client(redis.url) as client:
        assert client.set("a", "b")
        assert client.get("a") == "b"


def test_django_redis_takes_the_url(redis):
    cache = RedisCache(redis.url, {})
    cache.set("key", {"value": 1}, timeout=10)
    assert cache.get("key") == {"value": 1}
    cache.close()


def test_kombu_takes_the_translated_url(redis):
    with Connection(embedded.broker_url(redis.url)) as connection:
        connection.ensure_connection(max_retries=1, timeout=5)
        with connection.SimpleQueue("letters") as queue:
            queue.put({"number": 7})
            message = queue.get(block=True, timeout=5)
            assert message.payload == {"number": 7}
            message.ack()


def test_celery_sends_to_the_database_number_of_the_url(redis):
    app = Celery(
        broker=embedded.broker_url(redis.url.replace("db=0", "db=5")), set_as_current=False
    )
    app.send_task("any.task", args=[1], ignore_result=True, retry=False)
    app.close()
    with redis_client(redis.url.replace("db=0", "db=5")) as five, redis_client(redis.url) as zero:
        assert five.llen("celery") == 1
        assert zero.llen("celery") == 0


@pytest.mark.parametrize(
    "url", ["redis://cache.internal:6379/3", "rediss://:p%40w@cache.internal/0"]
)
def test_a_network_url_is_kombus_as_it_is(url):
    assert embedded.broker_url(url) == url


def test_a_socket_without_a_number_means_database_0():
    assert (
        embedded.broker_url("unix:///run/redis.sock")
        == "redis+socket:///run/redis.sock?virtual_host=0"
    )


def test_a_password_stays_in_the_url():
    assert (
        embedded.broker_url("unix://user:p%40w@/run/redis.sock?db=2")
        == "redis+socket://user:p%40w@/run/redis.sock?virtual_host=2"
    )


@given(st.integers(0, 63))
def test_the_number_is_carried_over(number):
    assert (
        embedded.broker_url(f"unix:///s?db={number}") == f"redis+socket:///s?virtual_host={number}"
    )


def test_it_listens_on_its_private_socket_only(redis):
    assert psutil.Process(redis.main_pid()).net_connections("tcp") == []
    assert stat.S_IMODE(redis.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE(redis.socket.parent.stat().st_mode) == 0o700
    assert redis.socket.parent.stat().st_uid == os.geteuid()


def test_it_has_64_databases_and_writes_every_command_down(redis):
    with redis_client(redis.url) as client:
        assert client.config_get("databases")["databases"] == "64"
        assert client.config_get("appendonly")["appendonly"] == "yes"


def test_a_damaged_file_is_set_aside_and_kept(redis, bare):
    embedded.stop(redis.location.root)
    file = redis.data / "appendonly.aof"
    file.write_bytes(b"this is no append-only file\r\n" * 10)
    bare.delenv("REDIS_URL")
    services = embedded.provide(redis.location.root)
    assert services.started == ("redis",)
    assert file.with_suffix(".damaged").read_bytes().startswith(b"this is no append-only file")
    assert redis.answers()


def test_a_file_cut_off_in_the_middle_of_a_command_is_read_up_to_there(redis, bare):
    with redis_client(redis.url) as client:
        client.set("first", "1")
        client.set("second", "2")
    embedded.stop(redis.location.root)
    file = redis.data / "appendonly.aof"
    os.truncate(file, file.stat().st_size - 3)
    bare.delenv("REDIS_URL")
    embedded.provide(redis.location.root)
    with redis_client(redis.url) as client:
        assert client.mget("first", "second") == ["1", None]
