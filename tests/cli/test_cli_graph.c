/* hopscope graph as its users meet it: numbers that can be counted by hand, what is written, damaged input. */
#include "cli/cli_test.h"

/* Munich and Berlin are in Germany; two currencies of Cuba make (Cuba, currency) not functional. Non-trivial two-hop
 * facts: 2 (over Germany) + 2 (over Cuba) = 4 of 6 facts. */
static const char cities[] = "Munich\tin\tGermany\n"
                             "Berlin\tin\tGermany\n"
                             "Germany\tcurrency\teuro\n"
                             "Havana\tin\tCuba\n"
                             "Cuba\tcurrency\tpeso\n"
                             "Cuba\tcurrency\tconvertible peso\n";

static void test_usage(void **state)
{
    (void)state;
    assert_sh(2, "$H graph", "", "missing argument: stats, augment or convert");
    assert_sh(0, "$H graph --help", "stats", "");
    assert_sh(2, "$H graph sats x", "", "did you mean stats?");
    assert_sh(2, "$H graph frobnicate x", "", "unknown command: frobnicate");
    for (int i = 0; i < 3; i++) {
        static const char *const NAMES[] = {"stats", "augment", "convert"};
        char line[100];
        snprintf(line, sizeof line, "$H graph %s --help", NAMES[i]);
        assert_sh(0, line, "--format", "");
        snprintf(line, sizeof line, "$H graph %s", NAMES[i]);
        assert_sh(2, line, "", "missing argument: FILE");
        snprintf(line, sizeof line, "$H graph %s a b -o c", NAMES[i]);
        assert_sh(2, line, "", i == 0 ? "unknown option" : "too many arguments: b");
    }
    assert_sh(2, "$H graph stats world --threshhold 3", "", "did you mean --threshold?");
    assert_sh(2, "$H graph stats world --threshold=-1", "", "--threshold");
    assert_sh(2, "$H graph stats world --threshold=x", "", "x");
    assert_sh(2, "$H graph stats world --format tvs", "", "there is no such graph format: 'tvs'");
    assert_sh(2, "$H graph augment world", "", "-o FILE is missing");
    assert_sh(2, "$H graph augment world --phi 0 -o a.tsv", "", "--phi must be above 0");
    assert_sh(2, "$H graph augment world --comparison 5 -o a.tsv", "", "--comparison needs --relations");
    assert_sh(2, "$H graph convert world -o -", "", "name of a file");
    assert_sh(2, "$H graph convert world -o a.tsv --max-majority 2", "", "--max-majority");
    assert_sh(2, "$H graph convert world -o a.tsv --min-degree=-1", "", "negative");
    assert_nothing_at("a.tsv");
}

static void test_stats(void **state)
{
    (void)state;
    write_file("cities.tsv", cities);
    assert_sh(0, "$H graph stats cities.tsv", "entities                                       8\n", "");
    assert_non_null(strstr(out, "functional facts                               4\n"));
    assert_non_null(strstr(out, "two-hop facts                                  4\n"));
    assert_non_null(strstr(out, "phi                                        0.667\n"));
    assert_string_equal(message, "");
    assert_sh(0,
              "$H graph stats cities.tsv --json | python3 -c 'import json, sys; s = json.load(sys.stdin); "
              "r = {x[\"relation\"]: x for x in s[\"relation\"]}; p = s[\"pair\"][0]; "
              "print(s[\"entities\"], s[\"facts\"], s[\"two_hop\"], round(s[\"phi\"], 3), r[\"in\"][\"as_hop1\"], "
              "r[\"currency\"][\"as_hop2\"], p[\"top_tail\"], p[\"majority\"], s[\"read\"][\"records\"])'",
              "8 6 4 0.667 4 4 euro 0.5 6", "");
    assert_sh(0, "$H graph stats - < cities.tsv", "facts                                          6\n", "");
    assert_sh(0, "cat cities.tsv cities.tsv | $H graph stats -", "facts                                          6\n",
              "facts given more than once");
    assert_sh(0, "tr '\\t' , < cities.tsv > cities.csv; $H graph stats cities.csv",
              "two-hop facts                                  4\n", "");
    assert_sh(0, "cp cities.tsv cities; $H graph stats cities", "two-hop facts                                  4\n",
              "");
    assert_sh(0, "cp cities.tsv x.csv; $H graph stats x.csv --format tsv",
              "two-hop facts                                  4\n", "");
    assert_sh(0, "$H graph stats world --threshold 1000", "0 of 21 relations reach 1000", "");
    assert_sh(0, "$H graph stats world | tail -1", "128 of 185 pairs are informative", "");
    /* 25 pairs: the first 20 unless all are asked for */
    assert_sh(0, "for i in 1 2 3 4 5; do printf 'a%d\tr%d\tb\nb\ts%d\tc%d\n' $i $i $i $i; done > pairs.tsv", "", "");
    assert_sh(0, "$H graph stats pairs.tsv", "... and 5 more (--pairs shows all)", "");
    assert_sh(0, "$H graph stats pairs.tsv --pairs | grep -c '^r. x s'", "25\n", "");
    assert_sh(74, "$H graph stats world --json > /dev/full", "", "standard output");
}

