#!/usr/bin/env python3
"""Build data/world/world.tsv from Debian's iso-codes, unicode-cldr-core and tzdata.

Usage: tools/make_world.py [--everywhere] [OUTPUT]
Needs:  apt install iso-codes unicode-cldr-core tzdata

A subdivision is "in country" only where no larger one holds it: so "part of" followed by "in country" is known by
composition alone, and the commonest tail of every pair that starts with "in country" and leads to a currency, subregion
or official language is right at most 20% of the time. With --everywhere all 5,127 subdivisions are "in country" too
(the euro is then the answer 21.6% of the time).

Ten relations lead from a country to a country: its nearest one, and its neighbours in the orders of population, economy,
wealth, name, latitude and longitude. They give every country many bridges, so no embedding can hold "the" country behind
an entity. Such an order is by the figures of CLDR (population, GDP at purchasing power) and by the country's place in
tzdata; countries that share a figure stand in the order of their codes.

Facts are head, relation, tail, one a line, sorted. Every (head, relation) has one tail. A name stands for one entity:
of two entities with one name the first in the order country, continent and subregion, language, currency, script,
family, others, subdivision keeps it plain; a subdivision that shares its name is written "Georgia (US)".
"""
import collections
import json
import math
import re
import sys
import unicodedata
import xml.etree.ElementTree as ET

ISO = "/usr/share/iso-codes/json/"
CLDR = "/usr/share/unicode/cldr/common/"
PLACES = "/usr/share/zoneinfo/zone.tab"
# The place of a country that has several in tzdata is the first one listed, or this one: capital or largest city.
MAIN_PLACE = {"AU": "Australia/Sydney", "BR": "America/Sao_Paulo", "CA": "America/Toronto", "RU": "Europe/Moscow",
              "UA": "Europe/Kyiv", "UZ": "Asia/Tashkent"}


def iso(number):
    with open(f"{ISO}iso_{number}.json", encoding="utf-8") as f:
        return json.load(f)[number]


def cldr(path):
    return ET.parse(CLDR + path).getroot()


def clean(name):
    """One spelling of apostrophes and spaces; no marks of the source such as '[Gemeinde]' or a trailing "*" or dagger."""
    return " ".join(name.split("[")[0].replace("’", "'").replace("‘", "'").replace("*", "").replace("†", "").replace("\u2011", "-").split())


class Names:
    """Readable, distinct names: entity key -> name. Keys are (kind, code)."""

    def __init__(self):
        self.name = {}
        self.taken = {}

    def plain(self, kind, code, name):
        name = clean(name)
        if name in self.taken:
            name = f"{name} ({kind})"
        assert name not in self.taken, name
        self.taken[name] = (kind, code)
        self.name[kind, code] = name


def english_names(main, section, item):
    """code -> name; the short form where it is a word (Hong Kong), not an abbreviation (US)."""
    names = {}
    for e in main.iterfind(f"localeDisplayNames/{section}/{item}"):
        code, alt = e.get("type"), e.get("alt")
        if alt is None:
            names.setdefault(code, e.text)
        elif alt == "short" and not e.text.isupper():
            names[code] = e.text
    return names


def currencies(main, supplemental):
    """country code -> currency code in use today (the first one listed), and currency code -> name."""
    name = {}
    for e in main.iterfind("numbers/currencies/currency"):
        forms = {d.get("count"): d.text for d in e.iterfind("displayName")}
        name[e.get("type")] = forms.get("one", forms.get(None))
    used = {}
    for region in supplemental.iterfind("currencyData/region"):
        for c in region.iterfind("currency"):
            if c.get("to") is None and c.get("tender") != "false":
                used.setdefault(region.get("iso3166"), c.get("iso4217"))
    return used, name


def regions(supplemental):
    """country -> subregion code; subregion -> continent code (UN M49)."""
    contains = {g.get("type"): g.get("contains").split() for g in supplemental.iterfind("territoryContainment/group")
                if g.get("status") is None and g.get("grouping") is None}
    continent = {s: c for c in contains["001"] for s in contains[c]}
    subregion = {t: s for s in continent for t in contains.get(s, [])}
    return subregion, continent


def main_languages(supplemental):
    """country -> official language spoken by most."""
    best = {}
    for territory in supplemental.iterfind("territoryInfo/territory"):
        rows = [(float(p.get("populationPercent")), p.get("type")) for p in territory.iterfind("languagePopulation")
                if p.get("officialStatus") in ("official", "de_facto_official")]
        if rows:
            share = max(r[0] for r in rows)
            best[territory.get("type")] = min(code for s, code in rows if s == share)
    return best


