/* hopscope data as its users meet it: every variant is made and proved, forms go round and come back the same, the npy
 * set is what NumPy reads, impossible settings say what is possible, damaged files leave nothing behind. */
#include "cli/cli_test.h"

static const char small[] =
    "data: {entities: 60, relations: 10, out_degree: 5, phi: 3, holdout: 0.1, ood_fraction: 0.2}\n"
    "train: {threads: 1}\n";

/* The audit's table without its first lines: names, sizes, hashes, baselines. */
static void assert_same_audit(const char *a, const char *b)
{
    char line[300];
    snprintf(line, sizeof line,
             "$H data audit %s | tail -n +5 | sort > a.txt && $H data audit %s | tail -n +5 | sort | "
             "cmp a.txt - && grep -q '^test_.* test ' a.txt",
             a, b);
    assert_sh(0, line, "", "");
}

static void test_usage(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(2, "$H data", "", "missing argument: make, audit, export, import or newfacts");
    assert_sh(0, "$H data --help", "newfacts", "");
    assert_sh(2, "$H data adit x", "", "did you mean audit?");
    static const char *const NAMES[] = {"make", "audit", "export", "import", "newfacts"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char line[100];
        snprintf(line, sizeof line, "$H data %s --help", NAMES[i]);
        assert_sh(0, line, "Examples:", "");
        snprintf(line, sizeof line, "$H data %s", NAMES[i]);
        assert_sh(2, line, "", "missing argument: ");
        snprintf(line, sizeof line, "$H data %s a b", NAMES[i]);
        assert_sh(2, line, "", "too many arguments: b");
        snprintf(line, sizeof line, "$H data %s absent -o x", NAMES[i]);
        if (i != 1) /* audit has no -o */
            assert_sh(i == 2 ? 2 : 74, line, "", i == 2 ? "--format" : "absent");
        snprintf(line, sizeof line, "$H data %s small.yaml", NAMES[i]);
        if (i != 1)
            assert_sh(2, line, "", "is missing");
    }
    assert_sh(74, "$H data audit absent", "", "absent/dataset.json: cannot open");
    assert_sh(2, "$H data export small.yaml -o x --format json", "", "published, trm or jsonl");
    assert_sh(2, "$H data make small.yaml -o x --set data.ph=3", "", "did you mean data.phi?");
    assert_sh(2, "$H data newfacts x -o y --facts=-2", "", "out of range");
    assert_nothing_at("x");
}

static void test_make_and_audit(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H data make small.yaml -o a", "", "1,020 training items"); /* 300 facts, 3 * 240 queries */
    assert_true(hs_file_exists("a/dataset.json") && hs_file_exists("a/vocab.json") &&
                hs_file_exists("a/train_inferred.split"));
    assert_sh(0, "$H data audit a", "passed: every proof holds", "");
    assert_non_null(strstr(out, "train_inferred       train        720 "));
    assert_string_equal(message, "");
    assert_sh(
        0,
        "$H data audit a --json | python3 -c 'import json, sys; a = json.load(sys.stdin); s = {x[\"name\"]: x for x "
        "in a[\"splits\"]}; print(a[\"passed\"], a[\"training_items\"], a[\"phi_id\"], s[\"id_atomic\"][\"n\"], "
        "s[\"test_ii\"][\"in_training\"], 0 <= s[\"test_ii\"][\"baselines\"][\"nearest\"] <= 1)'",
        "True 1020 3 240 0 True", "");
    assert_sh(74, "$H data audit a > /dev/full", "", "standard output");
    assert_sh(74, "$H data make small.yaml -o a", "", "there already");
    assert_null(strstr(message, "training items")); /* said before the work */
    assert_sh(74, "$H data import absent -o a", "", "there already");
    assert_sh(74, "$H data export absent --format jsonl -o a/vocab.json", "", "there already");
    assert_sh(74, "$H data newfacts absent -o a", "", "there already");
    assert_sh(0, "$H data audit a", "passed", "");
    /* the same seed gives the same bytes for any number of threads, another seed others */
    assert_sh(0,
              "$H data make small.yaml -o b --set train.threads=3 && cat a/*.split | cksum > a.sum && "
              "cat b/*.split | cksum | cmp a.sum",
              "", "");
    assert_sh(0, "$H data make small.yaml -o c --set data.seed=2 && ! cat c/*.split | cksum | cmp -s a.sum", "", "");
    /* a file size limit stands in for a full disk */
    assert_sh(74, "( ulimit -f 4; $H data make small.yaml -o full )", "", "hopscope: ");
    assert_nothing_at("full");
    assert_sh(74, "touch file; $H data make small.yaml -o file/x", "", "file: ");
    if (geteuid() != 0)
        assert_sh(74, "mkdir locked; chmod 555 locked; $H data make small.yaml -o locked/x", "", "locked/x");
}

