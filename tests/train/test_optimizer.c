/* Optimizers against float64 references, AdamW against twelve steps of PyTorch (tests/golden), Muon's orthogonalization. */
#include "../check.h"

#include "train/optimizer/optimizer.h"

/* ---------------------------------------------------------------- golden AdamW */

static void golden_steps(const char *name, const double (*loss_and_norm)[2])
{
    char path[512];
    hs_model m = {0};
    hs_st_file *expect;
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.model.safetensors", name);
    assert_ok(hs_model_load(&m, path, err));
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s.expect.safetensors", name);
    assert_ok(hs_st_open(&expect, path, err));
    const hs_st_tensor *ids = hs_st_find(expect, "input_ids"), *labels = hs_st_find(expect, "labels");
    const uint32_t B = (uint32_t)ids->shape[0], T = (uint32_t)ids->shape[1], N = B * T;
    uint32_t token[64], start[16], row[64], target[64], P = 0;
    float weight[64];
    for (uint32_t i = 0; i < N; i++) {
        token[i] = (uint32_t)((const int32_t *)ids->data)[i];
        if (((const int32_t *)labels->data)[i] >= 0) {
            row[P] = i;
            target[P++] = (uint32_t)((const int32_t *)labels->data)[i];
        }
    }
    for (uint32_t b = 0; b <= B; b++)
        start[b] = b * T;
    for (uint32_t p = 0; p < P; p++)
        weight[p] = 1.0f / (float)P;
    const hs_batch batch = {.B = B, .N = N, .P = P, .token = token, .start = start, .score_row = row, .target = target,
                            .weight = weight};
    hs_train_config c;
    hs_train_config_default(&c);
    c.optimizer = HS_OPT_ADAMW;
    c.lr = 0.01;
    c.weight_decay = 0.1;
    c.warmup = 4;
    c.clip = 1;
    hs_optimizer *opt;
    const hs_freeze none = {0};
    assert_ok(hs_optimizer_create(&opt, &m, &c, &none, 1, err));
    float *work = hs_alloc(4 * hs_model_work_size(&m, B, N, P, true)), *g = hs_calloc(m.n_params, 4);
    float *m1 = hs_calloc(m.n_params, 4), *m2 = hs_calloc(m.n_params, 4);
    for (uint32_t step = 0; step < 12; step++) {
        const hs_loss_result r = hs_model_backward(&m, &batch, HS_LOSS_CROSS_ENTROPY, work, g);
        const double norm = sqrt(hs_kernels_get()->sum_squares(m.n_params, g));
        if (fabs(r.loss / loss_and_norm[step][0] - 1) > 1e-4 || fabs(norm / loss_and_norm[step][1] - 1) > 1e-4)
            fail_msg("%s step %u: loss %.9f, norm %.9f; PyTorch has %.9f, %.9f", name, step, r.loss, norm,
                     loss_and_norm[step][0], loss_and_norm[step][1]);
        const float gscale = norm > c.clip ? (float)(c.clip / (norm + 1e-6)) : 1.0f;
        hs_optimizer_step(opt, NULL, &m, &c, hs_schedule_factor(&c, step), step + 1, gscale, g,
                          (float *const[]){m1, m2}, NULL, NULL);
    }
    for (uint32_t i = 0; i < m.n_tensors; i++) {
        char key[128];
        snprintf(key, sizeof key, "after.%s", m.tensor[i].name);
        assert_near(key, m.param + m.tensor[i].offset, (const float *)hs_st_find(expect, key)->data, m.tensor[i].size, 1e-4);
    }
    hs_optimizer_free(opt);
    hs_free(work);
    hs_free(g);
    hs_free(m1);
    hs_free(m2);
    hs_st_close(expect);
    hs_model_free(&m);
}

