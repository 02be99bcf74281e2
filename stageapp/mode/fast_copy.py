"""The mode's fast copy in Redis: one key with a small JSON text, and a hint on changes.

Every call is bounded (100 ms per socket operation) and best effort: PostgreSQL is the truth.
"""

import redis

from stageapp import conf
from stageapp.infrastructure import events, metrics
from stageapp.infrastructure.redis import strict
from stageapp.infrastructure.refresher import CHANNEL

KEY = "stage:mode"
READ_BYTES = 1000  # a mode is far shorter; whatever somebody put there instead may be huge

# Writes unless a newer copy is there already (two writers may publish out of order). What the
# caller has read and judged (ARGV[4]), and what is no mode at all, gives way in any case.
_WRITE_LUA = """
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'string' and string.sub(held, 1, tonumber(ARGV[5])) ~= ARGV[4] then
  local ok, value = pcall(cjson.decode, held)
  if ok and type(value) == 'table' then
    local epoch, version = tonumber(value.epoch), tonumber(value.version)
    local our_epoch, our_version = tonumber(ARGV[2]), tonumber(ARGV[3])
    if epoch and version and (epoch > our_epoch or (epoch == our_epoch and version > our_version)) then
      return 0
    end
  end
end
redis.call('SET', KEYS[1], ARGV[1])
return 1
"""


def read() -> bytes | None:
    """Return the start of the stored text, empty if missing or no text; None if Redis is down."""
    metrics.refresh_attempted("redis")
    try:
        held = strict().getrange(KEY, 0, READ_BYTES - 1)
    except redis.ResponseError as error:
        events.mode_value_ignored(store="redis", why=repr(error)[:200])
        return b""
    except redis.RedisError as error:
        metrics.refresh_failed("redis")
        events.mode_store_failed(store="redis", error=repr(error))
        return None
    return held if isinstance(held, bytes) else held.encode()


def write(text: str, order: tuple[int, int], *, instead_of: bytes = b"") -> bool:
    """Write the copy unless a newer one than `order` (epoch, version), not `instead_of`, exists.

    Return whether Redis answered.
    """
    try:
        strict().eval(_WRITE_LUA, 1, KEY, text, *order, instead_of, READ_BYTES)
    except redis.RedisError as error:
        events.mode_store_failed(store="redis", error=repr(error))
        return False
    return True


def hint() -> None:
    """Ask every process to read the mode now."""
    try:
        strict().publish(CHANNEL, "mode")
    except redis.RedisError as error:
        events.mode_store_failed(store="redis", error=repr(error))


def lag_warning() -> str:
    """Return a warning for changes made while Redis is down; empty if it answers."""
    try:
        strict().ping()
    except redis.RedisError:
        seconds = conf.settings.refresh_seconds + 2
        return (
            "Redis does not answer, so its fast copy is out of date. The change is "
            f"stored in PostgreSQL: every process follows within about {seconds:g} s, "
            "when it reads PostgreSQL again."
        )
    return ""