static bool without_serd(void)
{
    return sh("$H graph stats cities.nt") != 0 && strstr(message, "without serd") != NULL;
}

static void test_rdf(void **state)
{
    (void)state;
    write_file("cities.nt", "<http://x.org/Munich> <http://x.org/in> <http://x.org/Germany> .\n"
                            "<http://x.org/Germany> <http://x.org/currency> <http://x.org/euro> .\n"
                            "<http://x.org/Germany> <http://x.org/name> \"Deutschland\" .\n");
    if (without_serd())
        skip();
    assert_sh(0, "$H graph convert cities.nt -o nt.tsv && cat nt.tsv", "Munich\tin\tGermany\nGermany\tcurrency\teuro\n",
              "literals skipped");
    assert_sh(
        0,
        "for f in nt ntriples; do $H graph convert - --format $f -o f.tsv --force < cities.nt && cmp nt.tsv f.tsv || "
        "exit 1; done",
        "", "");
    assert_sh(0, "$H graph convert cities.nt --literals -o all.tsv && cat all.tsv", "Germany\tname\tDeutschland\n", "");
    write_file("cities.ttl",
               "@prefix x: <http://x.org/> .\nx:Munich x:in x:Germany .\nx:Germany x:currency x:euro .\n");
    assert_sh(0, "$H graph convert cities.ttl -o ttl.tsv && cmp nt.tsv ttl.tsv", "", "");
    write_file("bad.ttl", "@prefix x: <http://x.org/> .\nx:Munich x:in \"Germany .\n");
    assert_sh(65, "$H graph stats bad.ttl", "", "bad.ttl:2:24: ");
    write_file("bad.nt", "<http://x.org/a> <http://x.org/b> <http://x.org/c> .\n<http://x.org/a> <http://x.org/b .\n");
    assert_sh(65, "$H graph stats bad.nt", "", "bad.nt:2:");
    write_file("prefix.ttl", "y:Munich y:in y:Germany .\n");
    assert_sh(65, "$H graph stats prefix.ttl", "", "prefix.ttl:1:");
    assert_non_null(strstr(message, "prefix is not declared: 'y:Munich'"));
}

static void test_augment(void **state)
{
    (void)state;
    /* 60 people with a father or a mother; every third has a place of birth */
    assert_sh(
        0,
        "for i in $(seq 60); do printf 'p%d\\t%s\\tp%d\\n' $i $([ $((i % 2)) = 0 ] && echo father || echo mother) "
        "$((i * 7 % 60 + 1)); [ $((i % 3)) != 0 ] || printf 'p%d\\tborn\\tc%d\\n' $i $((i % 5)); done > part.tsv",
        "", "");
    assert_sh(0, "$H graph augment part.tsv --phi 1.8 -o big.tsv", "phi after", "");
    assert_sh(0, "$H graph augment part.tsv --phi 1.8 -o again.tsv > /dev/null && cmp big.tsv again.tsv", "", "");
    assert_sh(0, "$H graph augment part.tsv --phi 1.8 --seed 5 -o other.tsv > /dev/null && ! cmp -s big.tsv other.tsv",
              "", "");
    /* every real fact is there, every other one is marked */
    assert_sh(0, "grep -v '\tsynthetic$' big.tsv | sort > real; sort part.tsv | cmp - real", "", "");
    assert_sh(0,
              "$H graph stats big.tsv --json | python3 -c 'import json, sys; s = json.load(sys.stdin); "
              "print(s[\"phi\"] >= 1.8, min(r[\"phi\"] for r in s[\"relation\"]) >= 1.8, s[\"synthetic\"] > 0)'",
              "True True True", "");
    assert_sh(
        0,
        "$H graph augment part.tsv --phi 1.2 --overall --reuse --acyclic --json -o c.tsv | python3 -c 'import json, "
        "sys; a = json.load(sys.stdin); print(a[\"out\"], a[\"phi_after\"] >= 1.2, a[\"added_entities\"])'",
        "c.tsv True 0", "");
    assert_sh(0, "$H graph augment part.tsv --comparison 30 --relations born --json -o m.tsv | python3 -m json.tool",
              "\"added_facts\"", "");
    assert_sh(0, "cut -f 2,3 m.tsv | grep '^born' | sort | uniq -c | awk '$1 < 30'", "", "");
    assert_string_equal(out, "");
    assert_sh(0, "$H graph augment part.tsv --bridges 4 -o e.tsv", "bridges of real two-hop facts", "");
    assert_sh(2, "$H graph augment part.tsv --phi 0 -o d.tsv", "", "--phi must be above 0");
    /* 30 people of a team each: a mentor makes two two-hop facts, no more */
    assert_sh(0,
              "for i in $(seq 30); do printf 'q%d\\tteam\\tt%d\\nq%d\\tmentor\\tq%d\\n' $i $((i % 4)) $i $((i % 5 + "
              "1)); done > "
              "staff.tsv",
              "", "");
    assert_sh(65, "$H graph augment staff.tsv --phi 6 -o d.tsv", "", "phi stays below 2; for held-out queries");
    assert_non_null(strstr(message, "--bridges 16"));
    assert_sh(65, "$H graph augment part.tsv --phi 100000 -o d.tsv", "", "out of reach");
    assert_non_null(strstr(message, "at least "));
    assert_sh(65, "$H graph augment part.tsv --relations borm -o d.tsv", "", "no such relation: 'borm'");
    assert_sh(65, "$H graph augment part.tsv --phi 1.8 --max-facts 1 -o d.tsv", "", "hopscope: ");
    assert_nothing_at("d.tsv");
}