/* A step without a gradient shows the decay alone: that of tables is a share of weight_decay, with every optimizer. */
static void test_table_decay(void **state)
{
    (void)state;
    for (int kind = 0; hs_optimizer_names[kind]; kind++)
        for (int share = 0; share < 3; share++) {
            hs_model m = {0};
            hs_model_config config;
            hs_model_config_default(&config);
            config.vocab = 11;
            config.n_embd = 16;
            assert_ok(hs_model_create(&m, &config, 1, err));
            hs_train_config c;
            hs_train_config_default(&c);
            c.optimizer = (hs_optimizer_kind)kind;
            c.weight_decay = 2;
            c.table_decay = 0.5 * share;
            c.lr = 0.1;
            const hs_freeze none = {0};
            hs_optimizer *opt;
            assert_ok(hs_optimizer_create(&opt, &m, &c, &none, 1, err));
            float *before = hs_alloc(m.n_params * 4), *g = hs_calloc(m.n_params, 4), *a = hs_calloc(m.n_params, 4),
                  *b = hs_calloc(m.n_params, 4);
            memcpy(before, m.param, m.n_params * 4);
            hs_optimizer_step(opt, NULL, &m, &c, 1, 1, 1, g, (float *const[]){a, b}, NULL, NULL);
            for (uint32_t i = 0; i < m.n_tensors; i++) {
                const hs_tensor *t = &m.tensor[i];
                const float keep = !t->decay ? 1 : t->group == HS_GROUP_EMBEDDING ? 1 - 0.1f * (float)share : 0.8f;
                for (size_t j = t->offset; j < t->offset + t->size; j++)
                    assert_true(fabsf(m.param[j] - keep * before[j]) <= 1e-6f * fabsf(before[j]));
            }
            hs_optimizer_free(opt);
            hs_free(before);
            hs_free(g);
            hs_free(a);
            hs_free(b);
            hs_model_free(&m);
        }
}

static void test_adamw_follows_pytorch(void **state)
{
    (void)state;
    static const double gpt2[12][2] = {
        {4.246414022870673, 3.16987849613248},    {3.5651637301232597, 2.5479233658446936},
        {2.9884025758139257, 2.4756707049247063}, {2.4647939363421303, 2.3799077196985166},
        {2.0789278612503566, 2.194437644948372},  {1.677310976604273, 1.7111057539801524},
        {1.3831824206598615, 1.6577514551667938}, {1.1092105818614213, 1.3557078548180213},
        {0.8696003996717121, 1.1563405415708132}, {0.6734135070309962, 0.958315741014179},
        {0.5206737057469424, 0.8254927599407613}, {0.39628715008372634, 0.6746652797826891}};
    static const double shared[12][2] = {
        {3.6506596289544797, 3.9485459780933043}, {2.84546685337804, 2.9272880403201813},
        {2.0792994861167746, 2.853066188447391},  {1.5351305737306267, 2.9528636908177632},
        {0.9959939760093611, 1.9116095953727699}, {0.6418480086290895, 1.4642372879844534},
        {0.4019820734944252, 1.0230185175122801}, {0.24947817782737017, 0.6340906505268895},
        {0.15893273773439281, 0.4201802630432417}, {0.1052228281873391, 0.28930364026578087},
        {0.07200244175448975, 0.20646416340795337}, {0.049987456188011446, 0.14876241108954696}};
    golden_steps("gpt2", gpt2);
    golden_steps("gpt2_shared", shared);
}

/* ---------------------------------------------------------------- rules against float64 */

enum { COUNT = 37, STEPS = 6 };
static const double LR = 0.01, B1 = 0.9, B2 = 0.95, EPS = 1e-8, WD = 0.3;

typedef struct reference {
    double w[COUNT], m[COUNT], v[COUNT];
} reference;

static double sign(double x)
{
    return (x > 0) - (x < 0);
}

