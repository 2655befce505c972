/* machine.c - how many cores and how much memory are this process's: containers and batch systems give it less than
 * there is.
 *
 * Control groups: version 2 (cpu.max, memory.max) and version 1 (cpu.cfs_quota_us, memory.limit_in_bytes). A limit of
 * an ancestor holds too. Invariant: what cannot be read is no limit. */
#include "hopscope/core.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 1024 };

/* The first numbers of a file; "max" and what is not there give false. */
static bool read_numbers(const char *root, const char *group, const char *name, int n, double out[2])
{
    char path[2 * PATH_SIZE + 64], text[256];
    snprintf(path, sizeof path, "%s%s/%s", root, group, name);
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    char *at = text;
    for (int i = 0; i < n; i++) {
        char *end;
        out[i] = strtod(at, &end);
        if (end == at)
            return false;
        at = end;
    }
    return true;
}

/* From the group to the root, one folder a time; false when that was the last. */
static bool to_parent(char *group)
{
    char *slash = strrchr(group, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

uint32_t hs_cgroup_cores(const char *root, const char *group)
{
    char at[PATH_SIZE];
    double least = 0, v[2], period[2];
    snprintf(at, sizeof at, "%s", strcmp(group, "/") == 0 ? "" : group);
    do {
        double cores = 0;
        if (read_numbers(root, at, "cpu.max", 2, v) && v[0] > 0 && v[1] > 0)
            cores = v[0] / v[1];
        else if (read_numbers(root, at, "cpu.cfs_quota_us", 1, v) &&
                 read_numbers(root, at, "cpu.cfs_period_us", 1, period) && v[0] > 0 && period[0] > 0)
            cores = v[0] / period[0];
        if (cores > 0 && (least == 0 || cores < least))
            least = cores;
    } while (to_parent(at));
    return least == 0 ? 0 : least < 1 ? 1 : least < 1e6 ? (uint32_t)least : 1000000;
}

uint64_t hs_cgroup_memory(const char *root, const char *group)
{
    char at[PATH_SIZE];
    double least = 0, limit[2], used[2];
    bool any = false;
    snprintf(at, sizeof at, "%s", strcmp(group, "/") == 0 ? "" : group);
    do {
        const bool second = read_numbers(root, at, "memory.max", 1, limit);
        if (!second && !read_numbers(root, at, "memory.limit_in_bytes", 1, limit))
            continue;
        if (limit[0] > 1e15) /* version 1 says "none" so */
            continue;
        if (!read_numbers(root, at, second ? "memory.current" : "memory.usage_in_bytes", 1, used))
            used[0] = 0;
        const double left = limit[0] > used[0] ? limit[0] - used[0] : 0;
        least = any && least < left ? least : left;
        any = true;
    } while (to_parent(at));
    return any ? (uint64_t)least : UINT64_MAX;
}

/* The group of this process: that of version 2, or of a controller of version 1. */
static void own_group(const char *controller, char root[PATH_SIZE], char group[PATH_SIZE])
{
    char line[PATH_SIZE];
    snprintf(root, PATH_SIZE, "/sys/fs/cgroup");
    group[0] = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        const bool second = strcmp(list, ":") == 0;
        if (second || strstr(list + 1, controller))
            snprintf(group, PATH_SIZE, "%.1000s", path);
        if (!second && strstr(list + 1, controller)) {
            snprintf(root, PATH_SIZE, "/sys/fs/cgroup/%s", controller);
            break;
        }
    }
    if (f)
        fclose(f);
}

static uint64_t number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    const unsigned long long n = text ? strtoull(text, &end, 10) : 0;
    return text && end != text && *end == 0 ? n : 0;
}

uint32_t hs_cores(void)
{
    char root[PATH_SIZE], group[PATH_SIZE];
    cpu_set_t set;
    uint32_t cores = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
    own_group("cpu", root, group);
    const uint32_t quota = hs_cgroup_cores(root, group);
    if (quota && quota < cores)
        cores = quota;
    const uint64_t slurm = number_of("SLURM_CPUS_PER_TASK");
    if (slurm && slurm < cores)
        cores = (uint32_t)slurm;
    return cores ? cores : 1;
}

uint64_t hs_memory_available(void)
{
    char root[PATH_SIZE], group[PATH_SIZE], line[256];
    uint64_t bytes = UINT64_MAX;
    FILE *f = fopen("/proc/meminfo", "re");
    unsigned long long kib;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
            bytes = kib * 1024;
    if (f)
        fclose(f);
    own_group("memory", root, group);
    const uint64_t left = hs_cgroup_memory(root, group), slurm = number_of("SLURM_MEM_PER_NODE") << 20;
    bytes = left < bytes ? left : bytes;
    return slurm && slurm < bytes ? slurm : bytes;
}
