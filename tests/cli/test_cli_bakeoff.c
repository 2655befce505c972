/* hopscope plot and hopscope bakeoff as their users meet them. */
#include "hopscope/core.h"

#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[256], out[65536], message[65536];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/plot_XXXXXX", TEST_BINARY_DIR);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") == 0 ? system(command) : -1;
}

static void read_all(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
}

/* Run a shell line in which $H is the program, and check exit code, standard output and messages. */
static void assert_sh(int expected, const char *line, const char *in_out, const char *in_message)
{
    char command[2000];
    snprintf(command, sizeof command, "H='%s/hopscope'; { %s ; } > out.txt 2> err.txt", TEST_BINARY_DIR, line);
    const int status = system(command), code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
    read_all("out.txt", out, sizeof out);
    read_all("err.txt", message, sizeof message);
    if (code != expected || !strstr(out, in_out) || !strstr(message, in_message))
        fail_msg("%s\nexit code %d, expected %d\n--- stdout (expected '%s')\n%s\n--- stderr (expected '%s')\n%s", line,
                 code, expected, in_out, out, in_message, message);
}

static void write_file(const char *path, const char *text)
{
    assert_int_equal(hs_file_write(path, text, strlen(text), NULL), HS_OK);
}

static const char tiny[] = "data:\n  entities: 20\n  relations: 5\n  out_degree: 3\n  phi: 0\n  holdout: 0.1\n"
                           "model:\n  n_embd: 16\n  n_head: 2\n"
                           "train:\n  steps: 200\n  batch: 16\n  threads: 1\n  eval_every: 10\n  lr: 1e-2\n"
                           "  stop_split: id_atomic\n  stop_accuracy: 0.5\n  stop_patience: 1\n"
                           "report:\n  title: Tiny\n";

static bool has_gnuplot(void)
{
    return system("gnuplot --version > /dev/null 2>&1") == 0;
}

static void test_plot(void **state)
{
    (void)state;
    write_file("tiny.yaml", tiny);
    assert_sh(2, "$H plot", "", "missing argument: RUN");
    assert_sh(2, "$H plot runs/tiny", "", "-o FILE.svg");
    assert_sh(74, "$H plot runs/tiny -o a.svg", "", "run.db is not there");
    assert_sh(0, "$H run tiny.yaml -q", "", "");
    assert_sh(2, "$H plot runs/tiny -o a.jpg", "", ".svg, .png or .pdf");
    assert_sh(2, "$H plot runs/tiny -o a.svg --splits nothing", "", "'nothing'");
    assert_sh(2, "$H plot runs/tiny -o a.svg --step 3", "", "--what METHOD");
    assert_sh(2, "$H plot runs/tiny -o a.svg --what lense", "", "did you mean 'lens'");
    assert_sh(65, "$H plot runs/tiny -o a.svg --what lens", "",
              "hopscope interpret runs/tiny --method lens --steps all");
    assert_sh(1, "PATH=/nowhere; $H plot runs/tiny -o a.svg", "", "gnuplot-nox");
    if (!has_gnuplot())
        return;
    assert_sh(0, "$H plot runs/tiny -o a.svg --script && grep -c Tiny a.svg && ls a.gp a.dat", "a.gp", "");
    assert_sh(0, "cp -r runs/tiny again && $H plot runs/tiny again -o b.png --seconds --loss && head -c 4 b.png", "PNG",
              "");
    assert_sh(0, "$H interpret runs/tiny --method lens,trace --steps all --split test_ii", "mrr", "");
    assert_sh(0, "$H plot runs/tiny -o l.svg --what lens && grep -o 'mrr of b, test_ii' l.svg", "mrr of b, test_ii",
              "");
    assert_sh(0, "$H plot runs/tiny -o t.pdf --what trace --measure effect --role h && head -c 4 t.pdf", "%PDF", "");
    assert_sh(0, "$H plot runs/tiny again -o b.png --json | python3 -c 'import json,sys; print(json.load(sys.stdin))'",
              "{'out': 'b.png', 'runs': ['runs/tiny', 'again']}", ""); /* drawn anew */
    /* a folder that nobody may write to */
    assert_sh(0, "chmod -R a-w runs/tiny && $H plot runs/tiny -o c.svg; code=$?; chmod -R u+w runs/tiny; exit $code",
              "", "");
}

static void test_bakeoff(void **state)
{
    (void)state;
    hs_str text = {0};
    hs_str_addf(&text, "bakeoff:\n  seeds: 2\n  arms:\n    muon: {}\n    stuck: {train.lr: 0}\n%s", tiny);
    write_file("b.yaml", text.s);
    write_file("tiny.yaml", tiny);
    hs_str_free(&text);
    assert_sh(65, "$H bakeoff tiny.yaml", "", "hopscope run tiny.yaml");
    assert_sh(65, "$H run b.yaml", "", "hopscope bakeoff");
    assert_sh(2, "$H bakeoff b.yaml --json --csv", "", "stand alone");
    assert_sh(0, "$H bakeoff b.yaml --report", "0/0", "");
    assert_non_null(strstr(out, "4 runs not started"));
    assert_sh(0, "$H bakeoff b.yaml -q", "> 200", "");
    assert_null(strstr(out, "Not complete"));
    assert_sh(0,
              "$H bakeoff b.yaml -q --json | python3 -c 'import json,sys; b = json.load(sys.stdin); "
              "print([(a[\"arm\"], a[\"steps\"][\"events\"], a[\"steps\"][\"median\"] is None) for a in b[\"arms\"]])'",
              "[('muon', 2, False), ('stuck', 0, True)]", "");
    assert_sh(0, "$H bakeoff b.yaml -q --csv | grep -c '^stuck,[12],0,200,'", "2", "");
    assert_sh(0, "$H bakeoff b.yaml 2>&1 >/dev/null | wc -c", "0", ""); /* finished: nothing is trained again */
    assert_sh(65, "$H bakeoff b.yaml --set train.batch=8", "", "train.batch");
    if (has_gnuplot())
        assert_sh(0, "$H bakeoff b.yaml --report --figure b.svg && grep -c stuck b.svg", "", "");
}

/* Two processes share one bakeoff; a signal stops one, and the same command goes on. */
static void test_shared_and_stopped(void **state)
{
    (void)state;
    hs_str text = {0};
    hs_str_addf(
        &text,
        "bakeoff:\n  seeds: 1\n  arms:\n    a: {}\n    b: {train.lr: 0}\n    c: {train.lr: 0, train.clip: 2}\n%s",
        tiny);
    write_file("b.yaml", text.s);
    hs_str_free(&text);
    assert_sh(0,
              "$H bakeoff b.yaml -q -s train.steps=2000 & $H bakeoff b.yaml -q -s train.steps=2000 && wait && "
              "$H bakeoff b.yaml --report -s train.steps=2000",
              "> 2,000", "");
    assert_null(strstr(out, "- not finished"));
    const pid_t child = fork();
    if (child == 0) {
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execl(TEST_BINARY_DIR "/hopscope", "hopscope", "bakeoff", "b.yaml", "-s", "train.steps=50000000", "-o", "long",
              NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && !hs_file_exists("long/b/seed-1/run.db"); i++)
        usleep(10000);
    usleep(200000);
    kill(child, SIGTERM);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 143);
    assert_sh(0, "$H bakeoff b.yaml -o long --report", "arm", "");
    assert_sh(0, "$H bakeoff b.yaml -o long -q -s train.steps=300", "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plot, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bakeoff, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_shared_and_stopped, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