static void reference_step(hs_optimizer_kind kind, reference *r, const float *g, int t)
{
    for (int i = 0; i < COUNT; i++) {
        const double gi = (double)g[i];
        r->w[i] *= 1 - LR * WD;
        switch (kind) {
        case HS_OPT_SIGNSGD:
            r->w[i] -= LR * sign(gi);
            break;
        case HS_OPT_LION:
            r->w[i] -= LR * sign(B1 * r->m[i] + (1 - B1) * gi);
            r->m[i] = B2 * r->m[i] + (1 - B2) * gi;
            break;
        default:
            r->m[i] = B1 * r->m[i] + (1 - B1) * gi;
            r->v[i] = B2 * r->v[i] + (1 - B2) * gi * gi;
            const double mh = r->m[i] / (1 - pow(B1, t)), vh = r->v[i] / (1 - pow(B2, t));
            r->w[i] -= LR * (kind == HS_OPT_ADAM_ATAN2 ? atan2(mh, sqrt(vh)) : mh / (sqrt(vh) + EPS));
        }
    }
}

static void test_rules(void **state)
{
    (void)state;
    static const hs_optimizer_kind kinds[] = {HS_OPT_ADAMW, HS_OPT_ADAM_ATAN2, HS_OPT_SIGNSGD, HS_OPT_LION};
    static const char *const builds[] = {"baseline", "avx2", "avx512"};
    for (size_t k = 0; k < 4; k++)
        for (size_t b = 0; b < 3; b++) {
            const hs_kernels *kernels = hs_kernels_named(builds[b]);
            if (!kernels)
                continue;
            reference ref = {0};
            float w[COUNT], m[COUNT] = {0}, v[COUNT] = {0}, g[COUNT], want[COUNT];
            hs_rng rng;
            hs_rng_init(&rng, 1, HS_PURPOSE('o', 'p', 't', 'i'), k, 0);
            for (int i = 0; i < COUNT; i++)
                ref.w[i] = (double)(w[i] = (float)hs_rng_normal(&rng));
            for (int t = 1; t <= STEPS; t++) {
                for (int i = 0; i < COUNT; i++)
                    g[i] = i == 3 ? 0.0f : (float)hs_rng_normal(&rng);
                const hs_adam p = {.rate = (float)LR, .beta1 = (float)B1, .beta2 = (float)B2, .eps = (float)EPS,
                                   .decay = (float)WD, .correction1 = (float)(1 - pow(B1, t)),
                                   .correction2 = (float)(1 - pow(B2, t))};
                if (kinds[k] == HS_OPT_ADAMW)
                    kernels->adamw(COUNT, &p, 1, g, m, v, w);
                else if (kinds[k] == HS_OPT_ADAM_ATAN2)
                    kernels->adam_atan2(COUNT, &p, 1, g, m, v, w);
                else if (kinds[k] == HS_OPT_LION)
                    kernels->lion(COUNT, &p, 1, g, m, w);
                else
                    kernels->signsgd(COUNT, &p, 1, g, w);
                reference_step(kinds[k], &ref, g, t);
            }
            for (int i = 0; i < COUNT; i++)
                want[i] = (float)ref.w[i];
            assert_near(builds[b], w, want, COUNT, 1e-6);
        }
}

/* At step 1 the corrected moments are g and g^2 themselves, whatever the betas and however they round to float32: AdamW moves
 * every weight by lr, Adam-atan2 by lr pi/4. */
static void test_first_step_has_no_bias(void **state)
{
    (void)state;
    static const double betas[][2] = {{0.9, 0.999}, {0.95, 0.9999}, {0.9, 0.99999}};
    for (size_t k = 0; k < 2; k++)
        for (size_t b = 0; b < 3; b++) {
            hs_train_config c;
            hs_train_config_default(&c);
            c.beta1 = betas[b][0];
            c.beta2 = betas[b][1];
            c.eps = 0;
            float w[COUNT] = {0}, m[COUNT] = {0}, v[COUNT] = {0}, g[COUNT];
            for (int i = 0; i < COUNT; i++)
                g[i] = (i % 2 ? -1.0f : 1.0f) * (0.01f + (float)i);
            const hs_update u = {
                .config = &c, .rate = 1, .t = 1, .gscale = 1, .n = COUNT, .g = g, .state = {m, v}, .w = w};
            hs_optimizer_rule_of(k == 0 ? HS_OPT_ADAMW : HS_OPT_ADAM_ATAN2)->update(&u);
            for (int i = 0; i < COUNT; i++) {
                const double want = (k == 0 ? 1 : atan(1)) * (i % 2 ? 1 : -1);
                if (fabs((double)w[i] / want - 1) > 5e-7)
                    fail_msg("optimizer %zu, betas %zu: moved %.9g, not %.9g", k, b, (double)w[i], want);
            }
        }
}