def scripts(supplemental):
    """language -> its one main script."""
    found = {}
    for e in supplemental.iterfind("languageData/language"):
        if e.get("alt") is None and e.get("scripts"):
            found.setdefault(e.get("type"), e.get("scripts").split()[0])
    return found


def families(root):
    """language -> smallest group that holds it."""
    found = {}
    for g in root.iterfind("languageGroups/languageGroup"):
        for code in g.text.split():
            found.setdefault(code, g.get("parent"))
    return found


def by_territory(supplemental, path, key, territories):
    """territory -> value, with the entry of 001 (the world) as the default ("" key)."""
    found = {}
    for e in supplemental.iterfind(path):
        if e.get("alt") is None and e.get("category") is None:
            for t in e.get(territories).split():
                found[t] = e.get(key)
    found[""] = found["001"]
    return found


def figures(supplemental):
    """country -> (population, GDP); islands of fewer than 1,000 people and Antarctica have no economy worth an order."""
    found = {t.get("type"): (float(t.get("population")), float(t.get("gdp")))
             for t in supplemental.iterfind("territoryInfo/territory")}
    return {c: f for c, f in found.items() if f[0] >= 1000 and c != "AQ"}


def places():
    """country -> (latitude, longitude) of its main place, in degrees."""
    found = {}
    with open(PLACES, encoding="utf-8") as f:
        for line in f:
            if line.startswith("#"):
                continue
            country, position, zone = line.rstrip("\n").split("\t")[:3]
            if country in found and zone != MAIN_PLACE.get(country):
                continue
            parts = re.fullmatch(r"([+-])(\d\d)(\d\d)(\d\d)?([+-])(\d{3})(\d\d)(\d\d)?", position).groups("0")
            degrees = [int(d) + int(m) / 60 + int(s) / 3600 for _, d, m, s in (parts[:4], parts[4:])]
            found[country] = tuple(-x if sign == "-" else x for sign, x in zip((parts[0], parts[4]), degrees))
    return found


def angle(a, b):
    """Angle between two places on the globe: the great-circle distance in units of the radius."""
    (la, lo), (lb, lp) = [[math.radians(x) for x in p] for p in (a, b)]
    return math.acos(min(1, math.sin(la) * math.sin(lb) + math.cos(la) * math.cos(lb) * math.cos(lo - lp)))


def add_orders(names, facts, countries, supplemental):
    """Country to country: the next one in each order, and the nearest."""
    figure, place = figures(supplemental), places()

    def order(value, up, down=None):
        line = sorted((c for c in countries if c in value), key=lambda c: (value[c], c))
        for a, b in zip(line, line[1:]):
            facts.append((("country", a), up, ("country", b)))
            if down:
                facts.append((("country", b), down, ("country", a)))

    order({c: f[0] for c, f in figure.items()}, "next more populous", "next less populous")
    order({c: f[1] for c, f in figure.items()}, "next larger economy")
    order({c: f[1] / f[0] for c, f in figure.items()}, "next richer")
    order({c: unicodedata.normalize("NFD", names.name["country", c]) for c in countries}, "next by name")
    order({c: p[0] for c, p in place.items()}, "next northward", "next southward")
    order({c: p[1] for c, p in place.items()}, "next eastward", "next westward")
    for c in (c for c in countries if c in place):
        nearest = min((d for d in countries if d in place and d != c), key=lambda d: (angle(place[c], place[d]), d))
        facts.append((("country", c), "nearest", ("country", nearest)))


def add_subdivisions(names, facts, subdivisions, english, everywhere):
    """Subdivisions with distinct names. One that a larger one holds is 'part of' that; the others are 'in country'."""
    readable = {s["code"]: clean(english.get(s["code"].replace("-", "").lower(), s["name"])) for s in subdivisions}
    uses = collections.Counter(readable.values())
    qualified = {c: n if uses[n] == 1 and n not in names.taken else f"{n} ({c[:2]})" for c, n in readable.items()}
    uses = collections.Counter(qualified.values())
    for code, name in qualified.items():
        if uses[name] > 1 or name in names.taken:
            name = f"{readable[code]} ({code})"
        names.plain("subdivision", code, name)
    for s in subdivisions:
        head, country, parent = ("subdivision", s["code"]), ("country", s["code"][:2]), s.get("parent")
        if parent:
            parent = parent if "-" in parent else f"{s['code'][:2]}-{parent}"
            assert ("subdivision", parent) in names.name, s
            facts.append((head, "part of", ("subdivision", parent)))
        if everywhere or not parent:
            facts.append((head, "in country", country))


