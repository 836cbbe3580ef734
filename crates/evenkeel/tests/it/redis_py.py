"""What an application does with redis-py, with both protocols; prints ok when all of it held."""

import sys

import redis

for protocol in (2, 3):
    client = redis.Redis(port=int(sys.argv[1]), protocol=protocol, decode_responses=True)
    client.flushall()
    assert client.ping()
    assert client.set("key", "value", ex=100)
    assert client.get("key") == "value"
    assert 0 < client.ttl("key") <= 100
    assert client.set("key", "other", nx=True) is None
    assert client.incr("count", 5) == 5
    assert client.sadd("set", "a", "b") == 2
    assert client.smembers("set") == {"a", "b"}
    assert client.sismember("set", "a")
    assert client.hset("hash", mapping={"f": "1", "g": "2"}) == 2
    assert client.hgetall("hash") == {"f": "1", "g": "2"}
    assert client.hincrby("hash", "f", 4) == 5
    assert client.mset({"m1": "1", "m2": "2"})
    assert client.mget("m1", "m2", "none") == ["1", "2", None]
    assert sorted(client.scan_iter()) == ["count", "hash", "key", "m1", "m2", "set"]
    assert client.type("hash") == "hash"
    assert client.wait(0, 10) == 0
    assert client.info("server")["redis_version"] == "7.0.15"
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    try:
        client.sadd("key", "x")
        raise AssertionError("a string took a member")
    except redis.ResponseError as error:
        assert str(error).startswith("WRONGTYPE"), error

    pipe = client.pipeline(transaction=False)
    for n in range(1000):
        pipe.set(f"p:{n}", n)
        pipe.get(f"p:{n}")
        pipe.incr("p:count")
    replies = pipe.execute()
    assert replies == [r for n in range(1000) for r in (True, str(n), n + 1)]

    pipe = client.pipeline(transaction=False)
    pipe.set("a", 1).sadd("a", 2).get("a")
    replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == "1"
    assert client.delete("a", "none") == 1
    client.close()

print("ok")
