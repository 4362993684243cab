/* SPDX-License-Identifier: MIT */
/*
 * Fixed-size hash map from an address to a number: open addressing with linear probing, in memory that costs nothing
 * before it is touched. A removal moves later entries up, so there are no marks of removed ones. No lock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sim_slot {
    uintptr_t key; /* 0: free */
    uint64_t value;
};

struct sim_map {
    const char *what; /* for the message when it is full */
    struct sim_slot *slots;
    unsigned bits;
    size_t count;
};

#define SIM_MAP(name, text, log2_size)                       \
    static struct sim_slot name##_slots[(size_t)1 << (log2_size)]; \
    static struct sim_map name = { .what = (text), .slots = name##_slots, .bits = (log2_size) }

/* The value of a key, or NULL. Valid until the next put or remove. */
uint64_t *sim_map_find(const struct sim_map *map, const void *key);
/* The value of a key that is there afterwards, 0 if it is new. A full table ends the run. */
uint64_t *sim_map_put(struct sim_map *map, const void *key);
void sim_map_remove(struct sim_map *map, const void *key);
void sim_map_clear(struct sim_map *map);