static void test_convert(void **state)
{
    (void)state;
    write_file("cities.tsv", cities);
    assert_sh(0, "$H graph convert cities.tsv -o f.tsv --functional && cat f.tsv | wc -l", "4\n", "");
    assert_sh(0, "! grep Cuba.currency f.tsv", "", "");
    assert_sh(0, "$H graph convert cities.tsv -o r.tsv --relations currency && cut -f 2 r.tsv | sort -u | grep .",
              "currency\n", "");
    assert_sh(0, "$H graph convert cities.tsv -o i.tsv --inverses && grep -P '^euro\tcurrency\\^-1\tGermany$' i.tsv",
              "euro", "");
    /* What is there is not replaced unasked, the input never, whatever its name; and before it is read. */
    assert_sh(2, "$H graph convert absent.tsv -o i.tsv", "", "something at this place already");
    assert_sh(0, "$H graph convert cities.tsv -o i.tsv --force && ! grep -q '\\^-1' i.tsv", "", "");
    assert_sh(0, "ln -s cities.tsv soft.tsv; ln cities.tsv hard.tsv; cp cities.tsv kept.tsv", "", "");
    assert_sh(2, "$H graph convert cities.tsv -o cities.tsv --force", "", "the output is the input");
    assert_sh(2, "$H graph convert cities.tsv -o soft.tsv --force", "", "the output is the input");
    assert_sh(2, "$H graph augment cities.tsv -o hard.tsv --force", "", "the output is the input");
    assert_sh(2, "$H graph augment soft.tsv -o ./cities.tsv --force", "", "the output is the input");
    assert_sh(0, "cmp cities.tsv kept.tsv; rm soft.tsv hard.tsv", "", "");
    assert_sh(0, "awk -F '\t' '{ print $1 \"\\t\" $3 \"\\t\" $2 }' cities.tsv > htr.tsv", "", "");
    assert_sh(0, "$H graph convert htr.tsv --columns htr -o hrt.tsv && sort hrt.tsv > a; sort cities.tsv | cmp - a", "",
              "");
    assert_sh(2, "$H graph stats htr.tsv --columns hxt", "", "order of the columns is not understood: 'hxt'");
    assert_sh(0, "(printf 'subject,predicate,object\\n'; tr '\t' , < cities.tsv) > h.csv; $H graph stats h.csv",
              "facts                                          6\n", "line of column names skipped");
    write_file("degree.tsv", "a\tr\tb\nb\tr\tc\nc\tr\ta\nc\tr\td\n");
    assert_sh(0, "$H graph convert degree.tsv -o d.tsv --min-degree 2 --json | python3 -m json.tool", "\"facts\": 3",
              "");
    assert_sh(0, "$H graph convert world -o n.tsv --informative 20 --max-majority 0.2", "facts written", "");
    assert_sh(0, "$H graph convert world -o whole.tsv && wc -l < whole.tsv", "9488\n", "");
    assert_sh(65, "$H graph convert world -o x.tsv --min-degree 100000", "", "no facts are left");
    assert_sh(65, "$H graph convert world -o x.tsv --relations currencies", "", "no such relation");
    assert_sh(65, "$H graph convert cities.tsv -o x.tsv --informative 20", "", "hopscope: ");
    assert_nothing_at("x.tsv");
    assert_sh(74, "$H graph convert world -o absent/x.tsv", "", "absent/x.tsv: ");
    /* a file size limit stands in for a full disk: the old file stays, nothing half-written is left */
    assert_sh(74, "( ulimit -f 8; $H graph convert world -o cities.tsv --force )", "", "hopscope: ");
    assert_sh(0, "wc -l < cities.tsv; ls | grep tmp || true", "6\n", "");
    assert_string_equal(out, "6\n");
}