/* Five steps bring all but the smallest singular values into about [0.68, 1.2] (the published coefficients do not converge
 * to 1): X X^T is near the identity on the shorter side. */
static void test_newton_schulz(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{24, 24}, {24, 60}, {60, 24}, {1, 8}};
    for (size_t s = 0; s < 4; s++) {
        const uint32_t rows = shapes[s][0], cols = shapes[s][1], small = rows < cols ? rows : cols;
        float *x = hs_alloc((size_t)rows * cols * 4), *scratch = hs_alloc(hs_newton_schulz_scratch(rows, cols) * 4);
        hs_rng rng;
        hs_rng_init(&rng, 1, HS_PURPOSE('o', 'r', 't', 'h'), s, 0);
        for (uint32_t i = 0; i < rows * cols; i++)
            x[i] = (float)hs_rng_normal(&rng);
        hs_newton_schulz(rows, cols, x, scratch);
        double squares = hs_kernels_get()->sum_squares((size_t)rows * cols, x);
        assert_true(squares > 0.45 * small && squares < 1.4 * small);
        for (uint32_t i = 0; i < small; i++)
            for (uint32_t j = 0; j <= i; j++) {
                double dot = 0;
                for (uint32_t c = 0; c < rows * cols / small; c++)
                    dot += (double)(rows <= cols ? x[i * cols + c] : x[c * cols + i]) *
                           (double)(rows <= cols ? x[j * cols + c] : x[c * cols + j]);
                assert_true(i == j ? dot > 0.3 && dot < 1.6 : fabs(dot) < 0.45);
            }
        hs_free(x);
        hs_free(scratch);
    }
}

/* x (m,n) in float64: the iteration as it is written, on X itself. */
static void plain_newton_schulz(size_t m, size_t n, double *x)
{
    double norm = 0, *g = hs_alloc(m * m * sizeof *g), *p = hs_alloc(m * m * sizeof *p),
           *y = hs_alloc(m * n * sizeof *y);
    for (size_t i = 0; i < m * n; i++)
        norm += x[i] * x[i];
    for (size_t i = 0; i < m * n; i++)
        x[i] /= sqrt(norm) + 1e-7;
    for (int step = 0; step < 5; step++) {
        for (size_t i = 0; i < m * m; i++) {
            g[i] = 0;
            for (size_t c = 0; c < n; c++)
                g[i] += x[i / m * n + c] * x[i % m * n + c];
        }
        for (size_t i = 0; i < m * m; i++) {
            p[i] = -4.7750 * g[i] + (i / m == i % m ? 3.4445 : 0);
            for (size_t c = 0; c < m; c++)
                p[i] += 2.0315 * g[i / m * m + c] * g[c * m + i % m];
        }
        for (size_t i = 0; i < m * n; i++) {
            y[i] = 0;
            for (size_t c = 0; c < m; c++)
                y[i] += p[i / n * m + c] * x[c * n + i % n];
        }
        memcpy(x, y, m * n * sizeof *x);
    }
    hs_free(g);
    hs_free(p);
    hs_free(y);
}

/* The short cut over the Gram matrix gives what the plain iteration gives, wide and tall, also where the singular values
 * span six decades. */
