#!/usr/bin/env python3
"""A made-up company as a knowledge graph: about 3,100 facts, 6 relations, the same for the same seed.

    tools/make_staff.py [--staff 750] [--seed 1] [--header] > staff.tsv

Every person has a department, a mentor, a city to live in and one of birth; every department a seat; every city a
country. A tenth of the staff are mentors, of people of any department. Such data has few two-hop facts for each fact
(phi 1.7), and most of its bridges are people who take part in a handful of them. docs/howto-own-graph.md uses it.
"""
import argparse
import random

FIRST = """Ada Alan Anna Boris Carla Chen Clara Dario Elena Emil Farid Flora Grace Hana Ines Ivan Jana Joao Karim Lena
Luis Maja Marco Mina Nadia Nils Olga Omar Paul Priya Rosa Sami Sofia Tariq Tomas Uma Vera Wei Yara Zoe""".split()
LAST = """Abe Adler Bauer Bianchi Costa Dahl Diaz Dubois Evans Fischer Garcia Haas Hansen Ito Jansen Kaya Keller Kim
Klein Lopez Mbeki Meyer Moreau Nagy Novak Okafor Olsen Patel Petrov Ramos Rossi Sato Silva Singh Torres Vogel Wagner
Weber Yilmaz Zhang""".split()
WORK = ["Sales", "Support", "Research", "Design", "Finance", "Logistics", "Quality", "Legal", "Training", "Systems"]
AREA = ["North", "South", "East", "West"]
CITIES = {
    "Austria": ["Vienna", "Graz", "Linz", "Salzburg", "Innsbruck"],
    "Brazil": ["Recife", "Curitiba", "Salvador", "Manaus", "Natal"],
    "Canada": ["Toronto", "Calgary", "Ottawa", "Halifax", "Regina"],
    "Finland": ["Helsinki", "Turku", "Tampere", "Oulu", "Vaasa"],
    "India": ["Pune", "Chennai", "Jaipur", "Kochi", "Mysore"],
    "Italy": ["Turin", "Bologna", "Verona", "Trieste", "Bari"],
    "Japan": ["Osaka", "Sapporo", "Nagoya", "Sendai", "Kobe"],
    "Kenya": ["Nairobi", "Mombasa", "Kisumu", "Nakuru", "Eldoret"],
    "Mexico": ["Puebla", "Toluca", "Oaxaca", "Colima", "Tijuana"],
    "Poland": ["Gdansk", "Krakow", "Poznan", "Lublin", "Torun"],
    "Spain": ["Sevilla", "Bilbao", "Murcia", "Malaga", "Gijon"],
    "Turkey": ["Izmir", "Bursa", "Adana", "Konya", "Samsun"],
}


def facts(n_staff, seed):
    rng = random.Random(seed)
    cities = [c for names in CITIES.values() for c in names]
    names = [f"{a} {b}" for a in FIRST for b in LAST]
    rng.shuffle(names)
    staff = names[:n_staff]
    departments = [f"{work} {area}" for work in WORK for area in AREA]
    mentors = staff[: n_staff // 10]
    for person in staff:
        mentor = rng.choice(mentors)
        while mentor == person:
            mentor = rng.choice(mentors)
        yield person, "department", rng.choice(departments)
        yield person, "mentor", mentor
        yield person, "lives in", rng.choice(cities)
        yield person, "born in", rng.choice(cities)
    for department in departments:
        yield department, "seat", rng.choice(cities)
    for country, names in CITIES.items():
        for city in names:
            yield city, "country", country


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--staff", type=int, default=750, help="people (750, at most 1600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--header", action="store_true", help="begin with a line of column names")
    options = parser.parse_args()
    if not 200 <= options.staff <= len(FIRST) * len(LAST):
        parser.error(f"--staff must be between 200 and {len(FIRST) * len(LAST)}")
    if options.header:
        print("head\trelation\ttail")
    for fact in facts(options.staff, options.seed):
        print("\t".join(fact))


main()
