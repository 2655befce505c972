/* Tokenizers: learning by hand, every text comes back, the file comes back, damaged files and text are refused. */
#include "hopscope/text.h"

#include "check.h"

static hs_error error;

static hs_tokenizer *learn(hs_tokenizer_kind kind, uint32_t size, const char *const *texts, size_t n)
{
    hs_tokenizer_learner *learner;
    hs_tokenizer *t;
    assert_ok(hs_tokenizer_learner_create(&learner, err));
    for (size_t i = 0; i < n; i++)
        assert_ok(hs_tokenizer_learner_feed(learner, texts[i], strlen(texts[i]), err));
    assert_ok(hs_tokenizer_learner_finish(learner, kind, size, &t, err));
    hs_tokenizer_learner_free(learner);
    return t;
}

static hs_ids ids_of(const hs_tokenizer *t, const char *text)
{
    hs_ids ids = {0};
    assert_ok(hs_tokenizer_encode(t, text, strlen(text), &ids, err));
    return ids;
}

/* The tokens of a text as text, a bar between two. */
static void assert_pieces(const hs_tokenizer *t, const char *text, const char *want)
{
    hs_ids ids = ids_of(t, text);
    hs_str got = {0};
    for (size_t i = 0; i < ids.n; i++) {
        hs_str_add(&got, "|", i > 0);
        hs_tokenizer_decode(t, &ids.id[i], 1, &got);
    }
    assert_string_equal(got.s, want);
    hs_str_free(&got);
    hs_ids_free(&ids);
}

static const char *const LOW[] = {"low low low low low", " lower lower newest newest newest newest newest newest widest widest widest"};

/* The example of arXiv 1508.07909, with the word boundary before instead of after: its first merges by hand. */
static void test_byte_pairs(void **state)
{
    (void)state;
    hs_tokenizer *t = learn(HS_TOKENIZER_BPE, 256 + 4, LOW, 2);
    assert_int_equal(hs_tokenizer_size(t), 260);
    assert_int_equal(hs_tokenizer_kind_of(t), HS_TOKENIZER_BPE);
    assert_pieces(t, "widest", "w|i|d|est");
    assert_pieces(t, " newest", " |n|e|w|est");
    hs_tokenizer_free(t);
    t = learn(HS_TOKENIZER_BPE, 4000, LOW, 2);
    assert_pieces(t, " newest", " newest");
    assert_pieces(t, " slower", " |s|low|er");
    assert_true(hs_tokenizer_size(t) < 300); /* no merge of what occurs once */
    hs_tokenizer_free(t);
}

static void test_words(void **state)
{
    (void)state;
    const char *const text[] = {"Paris is in France.", "Is Paris big?"};
    hs_tokenizer *t = learn(HS_TOKENIZER_WORDS, 0, text, 2);
    assert_pieces(t, "Is Paris in France?", "Is| Paris| in| France|?");
    assert_pieces(t, "Is Rome in France.", "Is|<unk>| in| France|.");
    assert_int_equal(hs_tokenizer_size(t), 10);
    hs_tokenizer_free(t);
}

static const char *const TEXTS[] = {
    "", " ", "  ", "a", "it's we'll I'D 'tis", "a  b\t\n\n c   ", "x1 22½ ³ ٣٤", "Zürich, Tōkyō – 東京! \xf0\x9f\x98\x80\xf0\x9f\x98\x80",
    "e\xcc\x81 \xc2\xa0 \xe2\x80\xa8nbsp\xc2\x85 \xe1\xa0\x8e.", "...---...", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
enum { N_TEXTS = sizeof TEXTS / sizeof *TEXTS };

/* Byte pairs lose nothing; a tokenizer written and read gives the same ids and the same file. */
static void test_round_trip(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        hs_tokenizer *t = learn((hs_tokenizer_kind)kind, 300, TEXTS, N_TEXTS), *again;
        hs_str file = {0}, second = {0};
        hs_tokenizer_write(t, &file);
        assert_ok(hs_tokenizer_read(&again, file.s, file.len, "t.json", err));
        hs_tokenizer_write(again, &second);
        assert_string_equal(file.s, second.s);
        for (size_t i = 0; i < N_TEXTS; i++) {
            hs_ids a = ids_of(t, TEXTS[i]), b = ids_of(again, TEXTS[i]);
            hs_str back = {0};
            assert_int_equal(a.n, b.n);
            if (a.n)
                assert_memory_equal(a.id, b.id, a.n * sizeof *a.id);
            hs_tokenizer_decode(t, a.id, a.n, &back);
            assert_string_equal(back.s ? back.s : "", TEXTS[i]);
            hs_str_free(&back);
            hs_ids_free(&a);
            hs_ids_free(&b);
        }
        hs_str_free(&file);
        hs_str_free(&second);
        hs_tokenizer_free(t);
        hs_tokenizer_free(again);
    }
}

