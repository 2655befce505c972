/* job.c - the file that has a scheduler run the members of a sweep: one task a member, `hopscope sweep PLAN --index I`.
 *
 * A task that ends with exit code 75 has saved and wants to go on; 2 and 65 (wrong usage, bad data) would fail again.
 */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

static void add_quoted(hs_str *out, const char *text)
{
    hs_str_add(out, "'", 1);
    for (const char *c = text; *c; c++)
        hs_str_addf(out, *c == '\'' ? "'\\''" : "%c", *c);
    hs_str_add(out, "'", 1);
}

/* The plan's name: of its file, without folder and ending; only letters that any scheduler takes. */
static void plan_name(const hs_sweep *sweep, char out[64])
{
    const char *slash = strrchr(sweep->path, '/'), *base = slash ? slash + 1 : sweep->path, *dot = strrchr(base, '.');
    snprintf(out, 64, "%.*s", dot && dot != base && dot - base < 63 ? (int)(dot - base) : 63, base);
    for (char *c = out; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9')))
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : '-';
}

/* The command without its index. */
static void add_command(hs_str *out, const hs_sweep *sweep, const char *program, const hs_job_options *o)
{
    add_quoted(out, program);
    hs_str_addf(out, " sweep ");
    add_quoted(out, sweep->path);
    for (size_t i = 0; i < o->n_arguments; i++) {
        hs_str_add(out, " ", 1);
        add_quoted(out, o->arguments[i]);
    }
}

/* With room: a scheduler ends what takes more. */
static uint64_t megabytes(const hs_job_options *o)
{
    return (uint64_t)(1.25 * (double)o->cost->memory / 1e6) + 256;
}

static void slurm(const hs_sweep *sweep, const hs_job_options *o, const char *name, uint32_t first, uint32_t n,
                  hs_str *out)
{
    const uint64_t minutes = (uint64_t)fmin(fmax(10, ceil(2 * o->cost->longest / 60)), 1e7);
    hs_str_addf(out,
                "#!/bin/sh\n"
                "# Members %u to %u of %u of a sweep; hopscope gather makes the table when all are done.\n"
                "#SBATCH --job-name=%s\n#SBATCH --array=0-%u\n#SBATCH --cpus-per-task=%u\n#SBATCH --mem=%lluM\n"
                "#SBATCH --time=%llu\n#SBATCH --chdir=%s\n#SBATCH --output=%s/slurm-%%a.log\n"
                "#SBATCH --open-mode=append\n#SBATCH --requeue\n#SBATCH --signal=USR1@60\n",
                first, first + n - 1, hs_sweep_size(sweep), name, n - 1, o->cpus, (unsigned long long)megabytes(o),
                (unsigned long long)minutes, o->folder, sweep->dir);
    hs_str_addf(out, "srun ");
    add_command(out, sweep, o->program, o);
    hs_str_addf(out, first ? " --index $((SLURM_ARRAY_TASK_ID + %u))\n" : " --index \"$SLURM_ARRAY_TASK_ID\"\n", first);
    hs_str_addf(out,
                "code=$?\n"
                "# 75: saved before the end of the time, or because it was asked to; it goes on where it was\n"
                "if [ \"$code\" = 75 ]; then scontrol requeue \"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}\"; fi\n"
                "exit \"$code\"\n");
}

static void kubernetes(const hs_sweep *sweep, const hs_job_options *o, const char *name, hs_str *out)
{
    const uint32_t n = hs_sweep_size(sweep);
    hs_str_addf(
        out,
        "# kubectl apply -f FILE, once `image` names an image with hopscope and `claimName` a volume with the plan.\n"
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: %s\nspec:\n  completionMode: Indexed\n"
        "  completions: %u\n  parallelism: %u\n  backoffLimitPerIndex: 3\n  maxFailedIndexes: %u\n"
        "  podFailurePolicy:\n    rules:\n"
        "      - action: Ignore  # saved, goes on: no failure\n        onExitCodes: {operator: In, values: [75]}\n"
        "      - action: FailIndex  # wrong usage, bad data: never again\n"
        "        onExitCodes: {operator: In, values: [2, 65]}\n"
        "      - action: Ignore\n        onPodConditions: [{type: DisruptionTarget}]\n",
        name, n, n < 10 ? n : 10, n);
    hs_str_addf(out,
                "  template:\n    spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 60\n"
                "      containers:\n        - name: hopscope\n          image: hopscope\n          workingDir: /work\n"
                "          command: [sh, -c]\n          args:\n            - >-\n              exec ");
    add_command(out, sweep, "hopscope", o);
    hs_str_addf(out,
                "\n          resources:\n            requests: {cpu: \"%u\", memory: %lluM}\n"
                "            limits: {cpu: \"%u\", memory: %lluM}\n"
                "          volumeMounts: [{name: work, mountPath: /work}]\n"
                "      volumes:\n        - name: work\n          persistentVolumeClaim: {claimName: hopscope}\n",
                o->cpus, (unsigned long long)megabytes(o), o->cpus, (unsigned long long)megabytes(o));
}

static void snakemake(const hs_sweep *sweep, const hs_job_options *o, hs_str *out)
{
    hs_str_addf(out, "# snakemake --snakefile FILE --directory ");
    add_quoted(out, o->folder);
    hs_str_addf(out, " --cores 8\nRUNS = ");
    hs_str_add_json(out, sweep->dir, strlen(sweep->dir));
    hs_str_addf(
        out,
        "\nMEMBERS = range(%u)\n\n\nrule all:\n    input:\n        expand(RUNS + \"/.done/{index}\", index=MEMBERS),\n"
        "\n\nrule member:\n    output:\n        touch(RUNS + \"/.done/{index}\"),\n    threads: %u\n    resources:\n"
        "        mem_mb=%llu,\n    shell:\n        ",
        hs_sweep_size(sweep), o->cpus, (unsigned long long)megabytes(o));
    hs_str command = {0};
    add_command(&command, sweep, o->program, o);
    hs_str_addf(&command, " --index ");
    hs_str doubled = {0}; /* braces are snakemake's */
    for (const char *c = command.s ? command.s : ""; *c; c++)
        hs_str_addf(&doubled, *c == '{' || *c == '}' ? "%c%c" : "%c", *c, *c);
    hs_str_addf(&doubled, "{wildcards.index}");
    hs_str_add_json(out, doubled.s ? doubled.s : "", doubled.len);
    hs_str_add(out, "\n", 1);
    out->failed |= command.failed || doubled.failed;
    hs_str_free(&command);
    hs_str_free(&doubled);
}

bool hs_sweep_job(const hs_sweep *sweep, hs_job_kind kind, const hs_job_options *options, uint32_t part, hs_str *out)
{
    const uint32_t n = hs_sweep_size(sweep), first = kind == HS_JOB_SLURM ? part * HS_JOB_ARRAY : 0;
    char name[64];
    if (first >= n || (kind != HS_JOB_SLURM && part > 0))
        return false;
    plan_name(sweep, name);
    if (kind == HS_JOB_SLURM)
        slurm(sweep, options, name, first, n - first < HS_JOB_ARRAY ? n - first : HS_JOB_ARRAY, out);
    else if (kind == HS_JOB_KUBERNETES)
        kubernetes(sweep, options, name, out);
    else
        snakemake(sweep, options, out);
    return true;
}