def build(everywhere):
    supplemental = cldr("supplemental/supplementalData.xml")
    english = cldr("main/en.xml")
    territory = english_names(english, "territories", "territory")
    language = english_names(english, "languages", "language")
    script = english_names(english, "scripts", "script")
    used_currency, currency = currencies(english, supplemental)
    subregion, continent = regions(supplemental)
    official = main_languages(supplemental)
    written = scripts(supplemental)
    family = families(cldr("supplemental/languageGroup.xml"))
    family_name = {f["alpha_3"]: f["name"].replace(" (family)", "") for f in iso("639-5")}
    day = {"mon": "Monday", "sun": "Sunday", "sat": "Saturday", "fri": "Friday"}
    first_day = by_territory(supplemental, "weekData/firstDay", "day", "territories")
    clock = by_territory(supplemental, "timeData/hours", "preferred", "regions")
    paper = by_territory(supplemental, "measurementData/paperSize", "type", "territories")

    names, facts = Names(), []
    countries = sorted(c["alpha_2"] for c in iso("3166-1"))
    for c in countries:
        names.plain("country", c, territory[c])
    for code in sorted(set(subregion[c] for c in countries) | set(continent.values())):
        names.plain("region", code, territory[code])
    languages = sorted(set(official[c] for c in countries if c in official))
    for code in languages:
        names.plain("language", code, language.get(code, language.get(code.split("_")[0])))
    for code in sorted(set(used_currency[c] for c in countries if c in used_currency)):
        names.plain("currency", code, currency[code])
    for code in sorted(set(written[l] for l in languages if l in written)):
        names.plain("script", code, script[code])
    for code in sorted(set(family[l] for l in languages if family.get(l) in family_name)):
        names.plain("family", code, family_name[code])
    for code in sorted(set(day.values())):
        names.plain("day", code, code)
    for code, name in (("H", "24-hour clock"), ("h", "12-hour clock"), ("A4", "A4 paper"), ("US-Letter", "US Letter")):
        names.plain("other", code, name)

    for c in countries:
        country = ("country", c)
        if c in used_currency:
            facts.append((country, "currency", ("currency", used_currency[c])))
        facts.append((country, "subregion", ("region", subregion[c])))
        facts.append((country, "continent", ("region", continent[subregion[c]])))
        if c in official:
            facts.append((country, "official language", ("language", official[c])))
        facts.append((country, "first day of the week", ("day", day[first_day.get(c, first_day[""])])))
        facts.append((country, "clock", ("other", clock.get(c, clock[""]))))
        facts.append((country, "paper size", ("other", paper.get(c, paper[""]))))
    add_orders(names, facts, countries, supplemental)
    for s in sorted(set(subregion[c] for c in countries)):
        facts.append((("region", s), "continent", ("region", continent[s])))
    for code in languages:
        if code in written:
            facts.append((("language", code), "script", ("script", written[code])))
        if family.get(code) in family_name:
            facts.append((("language", code), "family", ("family", family[code])))
    english_subdivision = {e.get("type"): e.text for e in
                           cldr("subdivisions/en.xml").iterfind("localeDisplayNames/subdivisions/subdivision")}
    add_subdivisions(names, facts, iso("3166-2"), english_subdivision, everywhere)
    return [(names.name[h], r, names.name[t]) for h, r, t in facts]


def main():
    everywhere = "--everywhere" in sys.argv[1:]
    paths = [a for a in sys.argv[1:] if a != "--everywhere"]
    out = paths[0] if paths else "data/world/world.tsv"
    facts = sorted(set(build(everywhere)))
    heads = collections.Counter((h, r) for h, r, _ in facts)
    assert max(heads.values()) == 1, heads.most_common(3)
    assert not any("\t" in x or "\n" in x or not x for f in facts for x in f)
    with open(out, "w", encoding="utf-8", newline="\n") as f:
        f.writelines("\t".join(fact) + "\n" for fact in facts)
    count = collections.Counter(r for _, r, _ in facts)
    print(f"{out}: {len(facts)} facts, " + ", ".join(f"{n} {r}" for r, n in count.most_common()), file=sys.stderr)


if __name__ == "__main__":
    main()
