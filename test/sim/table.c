/* SPDX-License-Identifier: MIT */
/* The map of the checkers: see table.h. */
#include "table.h"

#include "sim.h"

static size_t home_of(const struct sim_map *map, uintptr_t key)
{
    /* Fibonacci hashing: the high bits of the product depend on all bits of the address. */
    return (size_t)((key >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - map->bits));
}

static size_t mask_of(const struct sim_map *map)
{
    return ((size_t)1 << map->bits) - 1;
}

/* The slot of the key, or the free one where it would go. */
static size_t slot_of(const struct sim_map *map, uintptr_t key)
{
    size_t at = home_of(map, key);

    while (map->slots[at].key != 0 && map->slots[at].key != key)
        at = (at + 1) & mask_of(map);
    return at;
}

uint64_t *sim_map_find(const struct sim_map *map, const void *key)
{
    struct sim_slot *slot = &map->slots[slot_of(map, (uintptr_t)key)];

    return slot->key != 0 ? &slot->value : NULL;
}

uint64_t *sim_map_put(struct sim_map *map, const void *key)
{
    struct sim_slot *slot = &map->slots[slot_of(map, (uintptr_t)key)];

    if (slot->key == 0) {
        /* Above 7/8 the probes become long, and at the end there must be a free slot to stop at. */
        if (map->count >= mask_of(map) - (mask_of(map) >> 3))
            sim_broken(PROMISE_SANITY, "the watch has no room for more than %zu %s", map->count, map->what);
        slot->key = (uintptr_t)key;
        slot->value = 0;
        map->count++;
    }
    return &slot->value;
}

void sim_map_remove(struct sim_map *map, const void *key)
{
    size_t mask = mask_of(map);
    size_t hole = slot_of(map, (uintptr_t)key);

    if (map->slots[hole].key == 0)
        return;
    map->count--;
    /* An entry may fill the hole if the hole lies between its home and where it is. */
    for (size_t at = (hole + 1) & mask; map->slots[at].key != 0; at = (at + 1) & mask) {
        if (((at - home_of(map, map->slots[at].key)) & mask) < ((at - hole) & mask))
            continue;
        map->slots[hole].key = map->slots[at].key;
        map->slots[hole].value = map->slots[at].value;
        hole = at;
    }
    map->slots[hole].key = 0;
}

void sim_map_clear(struct sim_map *map)
{
    if (map->count == 0)
        return; /* what was never used stays untouched */
    for (size_t at = 0; at <= mask_of(map); at++)
        map->slots[at].key = 0;
    map->count = 0;
}
