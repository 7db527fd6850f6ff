#!/usr/bin/env python3
"""Writes product events as NDJSON: generate.py FILE EVENTS [--seed N].

Like events of a real product: some 35 properties for each event, of about 200; pageviews make up
most of them; a few people are busy, most are not; 90 days up to 2026-03-31.
"""

import argparse
import datetime
import json
import random
import uuid

DAYS = 90
START = datetime.datetime(2026, 1, 1)
BROWSERS = ["Chrome"] * 62 + ["Safari"] * 20 + ["Firefox"] * 9 + ["Edge"] * 7 + ["Opera", "Samsung Internet"]
SYSTEMS = ["Windows", "Mac OS X", "iOS", "Android", "Linux"]
COUNTRIES = ["US"] * 38 + ["DE"] * 12 + ["GB"] * 10 + ["FR"] * 8 + ["BR"] * 7 + ["IN"] * 7 + ["NL", "ES", "IT", "PL", "CA", "AU", "JP", "SE", "CH", "AT", "MX", "AR", "PT", "DK", "NO", "FI", "IE", "BE"]
PATHS = ["/", "/pricing", "/docs", "/docs/start", "/docs/sql", "/blog", "/blog/launch", "/login", "/signup", "/app", "/app/insights", "/app/settings", "/cart", "/checkout", "/about", "/careers"]
PLANS = ["free"] * 6 + ["team"] * 3 + ["enterprise"]
EVENTS = ["$pageview"] * 60 + ["$autocapture"] * 20 + ["insight viewed"] * 8 + ["signup"] * 2 + ["add to cart"] * 5 + ["checkout started"] * 2 + ["purchase"] * 2 + ["search"]
VERSIONS = [f"1.{minor}.{patch}" for minor in range(20) for patch in range(5)]


class People:
    """Who comes back how often: the square makes few people busy."""

    def __init__(self, source, events):
        self.source = source
        self.count = max(events // 25, 10)

    def pick(self):
        number = int(self.source.random() ** 2 * self.count)
        steady = random.Random(number)
        return {
            "id": f"user-{number:08d}",
            "browser": steady.choice(BROWSERS),
            "os": steady.choice(SYSTEMS),
            "country": steady.choice(COUNTRIES),
            "plan": steady.choice(PLANS),
            "hour": steady.randrange(24),
        }


def event(source, people):
    person = people.pick()
    name = source.choice(EVENTS)
    second = source.randrange(DAYS) * 86400 + (person["hour"] * 3600 + source.randrange(4 * 3600)) % 86400
    time = START + datetime.timedelta(seconds=second, microseconds=source.randrange(1000) * 1000)
    path = source.choice(PATHS)
    properties = {
        "$browser": person["browser"],
        "$browser_version": source.randrange(90, 130),
        "$os": person["os"],
        "$device_type": "Mobile" if person["os"] in ("iOS", "Android") else "Desktop",
        "$current_url": f"https://example.com{path}?utm_source={source.choice(['google', 'news', 'x', ''])}&ref={source.randrange(5000)}",
        "$pathname": path,
        "$host": "example.com",
        "$referrer": source.choice(["$direct", "https://www.google.com/", "https://news.ycombinator.com/", "https://t.co/"]),
        "$referring_domain": source.choice(["$direct", "www.google.com", "news.ycombinator.com", "t.co"]),
        "$screen_height": source.choice([768, 900, 1080, 1440, 2160]),
        "$screen_width": source.choice([1366, 1440, 1920, 2560, 3840]),
        "$viewport_height": source.randrange(500, 1400),
        "$viewport_width": source.randrange(320, 2560),
        "$lib": "web",
        "$lib_version": source.choice(VERSIONS),
        "$insert_id": f"{source.getrandbits(64):016x}",
        "$time": time.timestamp(),
        "$session_id": f"{person['id']}-{second // 1800:06d}",
        "$window_id": f"{source.getrandbits(32):08x}",
        "$geoip_country_code": person["country"],
        "$geoip_city_name": f"City {hash_of(person['id']) % 400}",
        "$geoip_latitude": round(source.uniform(-60, 60), 4),
        "$geoip_longitude": round(source.uniform(-180, 180), 4),
        "plan": person["plan"],
        "is_logged_in": person["plan"] != "free",
        "load_ms": round(source.lognormvariate(6, 0.7), 1),
        "experiment": {"name": "new-nav", "variant": source.choice(["control", "test"]), "step": source.randrange(4)},
    }
    if name == "purchase":
        properties["amount"] = round(source.lognormvariate(4, 1), 2)
        properties["currency"] = source.choice(["EUR", "USD"])
        properties["items"] = [{"sku": f"S{source.randrange(900)}", "n": source.randrange(1, 4)} for _ in range(source.randrange(1, 4))]
    if name == "search":
        properties["query"] = {"text": f"term {source.randrange(3000)}", "filters": {"kind": source.choice(["doc", "blog"])}}
    for _ in range(6):
        key = source.randrange(170)
        properties[f"attr_{key}"] = source.randrange(1000) if key % 3 else f"value {source.randrange(50)}"
    return {
        "uuid": str(uuid.UUID(int=source.getrandbits(128), version=4)),
        "event": name,
        "distinct_id": person["id"],
        "timestamp": time.isoformat(timespec="milliseconds") + "Z",
        "properties": properties,
    }


def hash_of(text):
    return sum(text.encode()) * 2654435761 % 2**32


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("file")
    options.add_argument("events", type=int)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    source = random.Random(options.seed)
    people = People(source, options.events)
    with open(options.file, "w") as out:
        for _ in range(options.events):
            out.write(json.dumps(event(source, people), separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
