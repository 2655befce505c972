/* export, import and logits as their users meet them: a run becomes a folder, the folder a file, and both say the same. */
#include "hopscope/model.h"

#include "check.h"

#include <sys/wait.h>
#include <unistd.h>

static char folder[256], message[65536];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/cli_export_XXXXXX", TEST_BINARY_DIR);
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    static const char text[] = "data: {entities: 20, relations: 5, out_degree: 3, phi: 0, test_max: 50, end_token: true}\n"
                               "model: {n_embd: 16, n_head: 2, n_layer: 1, passes: 2, init_std: 0.3}\n"
                               "train: {steps: 3, batch: 32, threads: 1}\n";
    return hs_file_write("a.yaml", text, sizeof text - 1, NULL) == HS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

/* Run a shell line in which $H is the program; stderr to `message`; returns the exit code. */
static int sh(const char *line)
{
    char command[2000];
    snprintf(command, sizeof command, "H='%s/hopscope'; { %s ; } > out.txt 2> err.txt", TEST_BINARY_DIR, line);
    const int status = system(command);
    FILE *f = fopen("err.txt", "r");
    assert_non_null(f);
    message[fread(message, 1, sizeof message - 1, f)] = 0;
    fclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void assert_sh(int expected, const char *line, const char *in_message)
{
    const int code = sh(line);
    if (code != expected || !strstr(message, in_message))
        fail_msg("%s\nexit code %d, expected %d\n--- stderr (expected '%s')\n%s", line, code, expected, in_message,
                 message);
}

static float *read_logits(const char *path, size_t rows, size_t *n)
{
    hs_st_file *f;
    assert_ok(hs_st_open(&f, path, err));
    const hs_st_tensor *t = hs_st_find(f, "logits");
    assert_non_null(t);
    assert_int_equal(t->shape[0], rows);
    *n = (size_t)(t->shape[0] * t->shape[1]);
    float *x = hs_alloc(*n * sizeof *x);
    assert_ok(hs_st_read_f32(f, "logits", x, *n, err));
    hs_st_close(f);
    return x;
}

static void test_run_to_folder_to_file(void **state)
{
    (void)state;
    assert_sh(0, "$H run a.yaml -q -o run", "");
    assert_sh(0, "$H export run --hf folder", "step-00000003.safetensors -> folder");
    assert_sh(0, "test -s folder/config.json && test -s folder/tokenizer.json && grep -q '\"n_layer\": 2' folder/config.json",
              "");
    assert_sh(0, "$H import folder -o imported.safetensors", "GPT-2, 2 blocks, width 16");
    /* an earlier export is replaced; another file, or a model file that is there, is not */
    assert_sh(0,
              "$H export run --hf folder --json | python3 -c 'import json,sys; d = json.load(sys.stdin); "
              "assert (d[\"step\"], d[\"averaged\"], d[\"out\"]) == (3, False, \"folder\")'",
              "");
    assert_sh(74, "mkdir mine; echo x > mine/notes.txt; $H export run --hf mine",
              "other files than an earlier export: 'notes.txt'");
    assert_sh(1, "test -e mine/config.json", "");
    assert_sh(74, "$H import folder -o imported.safetensors", "there already");
    assert_sh(0,
              "$H import folder -o again.safetensors --json | python3 -c 'import json,sys; d = json.load(sys.stdin); "
              "assert (d[\"blocks\"], d[\"width\"]) == (2, 16)' && cmp imported.safetensors again.safetensors",
              "");
    assert_sh(0, "printf '1 21 22\\n3\\n\\t7  20\\n' > ids.txt", "");
    assert_sh(0, "$H logits run/checkpoints/step-00000003.safetensors --ids ids.txt -o 1.safetensors", "");
    assert_sh(0, "$H logits imported.safetensors --ids ids.txt -o 2.safetensors", "");
    assert_sh(0,
              "$H logits folder --ids ids.txt -o 3.safetensors --json | python3 -c 'import json,sys; d = "
              "json.load(sys.stdin); "
              "assert (d[\"sequences\"], d[\"rows\"]) == (3, 6)'",
              "");
    assert_sh(74, "$H logits folder --ids ids.txt -o 3.safetensors", "there already");
    size_t n, again;
    float *shared = read_logits("1.safetensors", 6, &n), *file = read_logits("2.safetensors", 6, &again);
    float *dir = read_logits("3.safetensors", 6, &again);
    assert_int_equal(n, again);
    assert_near("unrolled", file, shared, n, 1e-6);
    assert_near("folder", dir, file, n, 1e-7);
    hs_free(shared);
    hs_free(file);
    hs_free(dir);
}

static void test_trm_has_logits_but_no_folder(void **state)
{
    (void)state;
    assert_sh(0, "$H run a.yaml -q -o trm --set model.kind=trm --set model.passes=1 --set model.round_up=4", "");
    assert_sh(2, "$H export trm --hf none", "no Hugging Face form");
    assert_sh(1, "test -e none", "");
    assert_sh(0, "printf '1 21 22\\n3 20\\n' > ids.txt", "");
    assert_sh(0, "$H logits trm/checkpoints/step-00000003.safetensors --ids ids.txt -o t.safetensors", "");
    size_t n;
    hs_free(read_logits("t.safetensors", 2, &n)); /* one row a sequence */
}

static void test_wrong_use_is_said(void **state)
{
    (void)state;
    assert_sh(2, "$H export", "missing argument");
    assert_sh(2, "$H export run", "--hf DIR");
    assert_sh(2, "$H import folder", "-o FILE");
    assert_sh(2, "$H logits x", "--ids FILE");
    assert_sh(74, "$H export nowhere --hf x", "this is no run directory");
    assert_sh(74, "$H export run --hf x --step 7", "no checkpoint of step 7 is kept");
    assert_sh(74, "$H import nowhere -o x", "nowhere/config.json");
    assert_sh(0, "echo '1 999' > ids.txt", "");
    assert_sh(65, "$H logits imported.safetensors --ids ids.txt -o x", "ids.txt:1: not a token id");
    assert_sh(0, "echo '1 -2' > ids.txt", "");
    assert_sh(65, "$H logits imported.safetensors --ids ids.txt -o x", "'-2'");
    assert_sh(0, "echo '1 2 3 4 5 6 7' > ids.txt", "");
    assert_sh(65, "$H logits imported.safetensors --ids ids.txt -o x", "7 tokens where 1 to");
    assert_sh(0, ": > ids.txt", "");
    assert_sh(65, "$H logits imported.safetensors --ids ids.txt -o x", "no sequence");
    assert_sh(0, "head -c 2000 imported.safetensors > cut.safetensors; echo 1 > ids.txt", "");
    assert_sh(65, "$H logits cut.safetensors --ids ids.txt -o x", "cut.safetensors: ");
}

/* A run with averaged weights exports those, and says so: not the raw ones of the weights' file. */
static void test_averaged_weights(void **state)
{
    (void)state;
    size_t n;
    assert_sh(0, "$H run a.yaml -o avg --set train.ema=0.9 --set train.lr=0.1 -q", "");
    assert_sh(0, "$H export avg --hf avg-hf",
              "averaged weights of avg/checkpoints/step-00000003.state.safetensors -> avg-hf");
    assert_sh(0, "$H export --help > help.txt; grep -q averaged help.txt", "");
    assert_sh(0,
              "echo 0 1 2 > ids.txt && $H logits avg-hf --ids ids.txt -o a.safetensors && "
              "$H logits avg/checkpoints/step-00000003.safetensors --ids ids.txt -o b.safetensors",
              "");
    float *a = read_logits("a.safetensors", 3, &n), *b = read_logits("b.safetensors", 3, &n);
    assert_true(check_relative_error(a, b, n) > 1e-3);
    hs_free(a);
    hs_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_to_folder_to_file),
        cmocka_unit_test(test_trm_has_logits_but_no_folder),
        cmocka_unit_test(test_wrong_use_is_said),
        cmocka_unit_test_setup_teardown(test_averaged_weights, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