static void test_variants(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    static const struct {
        const char *set, *splits;
    } CASES[] = {
        {"data.hops=3 --set data.phi=4", "test_iii test_oii test_ioi test_ooi test_iio test_oio test_ioo test_ooo"},
        {"data.hops=4 --set data.phi=0 --set data.relations=3 --set data.out_degree=2", "test_iiii"},
        {"data.variant=second_hop_restricted --set data.variant_fraction=0.2 --set data.phi=2", "id_atomic test_ii_sr"},
        {"data.variant=without_id_facts", "test_ii test_oi test_io test_oo"},
        {"data.variant=held_out_id --set data.variant_fraction=0.2", "held_out_id_atomic"},
        {"data.variant=only_queries", "train_inferred"},
        {"data.token_multiplicity=6", "id_atomic train_inferred"},
        {"data.injection=both_full", "train_aug_h1 train_aug_h2"},
        {"data.injection=both_half", "train_aug_h1 train_aug_h2"},
        {"data.injection=first_full", "train_aug_h1"},
        {"data.injection=second_full", "train_aug_h2"},
        {"data.h1ratio=0.5 --set data.h1k=2", "train_aug_h1"},
        {"data.quirk_float_phi=true", "train_inferred"},
        {"data.quirk_dead_vocab=true --set data.end_token=true", "train_inferred"},
        {"data.cover=true", "test_ii"},
        {"data.task=comparison --set data.attributes=3", "test_id test_ood"},
        {"data.task=complex --set data.attributes=3 --set data.trained_fraction=0.2",
         "train_topleft train_cross test_hard"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[600];
        snprintf(line, sizeof line, "$H data make small.yaml -o d%zu --set %s && $H data audit d%zu", i, CASES[i].set,
                 i);
        assert_sh(0, line, "passed: every proof holds", "training items");
        snprintf(line, sizeof line, "for s in %s; do [ -s d%zu/$s.split ] || echo no $s; done", CASES[i].splits, i);
        assert_sh(0, line, "", "");
        assert_string_equal(out, "");
    }
    /* two hops injected at once: OOD hops on purpose, none by accident */
    assert_sh(0,
              "$H data audit d7 --json | python3 -c 'import json, sys; a = json.load(sys.stdin); "
              "print(a[\"ood_hops_in_training\"], a[\"ood_hops_on_purpose\"] > 10)'",
              "0 True", "");
}

static void test_impossible(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    static const struct {
        int code;
        const char *set, *says, *hint;
    } CASES[] = {
        {65, "data.out_degree=11", "data.out_degree: out-degree 11 is larger", "out_degree up to 10"},
        {65, "data.phi=30", "data.phi: phi asks for 7200", "possible: phi up to "},
        {65, "data.phi=1e-6", "data.phi: phi asks for 0 ", "0 for all queries"},
        {65, "data.token_multiplicity=7", "data.token_multiplicity: 60 entities", "a divisor of data.entities"},
        {65, "data.hops=3 --set data.injection=both_full", "data.injection: ", "data.hops 2"},
        {65, "data.task=comparison --set graph.path=world", "data.attribute_list: ", "for example"},
        {65, "data.task=comparison --set graph.path=world --set data.attribute_list=x", "no such relation: 'x'",
         "possible"},
        {65, "data.task=comparison --set data.variant=held_out_id", "data.variant: ", ""},
        {65, "data.entities=1000000 --set data.out_degree=10 --set data.hops=4", "data.hops: ", "possible: up to "},
        {2, "data.hops=5", "data.hops: out of range: '5'", "from 2 to 4"},
        {2, "data.holdout=1", "data.holdout: out of range", "from 0 to 0.95"},
        {2, "data.variant=heldout", "data.variant: no such choice: 'heldout'", "held_out_id"},
        {2, "data.task=compositon", "there is no such task: 'compositon'", "did you mean composition"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[400];
        snprintf(line, sizeof line, "$H data make small.yaml -o x --set %s", CASES[i].set);
        assert_sh(CASES[i].code, line, "", CASES[i].says);
        assert_non_null(strstr(message, CASES[i].hint));
    }
    assert_nothing_at("x");
}

static void test_forms(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    static const char *const SETS[] = {"data.seed=4",
                                       "data.injection=both_full",
                                       "data.token_multiplicity=6",
                                       "data.hops=3",
                                       "data.task=comparison --set data.attributes=3",
                                       "data.task=complex --set data.attributes=3 --set data.trained_fraction=0.2",
                                       "data.variant=without_id_facts --set data.end_token=true"};
    for (size_t i = 0; i < sizeof SETS / sizeof SETS[0]; i++) {
        char line[400];
        snprintf(line, sizeof line, "rm -rf d p q j.jsonl k; $H data make small.yaml -o d --set %s", SETS[i]);
        assert_sh(0, line, "", "");
        assert_sh(0, "$H data export d -f published -o p && $H data import p -o q", "", "");
        assert_same_audit("d", "q");
        assert_same_audit("d", "p"); /* a published folder can be audited as it is */
        assert_sh(0, "$H data export d -f jsonl -o j.jsonl && $H data import j.jsonl -o k", "", "");
        assert_same_audit("d", "k");
        assert_same_audit("d", "j.jsonl");
    }
    assert_sh(0,
              "python3 -c 'import json; t = json.load(open(\"p/train.json\")); print(sorted(t[0]), "
              "t[-1][\"target_text\"].startswith(t[-1][\"input_text\"]), t[-1][\"target_text\"].endswith(\"</a>\")); "
              "print(len(json.load(open(\"p/valid.json\"))) > 0, len(json.load(open(\"p/vocab.json\"))))'",
              "['input_text', 'target_text', 'type'] True True\nTrue 76", "");
    assert_sh(74, "$H data export d -f published -o p", "", "there already");
    assert_sh(74, "$H data export d -f jsonl -o j.jsonl", "", "there already");
    assert_sh(74, "$H data export d -f jsonl -o /dev/full", "", "/dev/full");
    assert_sh(74, "$H data import p -o q", "", "there already");
}

/* The npy set by NumPy where it is installed, else by its format. */
static void test_npy(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    write_file("load.py", "import ast, json, struct, sys\n"
                          "def load(path):\n"
                          "    try:\n"
                          "        import numpy\n"
                          "        a = numpy.load(path)\n"
                          "        return a.shape, a.flatten().tolist()\n"
                          "    except ImportError:\n"
                          "        b = open(path, 'rb').read()\n"
                          "        assert b[:8] == b'\\x93NUMPY\\x01\\x00'\n"
                          "        n = 10 + struct.unpack('<H', b[8:10])[0]\n"
                          "        head = ast.literal_eval(b[10:n].decode())\n"
                          "        assert n % 64 == 0 and head['descr'] == '<i4'\n"
                          "        return head['shape'], list(struct.unpack('<%di' % ((len(b) - n) // 4), b[n:]))\n"
                          "m = json.load(open('t/vocab_map.json'))\n"
                          "for part in 'train', 'test':\n"
                          "    (n, w), x = load('t/%s/all__inputs.npy' % part)\n"
                          "    shape, y = load('t/%s/all__labels.npy' % part)\n"
                          "    d = json.load(open('t/%s/dataset.json' % part))\n"
                          "    assert shape == (n, w) and w == d['seq_len'] == 5 and n == d['total_groups']\n"
                          "    assert max(x + y) < d['vocab_size'] and d['vocab_size'] == len(m) + 1\n"
                          "    for i in range(0, n * w, w):\n"
                          "        k = sum(t > 0 for t in x[i:i + w])\n"
                          "        assert y[i:i + k] == x[i:i + k] and y[i + k + 1] == m['</a>']\n"
                          "        assert 0 < y[i + k] <= 60 and not any(y[i + k + 2:i + w])\n"
                          "    assert load('t/%s/all__group_indices.npy' % part)[1] == list(range(n + 1))\n"
                          "    assert load('t/%s/all__puzzle_identifiers.npy' % part)[1] == [0] * n\n"
                          "    print(part, n)\n");
    assert_sh(0, "$H data make small.yaml -o d && $H data export d -f trm -o t", "", "");
    assert_sh(0, "python3 load.py", "train 1020", "");
}

/* --json of what writes a dataset: the counts of its card. */
static void test_written_json(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    write_file("show.py", "import json, sys\nd = json.load(sys.stdin)\nprint(d['out'], d['format'], d['facts'], "
                          "*['%s=%d' % (s['split'], s['n']) for s in d['splits'] if s['role'] == 'train'])\n");
    assert_sh(0, "$H data make small.yaml -o d --json | python3 show.py", "d dataset 300 id_atomic=240", "");
    assert_sh(0, "$H data export d -f jsonl -o d.jsonl --json | python3 show.py", "d.jsonl jsonl 300 id_atomic=240",
              "");
    assert_sh(0, "$H data import d.jsonl -o i --json | python3 show.py", "i dataset 300 ", "");
    assert_sh(0, "$H data newfacts d --facts 40 --keep 200 -o n --json | python3 show.py", "new_atomic=40", "");
    assert_string_equal(message, "");
}

static void test_newfacts(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(0, "$H data make small.yaml -o d && $H data newfacts d --facts 40 --keep 200 -o n", "", "new_atomic");
    assert_sh(0, "$H data audit n", "passed: every proof holds", "");
    assert_non_null(strstr(out, "new_atomic           train         40 "));
    assert_sh(0, "$H data newfacts d --paper --facts 40 --keep 100 -o p && $H data audit p",
              "kept_atomic          train        100 ", "");
    assert_sh(0,
              "$H data make small.yaml -o i --set data.injection=both_full && $H data newfacts i --facts 40 --keep 400 "
              "-o j && $H data audit j",
              "passed", "");
    assert_sh(65, "$H data newfacts d --facts 7 -o x", "", "even number");
    assert_sh(65, "$H data newfacts d --facts 100000 -o x", "", "possible: about ");
    assert_sh(65, "$H data make small.yaml -o h --set data.hops=3 && $H data newfacts h -o x", "", "two-hop");
    assert_nothing_at("x");
}

static void test_damage(void **state)
{
    (void)state;
    write_file("small.yaml", small);
    assert_sh(
        0, "$H data make small.yaml -o d && $H data export d -f published -o p && $H data export d -f jsonl -o j.jsonl",
        "", "");
    static const struct {
        int code;
        const char *harm, *says;
    } CASES[] = {
        {65, "printf A | dd of=c/train_inferred.split bs=1 seek=300 conv=notrunc", "checksum"},
        {65, "truncate -s 100 c/test_ii.split", "c/test_ii.split: not a whole packed split"},
        {65, "truncate -s -4 c/facts.packed", "c/facts.packed: "},
        {74, "rm c/test_ii.split", "c/test_ii.split: cannot open"},
        {65, "truncate -s 50 c/dataset.json", "c/dataset.json:"},
        {65, "echo {} > c/dataset.json", "c/dataset.json: not the card"},
        {65, "echo [] > c/vocab.json", "vocabulary"},
        {65, "echo [1] > c/vocab.json", "c/vocab.json"},
        {65, ": > c/vocab.json", "c/vocab.json"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[400];
        snprintf(line, sizeof line, "rm -rf c; cp -r d c; { %s; } 2> /dev/null; $H data audit c", CASES[i].harm);
        assert_sh(CASES[i].code, line, "", CASES[i].says);
        assert_string_equal(out, "");
        assert_sh(CASES[i].code, "$H data export c -f trm -o x", "", CASES[i].says);
    }
    static const char *const PUBLISHED[][2] = {
        {"truncate -s 5000 c/train.json", "c/train.json:"},
        {"echo '[]' > c/train.json; echo '[]' > c/test.json", "no item"},
        {"sed -i 's/<e_5>/<e_5000>/' c/train.json", "a token is not in vocab.json: '<e_5000>'"},
        {"echo '{}' > c/train.json", "c/train.json:1: not a JSON list"},
        {"sed -i 's/e_1>/e_0>/' c/vocab.json", "c/vocab.json: "},
        {"printf '\\377' >> c/test.json", "c/test.json"},
    };
    for (size_t i = 0; i < sizeof PUBLISHED / sizeof PUBLISHED[0]; i++) {
        char line[400];
        snprintf(line, sizeof line, "rm -rf c; cp -r p c; %s; $H data import c -o x", PUBLISHED[i][0]);
        assert_sh(65, line, "", PUBLISHED[i][1]);
    }
    assert_sh(65, "head -c 500 j.jsonl > c.jsonl; $H data import c.jsonl -o x", "", "c.jsonl:1: not JSON");
    assert_sh(65, "head -n 50 j.jsonl > c.jsonl; $H data import c.jsonl -o x", "", "c.jsonl");
    assert_sh(65, "echo nonsense > c.jsonl; $H data import c.jsonl -o x", "", "c.jsonl:1: not JSON");
    assert_nothing_at("x");
}

/* A leaking dataset is found, said, and not written. */
static void test_leak(void **state)
{
    (void)state;
    static const char clean[] =
        "{\"split\": \"id_atomic\", \"prompt\": [\"Munich\", \"in\"], \"answer\": [\"Germany\"]}\n"
        "{\"split\": \"id_atomic\", \"prompt\": [\"Germany\", \"currency\"], \"answer\": [\"euro\"]}\n"
        "{\"split\": \"test_ii\", \"prompt\": [\"Munich\", \"in\", \"currency\"], \"answer\": [\"euro\"]}\n";
    write_file("own.jsonl", clean);
    assert_sh(0, "$H data import own.jsonl -o own && $H data audit own", "passed: every proof holds", "");
    assert_sh(65, "sed '$ p; $ s/test_ii/train_inferred/' own.jsonl > leak.jsonl; $H data audit leak.jsonl",
              "FAILED: test_ii: test items are in the training set (1)", "");
    assert_sh(65, "$H data audit leak.jsonl --json | python3 -m json.tool; $H data audit leak.jsonl > /dev/null",
              "\"passed\": false", "");
    assert_sh(65, "$H data import leak.jsonl -o x", "", "not written");
    assert_sh(65, "sed '$ s/euro/Germany/' own.jsonl > wrong.jsonl; $H data import wrong.jsonl -o x", "",
              "do not follow from the facts (1)");
    assert_nothing_at("x");
}

/* Facts with several tails, through the whole program: made, trained, and still the same after a round trip. */
static void test_several_tails(void **state)
{
    (void)state;
    write_file("any.yaml", "graph: {path: any.tsv}\n"
                           "data: {tails: any}\n"
                           "model: {n_layer: 1, n_embd: 16, n_head: 2}\n"
                           "train: {steps: 20, batch: 32, threads: 1}\n");
    assert_sh(0,
              "for i in $(seq 300); do printf 'e%d\\tr%d\\te%d\\n' $((i * 7 % 40)) $((i % 3)) $((i * i % 37)); done > "
              "any.tsv && $H data make any.yaml -o d && $H data audit d",
              "passed", "");
    assert_non_null(strstr(out, "test_ii"));
    assert_sh(0, "$H data export d -f published -o p && $H data import p -o q", "", "");
    assert_same_audit("d", "q");
    assert_sh(0, "$H run any.yaml -q -o run", "test_ii", "");
    assert_sh(0, "$H data audit run/dataset --json | python3 -m json.tool", "\"passed\": true", "");
    if (!getenv("HOPSCOPE_DATA"))
        return;
    static const char *const GRAPHS[] = {"small/nations.tsv", "small/umls.tsv", "small/kinship.tsv",
                                         "codex-s/triples.tsv"};
    for (size_t i = 0; i < sizeof GRAPHS / sizeof GRAPHS[0]; i++) {
        char line[300];
        snprintf(line, sizeof line, "$H data make any.yaml --set graph.path=$HOPSCOPE_DATA/%s -o real%zu", GRAPHS[i],
                 i);
        assert_sh(0, line, "", "training items");
    }
}

/* The papers' datasets (experiments/papers): every file is sound, and those that promise numbers have them. */
static void test_papers(void **state)
{
    (void)state;
    assert_sh(0,
              "n=0; for f in '" TEST_SOURCE_DIR "'/experiments/papers/*.yaml; do $H config $f > /dev/null || exit 1; "
              "n=$((n + 1)); done; [ $n -ge 17 ] && echo sound",
              "sound", "");
    static const struct {
        const char *name, *code; /* a Python expression over n, the sizes of the splits, and a, the audit */
    } CASES[] = {
        {"worthwhile-both-full",
         "abs(n[\"train_aug_h1\"] / 22697 - 1) < 0.03 and abs(n[\"train_aug_h2\"] / 21492 - 1) < "
         "0.03 and n[\"train_inferred\"] == 684000 and 1850 < n[\"test_oo\"] < 2150"},
        {"worthwhile-both-half",
         "abs(n[\"train_aug_h1\"] / 5724 - 1) < 0.03 and abs(n[\"train_aug_h2\"] / 5778 - 1) < 0.03"},
        {"implicit-reasoning-3hop",
         "n[\"train_inferred\"] == 120000 and a[\"phi\"] == 12 and all(n[\"test_\" + x + y + z] "
         "== 1000 for x in \"io\" for y in \"io\" for z in \"io\")"},
        {"implicit-reasoning-held-out-id", "n[\"id_atomic\"] == 36100 and n[\"held_out_id_atomic\"] == 1900 and "
                                           "n[\"train_inferred\"] == 273600"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char line[1400];
        snprintf(line, sizeof line,
                 "$H data make '" TEST_SOURCE_DIR
                 "/experiments/papers/%s.yaml' -o p%zu && $H data audit p%zu --json | python3 "
                 "-c 'import json, sys; a = json.load(sys.stdin); n = {s[\"name\"]: s[\"n\"] for s in a[\"splits\"]}; "
                 "print(a[\"passed\"] and (%s), n)'",
                 CASES[i].name, i, i, CASES[i].code);
        assert_sh(0, line, "True {", "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_usage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_make_and_audit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_variants, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_impossible, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_npy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_written_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newfacts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leak, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_several_tails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_papers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
