/* The live page's server: what is answered, what is refused, what events tell, what clients cannot do to it. Runs are
 * records written by the tests; questions and bundles of trained runs are asked in tests/cli. */
#include "hopscope/report.h"
#include "hopscope/train.h"
#include "report/serve/request.h"

#include "report/serve_client.h"

#include <sys/stat.h>

static char folder[256];
static hs_error error;
static hs_server *server;
static int port;

static int set_up(void **state)
{
    (void)state;
    /* in memory where that can be: a record syncs at every commit, and disks are slow beside other tests */
    snprintf(folder, sizeof folder, "%s/serve_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : TEST_BINARY_DIR);
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[700];
    hs_serve_stop(server);
    server = NULL;
    snprintf(command, sizeof command, "chmod -R u+w '%s'; rm -rf '%s'", folder, folder);
    return system(command);
}

static const char *in_folder(const char *name)
{
    static char path[4][800];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void start_with(const char *name, hs_serve_options options)
{
    options.poll_seconds = options.poll_seconds > 0 ? options.poll_seconds : 0.01;
    assert_ok(hs_serve_start(&server, name ? in_folder(name) : folder, &options, err));
    port = port_of(hs_serve_url(server));
}

static void start(const char *name)
{
    start_with(name, (hs_serve_options){0});
}

static void stop(void)
{
    hs_serve_stop(server);
    server = NULL;
}

static hs_record *open_run(const char *name)
{
    char db[900];
    hs_record *record;
    assert_ok(hs_make_dirs(in_folder(name), err));
    snprintf(db, sizeof db, "%s/run.db", in_folder(name));
    assert_ok(hs_record_open(&record, db, err));
    return record;
}

static void add_eval(hs_record *record, uint64_t step, double accuracy)
{
    const hs_eval eval = {.split = "test_ii", .n = 10, .accuracy = accuracy, .loss = 1.25};
    assert_ok(hs_record_eval(record, step, 2.5, &eval, err));
    assert_ok(hs_record_metric(record, step, "loss", 0.5, err));
    /* a link as the training makes it: another history, another link */
    assert_ok(hs_record_weights(record, step, step, step + (uint64_t)(accuracy * 1000), err));
}

static void add_probe(hs_record *record, uint64_t step, const char *role)
{
    hs_probe_row row = {.step = step,
                        .method = "lens",
                        .split = "test_ii",
                        .stage = 1,
                        .position = "r1",
                        .measure = "found",
                        .n = 10,
                        .value = 0.1,
                        .low = 0,
                        .high = 1};
    snprintf(row.role, sizeof row.role, "%s", role);
    assert_ok(hs_record_probe(record, &row, err));
}

static void make_run(const char *name, uint64_t steps)
{
    hs_record *record = open_run(name);
    assert_ok(hs_record_info(record, "title", "</script><script>alert(1)</script>", err));
    for (uint64_t step = 1; step <= steps; step++)
        add_eval(record, step, 0.25);
    assert_ok(hs_record_commit(record, err));
    hs_record_close(record);
}

/* ---------------------------------------------------------------- what a request says */

static void test_host(void **state)
{
    (void)state;
    const hs_host_rule local = {.port = 8787}, wide = {.port = 8787, .name = "box.lan", .address = true},
                       plain = {.port = 80};
    static const char *const good[] = {"localhost:8787", "LocalHost:8787", "127.0.0.1:8787", "[::1]:8787"};
    static const char *const bad[] = {"",
                                      "localhost",
                                      "localhost:8788",
                                      "localhost:",
                                      "localhost:8787x",
                                      "localhost:08787 ",
                                      "localhost.:8787",
                                      "evil.com:8787",
                                      "127.0.0.1.evil.com:8787",
                                      "[::1:8787",
                                      "::1:8787",
                                      "[localhost]:8787",
                                      "localhost:99999999999999999999",
                                      "127.0.0.2:8787",
                                      "evil.com#localhost:8787",
                                      "[::1]x:8787",
                                      "localhost:8787:8787"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(hs_host_allowed(good[i], &local) && hs_host_allowed(good[i], &wide));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hs_host_allowed(bad[i], &local))
            fail_msg("%s", bad[i]);
    assert_true(hs_host_allowed("localhost", &plain));
    assert_true(hs_host_allowed("box.lan:8787", &wide) && hs_host_allowed("192.168.1.7:8787", &wide));
    assert_true(hs_host_allowed("[fe80::1]:8787", &wide));
    assert_false(hs_host_allowed("box.lan.evil.com:8787", &wide) || hs_host_allowed("1.2.3.4.5:8787", &wide));
}

static void test_ids(void **state)
{
    (void)state;
    hs_event_id id, again;
    hs_str text = {0};
    assert_true(hs_event_id_parse("runs/a%3Ab%2C%E2%82%AC:562.9f.a1.17", &id));
    assert_string_equal(id.run, "runs/a:b,\u20ac");
    assert_true(id.step == 562 && id.marked && id.mark == 0x9f && id.instance == 0xa1 && id.seq == 17);
    hs_event_id_add(&text, &id);
    assert_string_equal(text.s, "runs/a%3Ab%2C%E2%82%AC:562.9f.a1.17");
    assert_true(hs_event_id_parse(text.s, &again));
    assert_memory_equal(&id, &again, sizeof id);
    assert_true(hs_event_id_parse("demo:7", &id) && !id.marked && id.step == 7);
    assert_true(hs_event_id_parse(":0.0.1.0", &id) && id.run[0] == 0);
    static const char *const bad[] = {"",
                                      "demo",
                                      ":",
                                      "demo:",
                                      "demo:x",
                                      "demo:-1",
                                      "demo:1.",
                                      "demo:1.g",
                                      "demo:1.2",
                                      "demo:1.2.3",
                                      "demo:1.2.3.",
                                      "demo:1.2.3.4.5",
                                      "a b:1",
                                      "%0:1",
                                      "%00:1",
                                      "%ff:1",
                                      "demo:99999999999999999999",
                                      "demo:1.11111111111111111.1.1",
                                      "demo:1.A.1.1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (hs_event_id_parse(bad[i], &id))
            fail_msg("%s", bad[i]);
    hs_str_free(&text);
}

static hs_status param(hs_request_params *p, const char *key, const char *value)
{
    return hs_request_param(p, key, value, strlen(value), &error);
}

static void test_params(void **state)
{
    (void)state;
    hs_request_params p = {0};
    char many[HS_RUN_ID + 8];
    assert_ok(param(&p, "run", "a/b"));
    assert_ok(param(&p, "step", "562"));
    assert_ok(param(&p, "nonsense", "\xff"));
    assert_int_equal(param(&p, "run", "c"), HS_ERR_USAGE);
    assert_int_equal(param(&p, "step", "1"), HS_ERR_USAGE);
    assert_true(p.step == 562 && strcmp(p.run, "a/b") == 0);
    assert_int_equal(param(&p, "q", "\xff"), HS_ERR_USAGE);
    assert_int_equal(hs_request_param(&p, "q", "a\0b", 3, &error), HS_ERR_USAGE);
    for (int i = 0; i < HS_MAX_WORDS; i++)
        assert_ok(param(&p, "q", "<script>"));
    assert_int_equal(param(&p, "q", "one more"), HS_ERR_USAGE);
    hs_request_params_free(&p);
    static const char *const steps[] = {"", "x", "-1", "1.5", "99999999999999999999", "9223372036854775808"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_int_equal(param(&(hs_request_params){0}, "step", steps[i]), HS_ERR_USAGE);
    memset(many, 'a', sizeof many);
    assert_int_equal(hs_request_param(&(hs_request_params){0}, "run", many, sizeof many, &error), HS_ERR_USAGE);
}

/* ---------------------------------------------------------------- answers and refusals */

static void test_routes(void **state)
{
    (void)state;
    make_run("a", 3);
    make_run("group/b<", 1);
    start(NULL);
    assert_int_equal(hs_serve_runs(server), 2);
    assert_answer(port, "GET /", "", 200, "Content-Security-Policy: default-src 'none'");
    assert_answer(port, "GET /", "", 200, "X-Content-Type-Options: nosniff");
    assert_answer(port, "GET /", "", 200, "Referrer-Policy: no-referrer");
    assert_answer(port, "GET /", "", 200, "Cache-Control: no-store");
    assert_answer(port, "GET /api/runs", "", 200, "{\"id\":\"group/b<\",");
    assert_answer(port, "GET /api/runs", "", 200, "\"steps\":3,\"ended_by\":\"\"}");
    assert_answer(port, "GET /api/runs", "", 200, "Content-Type: application/json");
    assert_answer(port, "GET /api/bundle", "", 200, "\"id\":\"group/b");
    assert_answer(port, "GET /api/bundle?run=a", "", 200, "\"id\":\"a\"");
    assert_answer(port, "GET /api/bundle?run=nobody", "", 404, "\"error\"");
    assert_answer(port, "GET /api/ask?run=a", "", 400, "what is the question");
    assert_answer(port, "GET /api/ask?q=x&q=y", "", 400, "which run");
    assert_answer(port, "GET /api/ask?run=a&q=x&q=y", "", 400, "\"error\"");
    assert_answer(port, "GET /favicon.ico", "", 204, "");
    char *head = request(port, "HEAD /", "");
    assert_non_null(strstr(head, "200 OK"));
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    free(head);
    head = request(port, "HEAD /api/events", "");
    assert_non_null(strstr(head, "text/event-stream"));
    free(head);
}

static void test_refusals(void **state)
{
    (void)state;
    make_run("a", 1);
    start("a");
    static const char *const elsewhere[] = {
        "GET /../../../../etc/passwd",   "GET /api/../run.db", "GET /run.db", "GET //",         "GET /api/bundle/",
        "GET /%2e%2e/%2e%2e/etc/passwd", "GET /a/run.db",      "GET /api",    "GET /index.html"};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_answer(port, elsewhere[i], "", 404, "\"error\"");
    static const char *const writing[] = {"POST /",  "PUT /api/runs", "DELETE /", "OPTIONS /",
                                          "PATCH /", "FOO /",         "TRACE /"};
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++)
        assert_answer(port, writing[i], "", 405, "Allow: GET, HEAD");
    assert_answer(port, "POST /", "Content-Length: 3\r\n", 405, "");
    assert_answer(port, "GET /", "Content-Length: 3000000\r\n", 413, "");
    assert_answer(port, "GET /", "Transfer-Encoding: chunked\r\n", 413, "");
    assert_answer(port, "GET /api/runs", "Sec-Fetch-Site: cross-site\r\n", 403, "other sites");
    assert_answer(port, "GET /api/runs", "Sec-Fetch-Site: same-origin\r\n", 200, "");
    assert_answer(port, "GET /", "Sec-Fetch-Site: cross-site\r\n", 200, "");
    assert_answer(port, "GET /api/bundle?run=%ff", "", 400, "UTF-8");
    assert_answer(port, "GET /api/bundle?run=a%00b", "", 400, "UTF-8");
    assert_answer(port, "GET /api/ask?step=-1&q=a&q=b", "", 400, "a step is a number");
    char *text = request(port, "GET /", "Origin: http://evil.com\r\n");
    assert_null(strstr(text, "Access-Control"));
    free(text);
}

/* A request as bytes; the status of what comes back, 0 where the connection just ends. */
static int status_of(const char *bytes, size_t len)
{
    const int fd = dial(port);
    send_all(fd, bytes, len);
    char *text = receive_all(fd);
    const int status = strncmp(text, "HTTP/1.1 ", 9) == 0 ? atoi(text + 9) : 0;
    free(text);
    return status;
}

static void test_foreign_host(void **state)
{
    (void)state;
    make_run("a", 1);
    start("a");
    char text[300];
    static const char *const hosts[] = {
        "evil.com", "127.0.0.1", "localhost:1", "evil.com:%d", "localhost.evil.com:%d", "192.168.0.1:%d"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char host[64];
        const char *mark = strstr(hosts[i], "%d");
        snprintf(host, sizeof host, "%.*s", mark ? (int)(mark - hosts[i]) : 63, hosts[i]);
        if (mark)
            snprintf(host + strlen(host), sizeof host - strlen(host), "%d", port);
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host);
        assert_int_equal(status_of(text, strlen(text)), 403);
    }
    snprintf(text, sizeof text, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(status_of(text, strlen(text)), 403);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_int_equal(status_of(text, strlen(text)), 400);
    stop();
    start_with("a", (hs_serve_options){.host = "localhost"});
    assert_answer(port, "GET /api/runs", "", 200, "");
}

static void test_huge(void **state)
{
    (void)state;
    make_run("a", 1);
    start("a");
    const size_t size = 4 << 20;
    char *big = malloc(size), line[128];
    memset(big, 'a', size);
    memcpy(big, "GET /", 5);
    int status = status_of(big, size); /* a URL without end */
    assert_true(status == 0 || status == 414 || status == 431 || status == 413);
    snprintf(line, sizeof line, "GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: ", port);
    memset(big, 'a', size);
    memcpy(big, line, strlen(line));
    status = status_of(big, size); /* a header without end */
    assert_true(status == 0 || status == 431 || status == 413);
    for (size_t i = strlen(line); i + 6 < size; i += 6)
        memcpy(big + i, "\r\nA: b", 6);
    status = status_of(big, size); /* headers without end */
    assert_true(status == 0 || status == 431 || status == 413);
    for (size_t i = 0; i < size; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    status_of(big, size);
    free(big);
    assert_answer(port, "GET /api/runs", "", 200, "\"id\":\"a\"");
}

/* A request that never comes to its end, and one that never begins, are ended by the server. */
static void test_slow(void **state)
{
    (void)state;
    make_run("a", 1);
    start_with("a", (hs_serve_options){.request_seconds = 0.2});
    const int half = dial(port), silent = dial(port);
    char byte;
    send_all(half, "GET / HTTP/1.1\r\nHost: ", 22);
    struct pollfd p = {.fd = half, .events = POLLIN};
    while (poll(&p, 1, 20) == 0)
        send_all(half, "a", 1); /* never idle for long */
    assert_true(recv(half, &byte, 1, 0) <= 0);
    assert_int_equal(receive(silent, &byte, 1), 0);
    close(half);
    close(silent);
    assert_answer(port, "GET /api/runs", "", 200, "\"id\":\"a\"");
}

static void test_many_connections(void **state)
{
    (void)state;
    enum { MANY = 400 };
    make_run("a", 1);
    start_with("a", (hs_serve_options){.max_connections = 50, .max_streams = 5, .request_seconds = 0.2});
    int fd[MANY];
    for (int i = 0; i < MANY; i++)
        fd[i] = dial(port);
    assert_answer(port, "GET /api/runs", "", 200, "\"id\":\"a\""); /* after those that say nothing were ended */
    for (int i = 0; i < MANY; i++)
        close(fd[i]);
    events e[5];
    for (int i = 0; i < 5; i++) {
        events_open(&e[i], port, "", NULL);
        assert_event(&e[i], "hello", "");
    }
    assert_answer(port, "GET /api/events", "", 503, "Retry-After: 1");
    for (int i = 0; i < 5; i++)
        events_close(&e[i]);
}

/* ---------------------------------------------------------------- events */

static void test_events(void **state)
{
    (void)state;
    hs_record *record = open_run("a");
    add_eval(record, 1, 0.125);
    assert_ok(hs_record_commit(record, err));
    start("a");
    events e, other;
    events_open(&e, port, "", NULL);
    assert_event(&e, "hello", "{\"runs\":[{\"id\":\"a\"");
    events_open(&other, port, "?run=a", NULL);
    assert_event(&other, "hello", "");
    add_eval(record, 2, 0.1);
    add_probe(record, 2, "b");
    assert_ok(hs_record_commit(record, err));
    assert_event(
        &e, "evaluation",
        "{\"run\":\"a\",\"step\":2,\"splits\":{\"test_ii\":{\"accuracy\":0.1,\"loss\":1.25,\"seconds\":2.5,\"n\":10}},"
        "\"metrics\":{\"loss\":0.5}}");
    assert_event(&e, "probe", "\"measure\":\"found\",\"n\":10,\"value\":0.1,\"low\":0,\"high\":1}]}");
    assert_event(&other, "evaluation", "\"step\":2");
    assert_event(&other, "probe", "\"step\":2");
    add_probe(record, 1, "late"); /* as hopscope interpret does afterwards */
    assert_ok(hs_record_commit(record, err));
    assert_event(&e, "probe", "\"role\":\"late\"");
    assert_ok(hs_record_info(record, "ended_by", "budget", err));
    assert_ok(hs_record_commit(record, err));
    assert_event(&e, "ended", "{\"run\":\"a\",\"ended_by\":\"budget\"}");
    assert_ok(hs_record_info(record, "ended_by", "", err));
    assert_ok(hs_record_rewind(record, 1, err));
    add_eval(record, 2, 0.9); /* another history of the same length */
    assert_ok(hs_record_commit(record, err));
    assert_event(&e, "run", "\"ended_by\":\"\"");
    assert_event(&e, "reload", "{\"run\":\"a\"}");
    add_eval(record, 3, 1);
    assert_ok(hs_record_commit(record, err));
    events_until(&e, "\"step\":3,"); /* what was between the two may have been seen by itself */
    hs_record_close(record);
    events_close(&e);
    events_close(&other);
}

/* Whoever comes back gets what was missed: from the news, from the record when the server is another, or is told to
 * load all. */
static void test_resume(void **state)
{
    (void)state;
    hs_record *record = open_run("a");
    add_eval(record, 1, 0.125);
    assert_ok(hs_record_commit(record, err));
    start("a");
    events e;
    char id[512];
    events_open(&e, port, "", NULL);
    assert_event(&e, "hello", "");
    events_close(&e);
    snprintf(id, sizeof id, "%s", e.last_id);
    for (uint64_t step = 2; step < 5; step++) {
        add_eval(record, step, 0.25);
        add_probe(record, step, "b");
        assert_ok(hs_record_commit(record, err));
    }
    for (int again = 0; again < 2; again++) { /* the second time by another server */
        events_open(&e, port, "?run=a", again ? id : e.last_id);
        if (again) {
            assert_event(&e, "probe", "\"step\":2"); /* the id was that of the evaluation before it */
        } else {
            assert_event(&e, "evaluation", "\"step\":2");
            snprintf(id, sizeof id, "%s", e.last_id);
            assert_event(&e, "probe", "\"step\":2");
        }
        for (int step = 3; step < 5; step++) {
            assert_event(&e, "evaluation", step == 3 ? "\"step\":3" : "\"step\":4");
            assert_event(&e, "probe", step == 3 ? "\"step\":3" : "\"step\":4");
        }
        events_close(&e);
        stop();
        start("a");
    }
    events_open(&e, port, "", "a:3");
    assert_event(&e, "evaluation", "\"step\":4");
    events_close(&e);
    add_probe(record, 1, "late");
    assert_ok(hs_record_commit(record, err));
    events_open(&e, port, "", id); /* what it has of the run is not all there is until that step */
    assert_event(&e, "reload", "{\"run\":null}");
    add_eval(record, 9, 0.5);
    assert_ok(hs_record_commit(record, err));
    events_until(&e, "\"step\":9");
    events_close(&e);
    events_open(&e, port, "", "nobody:3.1.2.3");
    assert_event(&e, "reload", "{\"run\":null}");
    events_close(&e);
    events_open(&e, port, "", "no id at all");
    assert_event(&e, "hello", "");
    events_close(&e);
    hs_record_close(record);
}

/* A client that does not read while more happens than is kept. */
static void test_behind(void **state)
{
    (void)state;
    make_run("a", 1);
    start_with("a", (hs_serve_options){.news_bytes = 1 << 16});
    events e, other;
    events_open(&e, port, "", NULL);
    assert_event(&e, "hello", "");
    events_open(&other, port, "", NULL);
    assert_event(&other, "hello", "");
    hs_record *record = open_run("a");
    char role[96];
    uint64_t step = 2;
    bool reload = false;
    for (int round = 0; round < 20 && !reload; round++) { /* until what sockets keep is full too */
        for (const uint64_t end = step + 50; step < end; step++) {
            for (int i = 0; i < 80; i++) {
                snprintf(role, sizeof role, "%090d", i);
                add_probe(record, step, role);
            }
            add_eval(record, step, 0.5);
        }
        assert_ok(hs_record_commit(record, err));
        char last[32];
        const char *event;
        snprintf(last, sizeof last, "\"step\":%d,", (int)step - 1);
        do /* one who reads may fall behind as well, and goes on after it */
            event = events_next(&other);
        while (*event && !strstr(event, last) && strncmp(event, "event: reload", 13) != 0);
        if (round % 5 != 4)
            continue;
        do {
            event = events_next(&e);
            reload |= strncmp(event, "event: reload", 13) == 0;
        } while (*event && !strstr(event, last) && !reload);
    }
    assert_true(reload);
    bool on = false;
    while (!on) { /* it goes on; what it is still behind by is told as one more reload, which may cover the evaluation */
        add_eval(record, step++, 1);
        assert_ok(hs_record_commit(record, err));
        const char *event;
        do {
            event = events_next(&e);
            on = strstr(event, "\"accuracy\":1,") != NULL;
        } while (*event && !on && strncmp(event, "event: reload", 13) != 0);
        assert_true(*event);
    }
    hs_record_close(record);
    events_close(&e);
    events_close(&other);
}

/* A run that is there from one moment to the next. */
static void put_run(const char *name, uint64_t steps)
{
    make_run(".new", steps);
    assert_int_equal(rename(in_folder(".new"), in_folder(name)), 0);
}

static void test_folder(void **state)
{
    (void)state;
    char command[1000];
    start(NULL); /* empty */
    assert_int_equal(hs_serve_runs(server), 0);
    assert_answer(port, "GET /api/runs", "", 200, "\r\n\r\n[]");
    assert_answer(port, "GET /api/bundle", "", 200, "\"runs\":[]");
    events e;
    events_open(&e, port, "", NULL);
    assert_event(&e, "hello", "{\"runs\":[]}");
    assert_ok(hs_make_dirs(in_folder("group"), err));
    put_run("group/new", 2);
    assert_event(&e, "run", "{\"id\":\"group/new\",\"title\":\"</script><script>alert(1)</script>\",\"steps\":2");
    assert_event(&e, "reload", "{\"run\":\"group/new\"}");
    snprintf(command, sizeof command, "rm -r '%s'", in_folder("group/new"));
    assert_int_equal(system(command), 0);
    assert_event(&e, "gone", "{\"run\":\"group/new\"}");
    assert_answer(port, "GET /api/bundle?run=group/new", "", 404, "");
    put_run("group/new", 7);
    assert_event(&e, "run", "\"steps\":7");
    assert_answer(port, "GET /api/bundle?run=group%2Fnew", "", 200, "\"id\":\"group/new\"");
    events_close(&e);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    assert_int_equal(system(command), 0);
    while (hs_serve_runs(server) > 0)
        usleep(1000);
    assert_answer(port, "GET /api/runs", "", 200, "\r\n\r\n[]");
    assert_ok(hs_make_dirs(folder, err));
}

static void test_damaged(void **state)
{
    (void)state;
    make_run("good", 2);
    make_run("bad", 2);
    start(NULL);
    events e;
    events_open(&e, port, "", NULL);
    assert_event(&e, "hello", "");
    static const char nonsense[] = "this is no database, and never was one; it is only some text";
    assert_ok(hs_file_write(in_folder("bad/run.db"), nonsense, sizeof nonsense, err));
    assert_event(&e, "trouble", "\"run\":\"bad\",\"error\":\"");
    assert_answer(port, "GET /api/runs", "", 200, "\"id\":\"bad\",\"title\":\"</script>");
    assert_answer(port, "GET /api/bundle", "", 200, "\"id\":\"good\"");
    assert_answer(port, "GET /api/bundle?run=bad", "", 200, "\"id\":\"bad\"");
    events_close(&e);
    events_open(&e, port, "?run=bad", "bad:1");
    assert_event(&e, "reload", "");
    events_close(&e);
    stop();
    start("bad");
    assert_answer(port, "GET /api/runs", "", 200, "not a database");
}

static void test_read_only(void **state)
{
    (void)state;
    make_run("a", 3);
    assert_int_equal(chmod(in_folder("a/run.db"), 0444), 0);
    assert_int_equal(chmod(in_folder("a"), 0555), 0);
    start("a");
    assert_answer(port, "GET /api/runs", "", 200, "\"steps\":3");
    events e;
    events_open(&e, port, "", "a:1");
    assert_event(&e, "evaluation", "\"step\":2");
    events_close(&e);
}

static void test_beats(void **state)
{
    (void)state;
    make_run("a", 1);
    start_with("a", (hs_serve_options){.beat_seconds = 0.05});
    events e;
    char text[4096] = "";
    size_t len = 0;
    events_open(&e, port, "", NULL);
    while (len + 1 < sizeof text && !strstr(text, "\n:\n\n:\n\n")) {
        len += receive(e.fd, text + len, sizeof text - len - 1);
        text[len] = 0;
    }
    assert_non_null(strstr(text, "\n:\n\n:\n\n"));
    events_close(&e);
}

/* Stopping while clients wait, read and ask. */
static void test_stop(void **state)
{
    (void)state;
    make_run("a", 50);
    for (int round = 0; round < 5; round++) {
        start("a");
        events e[20];
        int half[20];
        for (int i = 0; i < 20; i++) {
            char text[100];
            events_open(&e[i], port, "", i % 2 ? "a:1" : NULL);
            half[i] = dial(port);
            snprintf(text, sizeof text, "GET /api/bundle HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", port);
            send_all(half[i], text, strlen(text));
        }
        stop();
        for (int i = 0; i < 20; i++) {
            events_close(&e[i]);
            close(half[i]);
        }
    }
}

static void test_start(void **state)
{
    (void)state;
    hs_server *second = NULL;
    make_run("a", 1);
    start("a");
    const hs_serve_options same = {.port = (uint16_t)port}, nowhere = {.host = "no.such.name.invalid"};
    assert_int_equal(hs_serve_start(&second, in_folder("a"), &same, &error), HS_ERR_IO);
    assert_non_null(strstr(error.hint, "next free one"));
    assert_int_equal(hs_serve_start(&second, in_folder("a"), &nowhere, &error), HS_ERR_IO);
    assert_int_equal(hs_serve_start(&second, in_folder("nobody"), NULL, &error), HS_ERR_IO);
    assert_int_equal(hs_serve_start(&second, in_folder("a/run.db"), NULL, &error), HS_ERR_IO);
    assert_ok(hs_serve_start(&second, in_folder("a"), NULL, &error));
    assert_int_not_equal(port_of(hs_serve_url(second)), port);
    hs_serve_stop(second);
    hs_serve_stop(NULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_host),
                                       cmocka_unit_test(test_ids),
                                       cmocka_unit_test(test_params),
                                       T(test_routes),
                                       T(test_refusals),
                                       T(test_foreign_host),
                                       T(test_huge),
                                       T(test_slow),
                                       T(test_many_connections),
                                       T(test_events),
                                       T(test_resume),
                                       T(test_behind),
                                       T(test_folder),
                                       T(test_damaged),
                                       T(test_read_only),
                                       T(test_beats),
                                       T(test_stop),
                                       T(test_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