static void test_newton_schulz_is_the_plain_iteration(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{40, 40}, {33, 90}, {128, 128}, {24, 24}};
    for (size_t s = 0; s < 8; s++) {
        const uint32_t m = shapes[s / 2][0], n = shapes[s / 2][1];
        const bool tall = s % 2;
        float *x = hs_alloc((size_t)m * n * 4), *want = hs_alloc((size_t)m * n * 4);
        float *scratch = hs_alloc(hs_newton_schulz_scratch(m, n) * 4);
        double *plain = hs_alloc((size_t)m * n * sizeof *plain);
        hs_rng rng;
        hs_rng_init(&rng, 2, HS_PURPOSE('o', 'r', 't', 'h'), s, 0);
        for (uint32_t i = 0; i < m; i++)
            for (uint32_t j = 0; j < n; j++) {
                const float v = (float)(hs_rng_normal(&rng) * (s >= 6 ? pow(10, -6.0 * i / m) : 1));
                plain[i * n + j] = (double)v;
                x[tall ? j * m + i : i * n + j] = v;
            }
        plain_newton_schulz(m, n, plain);
        for (uint32_t i = 0; i < m; i++)
            for (uint32_t j = 0; j < n; j++)
                want[tall ? j * m + i : i * n + j] = (float)plain[i * n + j];
        hs_newton_schulz(tall ? n : m, tall ? m : n, x, scratch);
        assert_near("newton-schulz", x, want, (size_t)m * n, s >= 6 ? 1e-3 : 2e-5);
        hs_free(x);
        hs_free(want);
        hs_free(scratch);
        hs_free(plain);
    }
}

/* OrthoGrad leaves no part of the gradient along the weights and keeps its norm. */
static void test_orthograd(void **state)
{
    (void)state;
    hs_model_config c;
    hs_model_config_default(&c);
    c.vocab = 13;
    c.n_embd = 16;
    hs_model m = {0};
    assert_ok(hs_model_create(&m, &c, 1, err));
    float *g = hs_calloc(m.n_params, 4);
    hs_rng rng;
    hs_rng_init(&rng, 1, HS_PURPOSE('o', 'g', 'r', 'd'), 0, 0);
    for (uint32_t i = 0; i < m.n_tensors; i++)
        for (size_t j = 0; j < m.tensor[i].size; j++)
            g[m.tensor[i].offset + j] = (float)hs_rng_normal(&rng);
    const hs_tensor *t = hs_model_tensor(&m, "transformer.h.0.mlp.c_fc.weight");
    const double before = hs_kernels_get()->sum_squares(t->size, g + t->offset);
    hs_orthograd(NULL, &m, g);
    const double after = hs_kernels_get()->sum_squares(t->size, g + t->offset);
    assert_true(fabs(after / before - 1) < 1e-5);
    const double along = hs_kernels_get()->dot(t->size, g + t->offset, m.param + t->offset);
    assert_true(fabs(along) < 1e-4 * sqrt(after * hs_kernels_get()->sum_squares(t->size, m.param + t->offset)));
    hs_free(g);
    hs_model_free(&m);
}

static void test_schedules(void **state)
{
    (void)state;
    hs_train_config c;
    hs_train_config_default(&c);
    c.steps = 110;
    c.warmup = 10;
    assert_true(fabs(hs_schedule_factor(&c, 0) - 0.1) < 1e-12);
    assert_true(fabs(hs_schedule_factor(&c, 9) - 1) < 1e-12);
    assert_true(hs_schedule_factor(&c, 109) == 1);
    c.lr_min = 0.1;
    for (hs_schedule_kind k = HS_SCHEDULE_LINEAR; k <= HS_SCHEDULE_COSINE; k++) {
        c.schedule = k;
        assert_true(fabs(hs_schedule_factor(&c, 10) - 1) < 1e-12);
        assert_true(fabs(hs_schedule_factor(&c, 109) - 0.1) < 1e-12);
        assert_true(fabs(hs_schedule_factor(&c, 100000) - 0.1) < 1e-12);
        for (uint64_t s = 11; s < 110; s++)
            assert_true(hs_schedule_factor(&c, s) < hs_schedule_factor(&c, s - 1));
    }
}

int main(void)
{
    hs_error err;
    if (hs_tensor_open(&err) != HS_OK) {
        fprintf(stderr, "%s\n", err.what);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_decay),
        cmocka_unit_test(test_adamw_follows_pytorch),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_newton_schulz),
        cmocka_unit_test(test_newton_schulz_is_the_plain_iteration),
        cmocka_unit_test(test_first_step_has_no_bias),
        cmocka_unit_test(test_orthograd),
        cmocka_unit_test(test_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
