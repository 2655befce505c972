/* A run in words, by its users' commands: the same bits for any threads and after a stop, audit, export, what is
 * refused. */
#include "cli_test.h"

static const char experiment[] =
    "graph: {path: world, relations: [currency, continent, next eastward]}\n"
    "data: {task: composition, rendering: paragraphs, tokenizer: bpe, tokenizer_size: 600, phi: 0, holdout: 0.1}\n"
    "model: {n_embd: 16, n_head: 2, n_layer: 1}\n"
    "train: {steps: 6, batch: 24, eval_max: 50}\n"
    "report: {page: false}\n";

static void test_run(void **state)
{
    (void)state;
    write_file("text.yaml", experiment);
    assert_sh(0, "$H run text.yaml -o one --set train.threads=1", "test_oi", "paragraphs in words: 600 byte pairs");
    assert_sh(0,
              "$H run text.yaml -o two --set train.threads=3 --set train.steps=3 -q && $H run text.yaml -o two --set "
              "train.threads=2 -q",
              "", "");
    assert_sh(0, "cmp one/checkpoints/step-00000006.safetensors two/checkpoints/step-00000006.safetensors", "", "");
    assert_sh(0, "cmp one/dataset/tokenizer.json two/dataset/tokenizer.json && diff -r one/dataset two/dataset", "",
              "");
    assert_sh(0, "$H data audit one/dataset", "0 held-out questions asked in training, 0 training sentences", "");
    assert_sh(0, "$H eval one", "test_oi", "");
    assert_sh(0, "$H export one --hf hf && cmp hf/tokenizer.json one/dataset/tokenizer.json", "", "");
    assert_sh(65, "$H ask one Germany 'next eastward' currency", "",
              "data.rendering: paragraphs: asking needs items of single tokens");
    assert_sh(65, "$H interpret one", "", "needs items of single tokens");
    assert_sh(0, "$H report one -o page.html", "", "");
}

static void test_refused(void **state)
{
    (void)state;
    write_file("text.yaml", experiment);
    write_file("table.yaml", "relations:\n  currency:\n    fact: [\"{h} pays.\"]\n");
    assert_sh(65, "$H run text.yaml -o run --set data.templates=table.yaml", "",
              "table.yaml:3: currency.fact: a wording needs the slot {t}");
    write_file("table.yaml", "relations: {currency: {fact: [\"{h} pays {t}.\"]}}\n");
    assert_sh(65, "$H run text.yaml -o run --set data.templates=table.yaml", "", "data.template_fallback");
    assert_sh(2, "$H run text.yaml -o run --set data.tokenizer_size=100", "", "data.tokenizer_size");
    assert_sh(65, "$H run text.yaml -o run --set model.kind=trm", "", "single tokens");
    assert_nothing_at("run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_run, set_up, tear_down),
                                       cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
