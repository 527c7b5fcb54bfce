/* base_cpu.c - how many processors this process may really use. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity, CPU_ALLOC */
#endif
#include "base/base_pool.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
/* The kernel refuses a set smaller than its own, so larger ones are tried. */
static int affinity_count(void)
{
    for (size_t n = 1024; n <= 1 << 16; n *= 4) {
        cpu_set_t *set = CPU_ALLOC(n);
        if (!set)
            return 0;
        size_t size = CPU_ALLOC_SIZE(n);
        int rc = sched_getaffinity(0, size, set), code = errno;
        int found = rc == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (rc == 0 || code != EINVAL)
            return found;
    }
    return 0;
}

/* Processors that DIR/cpu.max allows ("QUOTA PERIOD" in us, or "max PERIOD"), rounded up; 0 = no limit. */
static int quota_count(const char *dir)
{
    char path[4200];
    long long quota = 0, period = 0;
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    char line[64] = "", *end;
    bool got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    if (got) { /* "max 100000" gives quota 0: no limit */
        quota = strtoll(line, &end, 10);
        period = strtoll(end, NULL, 10);
    }
    if (!got || quota <= 0 || period <= 0 || quota / period >= 1 << 20)
        return 0;
    return (int)((quota + period - 1) / period);
}

/* The tightest limit from our cgroup (version 2) up to the root. */
static int cgroup_count(void)
{
    static const char root[] = "/sys/fs/cgroup";
    char line[4096], dir[sizeof root + sizeof line];
    int best = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return 0;
    dir[0] = '\0';
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(dir, sizeof dir, "%s%s", root, line + 3);
        }
    fclose(f);
    while (strlen(dir) >= sizeof root - 1) {
        int n = quota_count(dir);
        if (n > 0 && (best == 0 || n < best))
            best = n;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < sizeof root - 1)
            break;
        *slash = '\0';
    }
    return best;
}
#endif

int om_cpu_count(void)
{
    int n = 0;
#ifdef __linux__
    n = affinity_count();
    int quota = cgroup_count();
    if (quota > 0 && (n <= 0 || quota < n))
        n = quota;
#endif
    if (n <= 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 && online < 1 << 20 ? (int)online : 1;
    }
    return n;
}