/* A word of a megabyte takes the time of a megabyte. */
static void test_long_word(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    hs_tokenizer *t = learn(HS_TOKENIZER_BPE, 4000, LOW, 2);
    char *word = hs_alloc(N);
    assert_non_null(word);
    for (size_t i = 0; i < N; i++)
        word[i] = "lowest"[i % 6];
    hs_ids ids = {0};
    assert_ok(hs_tokenizer_encode(t, word, N, &ids, err));
    assert_true(ids.n > N / 6 && ids.n < N);
    hs_ids_free(&ids);
    hs_free(word);
    hs_tokenizer_free(t);
}

static void test_bad_text(void **state)
{
    (void)state;
    hs_tokenizer *t = learn(HS_TOKENIZER_BPE, 256, LOW, 2);
    hs_ids ids = {0};
    assert_int_equal(hs_tokenizer_encode(t, "Z\xc3\xbcrich", 2, &ids, &error), HS_ERR_DATA);
    assert_non_null(strstr(error.what, "from byte 2"));
    assert_non_null(strstr(error.hint, "middle of a character"));
    assert_int_equal(ids.n, 0);
    hs_tokenizer_learner *learner;
    assert_ok(hs_tokenizer_learner_create(&learner, err));
    assert_int_equal(hs_tokenizer_learner_feed(learner, "\xff", 1, &error), HS_ERR_DATA);
    hs_tokenizer *none;
    assert_int_equal(hs_tokenizer_learner_finish(learner, HS_TOKENIZER_BPE, 255, &none, &error), HS_ERR_DATA);
    assert_null(none);
    hs_tokenizer_learner_free(learner);
    hs_ids_free(&ids);
    hs_tokenizer_free(t);
}

/* Each change of a good file, and what the error must say. */
static void test_bad_files(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *where, *what;
    } changes[] = {
        {"\"BPE\"", "\"Unigram\"", "model.type", "no supported kind"},
        {"\"normalizer\": null", "\"normalizer\": {\"type\": \"NFC\"}", "normalizer", "not supported"},
        {"\"use_regex\": true},\n\"post", "\"use_regex\": false},\n\"post", "pre_tokenizer", "not cut as here"},
        {"\"add_prefix_space\": false", "\"add_prefix_space\": true", "pre_tokenizer", "not cut as here"},
        {"\"post_processor\": null", "\"post_processor\": {\"type\": \"TemplateProcessing\"}", "post_processor", "adds tokens"},
        {"\"fuse_unk\": false", "\"fuse_unk\": true", "fuse_unk", "not supported"},
        {"\"!\": 33", "\"!!\": 33", "model.vocab", "lacks the token"},
        {"\"!\": 33", "\"!\": 34", "model.vocab", "same id"},
        {"\"!\": 33", "\"!\": 3300", "model.vocab", "without a gap"},
        {"\"!\": 33", "\" \": 33", "model.vocab", "alphabet"},
        {"\"!\": 33", "\"\": 33", "model.vocab", "empty"},
        {"[\"e\", \"s\"]", "[\"e\", \"ss\"]", "model.merges", "not in the vocabulary"},
        {"[\"e\", \"s\"]", "[\"e\"]", "model.merges", "two tokens"},
        {"[\"e\", \"s\"]", "[\"es\", \"t\"]", "model.merges, number", "twice"},
        {"\"merges\"", "\"mergers\"", "model.merges", "missing"},
        {"\"vocab\"", "\"words\"", "model.vocab", "missing"},
        {"\"version\"", "version", "t.json:1", "not JSON"},
    };
    hs_tokenizer *t = learn(HS_TOKENIZER_BPE, 270, LOW, 2), *none;
    hs_str file = {0};
    hs_tokenizer_write(t, &file);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const char *at = strstr(file.s, changes[i].from);
        assert_non_null(at);
        hs_str changed = {0};
        hs_str_add(&changed, file.s, (size_t)(at - file.s));
        hs_str_add(&changed, changes[i].to, strlen(changes[i].to));
        hs_str_add(&changed, at + strlen(changes[i].from), strlen(at + strlen(changes[i].from)));
        assert_int_equal(hs_tokenizer_read(&none, changed.s, changed.len, "t.json", &error), HS_ERR_DATA);
        if (!strstr(error.where, changes[i].where) || !strstr(error.what, changes[i].what))
            fail_msg("change %zu: %s: %s", i, error.where, error.what);
        hs_str_free(&changed);
    }
    for (size_t len = 0; len + 2 < file.len; len += 1 + file.len / 50) /* cut anywhere */
        assert_int_equal(hs_tokenizer_read(&none, file.s, len, "t.json", &error), HS_ERR_DATA);
    hs_str_free(&file);
    hs_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_pairs), cmocka_unit_test(test_words),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_word),  cmocka_unit_test(test_bad_text), cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
