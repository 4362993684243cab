/* SPDX-License-Identifier: MIT */
/*
 * stress run ROUNDS PROCESSES   everything at once, and its sums are right (run.c)
 * stress hog KIND [FILE]        takes memory, maps, file, pipes, streams, threads or forks until all is taken (hog.c)
 * stress mark FILE              writes down how much memory is free and how many tasks there are
 * stress compare FILE           waits until there are no more tasks and no less memory than then; 1: that does not come
 *                               true
 *
 * What the kernel keeps for the next time, it is asked to give back first.
 */
#include "stress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_KIB 256 /* slabs that one object of long life keeps: about one page for each of the kernel's caches */
#define TRIES 100    /* tenths of a second */
#define CACHES "/proc/sys/vm/drop_caches"

struct counts {
    long free_kib, tasks;
};

static int drop_caches(void)
{
    FILE *file = fopen(CACHES, "w");

    if (file == NULL)
        return 1;
    return fputs("3\n", file) < 0 || fclose(file) != 0;
}

static int read_counts(struct counts *out)
{
    char line[128];
    FILE *file = drop_caches() == 0 ? fopen("/proc/meminfo", "r") : NULL;

    out->free_kib = out->tasks = -1;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "MemFree: %ld kB", &out->free_kib);
    if (file != NULL)
        fclose(file);
    file = fopen("/proc/loadavg", "r");
    if (file != NULL) {
        (void)fscanf(file, "%*s %*s %*s %*d/%ld", &out->tasks);
        fclose(file);
    }
    return out->free_kib > 0 && out->tasks > 0 ? 0 : 1;
}

static int mark(const char *path)
{
    struct counts now;
    FILE *file = fopen(path, "w");

    if (file == NULL || read_counts(&now) != 0)
        return 2;
    fprintf(file, "%ld %ld\n", now.free_kib, now.tasks);
    return fclose(file) == 0 ? 0 : 2;
}

static int compare(const char *path)
{
    struct counts then = { 0, 0 }, now = { 0, 0 };
    FILE *file = fopen(path, "r");

    if (file == NULL || fscanf(file, "%ld %ld", &then.free_kib, &then.tasks) != 2)
        return 2;
    fclose(file);
    for (int i = 0; i < TRIES; i++) {
        if (read_counts(&now) != 0)
            return 2;
        if (now.tasks <= then.tasks && now.free_kib + KEPT_KIB >= then.free_kib) {
            printf("stress: as before: %ld tasks, %ld KiB free, %+ld\n", now.tasks, now.free_kib,
                   now.free_kib - then.free_kib);
            return 0;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    }
    printf("stress: NOT as before: %ld tasks, were %ld; %ld KiB free, were %ld\n", now.tasks, then.tasks, now.free_kib,
           then.free_kib);
    return 1;
}

int main(int count, char **words)
{
    if (count == 4 && strcmp(words[1], "run") == 0)
        return run_all((unsigned)atoi(words[2]), (unsigned)atoi(words[3]));
    if (count >= 3 && strcmp(words[1], "hog") == 0)
        return hog(words[2], count > 3 ? words[3] : "hog");
    if (count == 3 && strcmp(words[1], "mark") == 0)
        return mark(words[2]);
    if (count == 3 && strcmp(words[1], "compare") == 0)
        return compare(words[2]);
    fprintf(stderr, "usage: stress run ROUNDS PROCESSES | hog KIND [FILE] | mark FILE | compare FILE\n");
    return 2;
}
