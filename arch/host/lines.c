/* SPDX-License-Identifier: MIT */
/*
 * Which CPUs touched a cache line last, for strategies that bring them together. Owns an exact map from lines to CPUs.
 * It remembers the LINES newest lines and forgets them in the order in which they came, so what it knows depends on
 * which addresses are equal and never on what they are. No lock.
 */
#include "host_priv.h"

#include <string.h>

#define LINES (1u << 16)
#define BUCKETS (2 * LINES)

static struct {
    struct {
        uintptr_t line;
        cpu_id_t cpu;   /* touched it last */
        cpu_id_t other; /* touched it last of all but `cpu`, or CPU_NONE */
        uint32_t next; /* in its bucket, as there */
    } line[LINES];
    uint32_t used;            /* of line[] */
    uint32_t oldest;          /* once all are used */
    uint32_t bucket[BUCKETS]; /* 1 + the place of its newest line, or 0 */
} map;

static uint32_t *bucket_of(uintptr_t line)
{
    return &map.bucket[(line * UINT64_C(0x9e3779b97f4a7c15) >> 32) % BUCKETS];
}

static void line_forget(uint32_t slot)
{
    uint32_t *link = bucket_of(map.line[slot].line);

    while (*link != slot + 1)
        link = &map.line[*link - 1].next;
    *link = map.line[slot].next;
}

static void line_insert(uintptr_t line, cpu_id_t cpu)
{
    uint32_t *bucket = bucket_of(line);
    uint32_t slot;

    if (map.used < LINES) {
        slot = map.used++;
    } else {
        slot = map.oldest;
        map.oldest = (map.oldest + 1) % LINES;
        line_forget(slot);
    }
    map.line[slot].line = line;
    map.line[slot].cpu = cpu;
    map.line[slot].other = CPU_NONE;
    map.line[slot].next = *bucket;
    *bucket = slot + 1;
}

cpu_id_t host_line_touch(uintptr_t line, cpu_id_t cpu)
{
    for (uint32_t at = *bucket_of(line); at != 0; at = map.line[at - 1].next) {
        if (map.line[at - 1].line == line) {
            if (map.line[at - 1].cpu != cpu)
                map.line[at - 1].other = map.line[at - 1].cpu;
            map.line[at - 1].cpu = cpu;
            return map.line[at - 1].other;
        }
    }
    line_insert(line, cpu);
    return CPU_NONE;
}

/* A line is found through its bucket only, so no more need be cleared; and nothing in a process that is new. */
void host_lines_reset(void)
{
    if (map.used > 0)
        memset(map.bucket, 0, sizeof map.bucket);
    map.used = map.oldest = 0;
}
