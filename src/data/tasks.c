/* tasks.c - the table of tasks, and what follows from it: forms of items, roles, defaults and checks of a
 * configuration. Adding a task is adding its line here (docs/design.md, "Adding a task"). */
#include "data/task.h"

#include <string.h>

/* clang-format off */
#define EACH_TASK(X) \
    X(composition) \
    X(comparison) \
    X(complex)
/* clang-format on */

#define DECLARE(name) extern const hs_task hs_task_##name;
#define ADDRESS(name) &hs_task_##name,
EACH_TASK(DECLARE)
static const hs_task *const TASKS[] = {EACH_TASK(ADDRESS)};
enum { N_TASKS = sizeof TASKS / sizeof TASKS[0] };

const hs_task *const *hs_task_list(size_t *n)
{
    *n = N_TASKS;
    return TASKS;
}

const hs_task *hs_task_find(const char *name)
{
    for (size_t i = 0; i < N_TASKS; i++)
        if (strcmp(TASKS[i]->name, name) == 0)
            return TASKS[i];
    return NULL;
}

/* ---------------------------------------------------------------- forms */

const hs_form *hs_form_of(hs_split_kind kind)
{
    static const hs_form OTHER = {.kind = HS_ITEM_OTHER, .name = "other"};
    for (size_t i = 0; i < N_TASKS; i++)
        for (const hs_form *const *form = TASKS[i]->ops->forms; *form; form++)
            if ((*form)->kind == kind)
                return *form;
    return &OTHER;
}

/* Later tasks have the more particular forms: they are asked first. */
void hs_form_recognize(const hs_dataset *data, const uint32_t *prompt, uint32_t n_prompt, uint32_t n_answer,
                       hs_split *form)
{
    const hs_split blank = *form;
    for (size_t i = N_TASKS; i > 0; i--) {
        for (const hs_form *const *f = TASKS[i - 1]->ops->forms; *f; f++) {
            if ((*f)->recognize && (*f)->recognize(data, prompt, n_prompt, n_answer, form))
                return;
            *form = blank;
        }
    }
    form->kind = HS_ITEM_OTHER;
}

hs_status hs_split_check_form(const hs_dataset *data, const hs_split *s, hs_error *err)
{
    const hs_form *form = hs_form_of(s->kind);
    bool ok = s->prompt <= 32 && (form->fits ? form->fits(data, s) : s->bridges == 0);
    return ok ? HS_OK
              : hs_fail(err, HS_ERR_DATA, "the items of split \"%s\" have a form their kind cannot have", s->name);
}

uint32_t hs_split_roles(const hs_dataset *data, const hs_split *split, hs_role roles[HS_MAX_ROLES])
{
    const hs_form *form = hs_form_of(split->kind);
    return form->roles ? form->roles(data, split, roles) : 0;
}

uint32_t hs_item_role(const hs_dataset *data, const hs_split *split, uint64_t item, const char *role,
                      uint32_t tokens[2])
{
    hs_role roles[HS_MAX_ROLES];
    uint32_t n = hs_split_roles(data, split, roles);
    for (uint32_t k = 0; k < n; k++) {
        if (strcmp(roles[k].name, role) != 0)
            continue;
        if (roles[k].column == HS_PAD)
            return hs_form_of(split->kind)->hidden(data, split, item, k, tokens);
        memcpy(tokens, split->tokens + item * split->width + roles[k].column, roles[k].n_tokens * sizeof *tokens);
        return roles[k].n_tokens;
    }
    return 0;
}

/* ---------------------------------------------------------------- configuration */

hs_status hs_data_config_for_task(hs_data_config *config, const char *name, hs_error *err)
{
    hs_data_config_default(config);
    const hs_task *task = hs_task_find(name);
    if (!task) {
        hs_fail(err, HS_ERR_USAGE, "there is no such task");
        hs_error_value(err, name, strlen(name));
        const char *names[N_TASKS];
        char all[256] = "";
        for (size_t i = 0, used = 0; i < N_TASKS && used < sizeof all; i++) {
            names[i] = TASKS[i]->name;
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
        }
        const char *near = hs_nearest(name, names, N_TASKS);
        return near ? hs_error_hint(err, "did you mean %s", near) : hs_error_hint(err, "tasks: %s", all);
    }
    strcpy(config->task, task->name);
    if (task->ops->defaults)
        task->ops->defaults(config);
    return HS_OK;
}

hs_status hs_data_config_check(const hs_data_config *config, hs_error *err)
{
    size_t n_settings;
    const hs_setting *settings = hs_data_settings(&n_settings);
    HS_TRY(hs_settings_check(settings, n_settings, config, "data", err));
    if (hs_task_find(config->task))
        return HS_OK;
    hs_data_config other;
    hs_data_config_for_task(&other, config->task, err);
    hs_error_where(err, "data.task");
    if (err)
        err->status = HS_ERR_DATA;
    return HS_ERR_DATA;
}