static void test_damage(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *says;
    } CASES[] = {
        {"empty.tsv", "", "empty.tsv: there are no facts"},
        {"empty.json", "", "empty.json: there are no facts"},
        {"two.tsv", "a\tr\tb\na\tr\n", "two.tsv:2: a fact has 3 fields"},
        {"four.tsv", "a\tr\tb\tyes\n", "four.tsv:1: the fourth field"},
        {"latin.tsv", "a\tr\tb\na\tr\tcaf\xe9\n", "latin.tsv:2: text is not UTF-8"},
        {"hole.tsv", "a\t\tb\n", "hole.tsv:1: "},
        {"quote.csv", "a,r,\"b\n", "quote.csv:2: the file ends inside a quoted field"},
        {"list.json", "[", "list.json:1"},
        {"cut.json", "[{\"_id\": \"x\", \"evidences\": [[\"a\", \"r\", \"b\"]", "cut.json:1, record 1: "},
        {"none.json", "[{\"_id\": \"x\"}]", "none.json:1, record 1, field evidences: "},
        {"two.jsonl",
         "{\"_id\": \"x\", \"evidences\": [[\"a\", \"r\", \"b\"]]}\n{\"_id\": \"y\", \"evidences\": [[1]]}\n",
         "two.jsonl:2, record 2, field evidences[0]"},
        {"cut.tsv.zst", "\x28\xb5\x2f\xfd\x24\x0c", "cut.tsv.zst: "},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[200];
        write_file(CASES[i].name, CASES[i].text);
        snprintf(line, sizeof line, "$H graph stats %s", CASES[i].name);
        assert_sh(65, line, "", CASES[i].says);
        assert_string_equal(out, "");
        snprintf(line, sizeof line, "$H graph convert %s -o x.tsv", CASES[i].name);
        assert_sh(65, line, "", CASES[i].says);
    }
    assert_nothing_at("x.tsv");
    assert_sh(74, "$H graph stats absent.tsv", "", "absent.tsv: cannot open");
    assert_sh(65, "$H graph stats .", "", "folder");
    assert_sh(65, "head -c 3000000 /dev/zero | tr '\\0' a | $H graph stats -", "", "hopscope: ");
    assert_sh(65, "head -c 3000000 /dev/urandom > noise.json; $H graph stats noise.json", "", "noise.json");
}

static void test_2wiki(void **state)
{
    (void)state;
    if (!getenv("HOPSCOPE_DATA"))
        skip();
    assert_sh(0,
              "$H graph stats $HOPSCOPE_DATA/2wiki/dev505.stripped.jsonl --raw --json | python3 -c 'import json, sys; "
              "s = json.load(sys.stdin); print(s[\"facts\"], s[\"entities\"], s[\"relations\"], s[\"two_hop\"], "
              "s[\"two_hop_all\"], s[\"functional_facts\"], s[\"functional_two_hop\"])'",
              "1278 1929 25 509 511 1266 503", "");
    assert_sh(0, "$H graph stats $HOPSCOPE_DATA/2wiki/dev_sample503.json", "relations",
              "bridges joined by evidences_id");
    assert_sh(65, "head -c 100000 $HOPSCOPE_DATA/2wiki/dev_sample503.json > cut.json; $H graph stats cut.json", "",
              "the file ends inside a record");
    assert_sh(0,
              "$H graph stats $HOPSCOPE_DATA/2wiki/dev505.stripped.jsonl --types compositional --json | python3 -c "
              "'import json, sys; r = json.load(sys.stdin)[\"read\"]; print(r[\"records\"] - r[\"records_skipped\"])'",
              "206", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rdf, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_augment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_convert, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_2wiki, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
