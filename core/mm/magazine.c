/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU magazines in front of the slabs (Bonwick and Adams, "Magazines and vmem: extending the slab allocator to many
 * CPUs and arbitrary resources", USENIX 2001), and with them the way in and out of a cache. A magazine is a stack of
 * free objects that only its CPU touches, with preemption disabled: no lock, no atomic read-modify-write. It is
 * refilled by half when it is empty and spilled by half when it is full, under the cache's lock; there is no depot of
 * full magazines, because the slabs take a batch for little more. Cost: 256 bytes for each CPU and cache that it has
 * used, at most CACHED_BYTES_MAX of objects in it, and a pointer for each cache in every CPU.
 *
 * A CPU is in a magazine section from magazine_enter() to magazine_leave(). slab_reclaim_all() takes magazines away
 * from CPUs that may be idle. It (1) clears the CPU's pointer to the magazine, (2) makes that CPU execute a fence in an
 * interrupt, (3) waits until it sees the CPU outside of a section, and then owns the magazine. A section that began
 * before the fence had set in_magazine before it, so (3) sees that and lasts until the section ends; one that begins
 * later reads the cleared pointer. So the owner needs no fence between its store of in_magazine and its load of the
 * pointer: the interrupt is that fence, on the rare side. A section takes no lock but the cache's, which nobody holds
 * who waits.
 */
#include "mm_priv.h"

#include <lib/string.h>
#include <smp/call.h>

#define MAGAZINE_BYTES 256
#define CACHED_BYTES_MAX ((size_t)16 << 10) /* of objects in one magazine */
#define OBJECTS_MIN 2                       /* a cache that may keep fewer has no magazines */

struct slab_magazine {
    /* Owned by the CPU, in a section. */
    _Atomic(void **) top; /* PAIRS(magazine_top): the first free place; read by others under the cache's lock */
    /* Immutable. */
    void **end;
    struct cpu *cpu;

    /* Guarded by the cache's lock. */
    struct list_node link;
    bool is_revoked; /* its CPU does not find it any more */

    void *bottom;    /* NULL: what lies below the lowest object */
    void *objects[]; /* owned by the CPU */
};

#define OBJECTS_MAX ((MAGAZINE_BYTES - offsetof(struct slab_magazine, objects)) / sizeof(void *))

_Static_assert(offsetof(struct slab_magazine, objects) ==
               offsetof(struct slab_magazine, bottom) + sizeof(void *), "the bottom lies right below the objects");

static struct slab_cache magazines;

void magazine_attach(struct slab_cache *cache)
{
    size_t limit = MIN(CACHED_BYTES_MAX / cache->stride_bytes, OBJECTS_MAX);

    if (magazines.name == NULL)
        slab_cache_setup(&magazines, "magazine", MAGAZINE_BYTES, alignof(struct slab_magazine), NULL);
    if (limit < OBJECTS_MIN)
        return;
    spin_lock(&slab_registry.lock);
    if (slab_registry.slots < SLAB_CACHES_MAX) {
        cache->slot_offset = offsetof(struct cpu, magazines) + slab_registry.slots++ * sizeof(void *);
        cache->magazine_limit = (unsigned)limit;
    }
    spin_unlock(&slab_registry.lock);
}

static ALWAYS_INLINE struct preempt_section magazine_enter(struct task_base *self)
{
    struct preempt_section section = preempt_enter(self);

    store_relaxed(&section.cpu->in_magazine, true); /* before the look at the pointer: see above */
    compiler_barrier();
    return section;
}

/* True: as preempt_leave(). */
static ALWAYS_INLINE bool magazine_leave(struct preempt_section section)
{
    /* PAIRS(magazine_section): all that the section did to the magazine. */
    store_release(&section.cpu->in_magazine, false);
    return preempt_leave(section);
}

static ALWAYS_INLINE _Atomic(struct slab_magazine *) *slot_of(struct cpu *cpu, const struct slab_cache *cache)
{
    return (_Atomic(struct slab_magazine *) *)((uintptr_t)cpu + cache->slot_offset);
}

static unsigned count_of(struct slab_magazine *magazine)
{
    return (unsigned)(load_acquire(&magazine->top) - magazine->objects); /* PAIRS(magazine_top) */
}

/* An object leaves the cache: it is in nobody's hands but ours. False if it has left already. */
static ALWAYS_INLINE bool hand_out(struct slab_cache *cache, void *object, uintptr_t pc)
{
    uint16_t *word = slab_word(cache, object);

    if (UNLIKELY(*word != SLAB_WORD_CACHED))
        return false;
    *word = SLAB_WORD_TAKEN;
    trace(TRACE_OBJECT_ALLOC, object, cache->stride_bytes);
    if (KERNEL_DEBUG)
        slab_debug_alloc(cache, object, pc);
    return true;
}

/* An object comes back; false if it cannot. Debug builds look first: a wrong free must not destroy what it will be
 * diagnosed from. */
static ALWAYS_INLINE bool hand_in(struct slab_cache *cache, void *object, uintptr_t pc)
{
    uint16_t *word = slab_find_taken(cache, object);

    if (UNLIKELY(word == NULL))
        return false;
    if (KERNEL_DEBUG) {
        slab_debug_free(cache, object, pc);
        trace(TRACE_OBJECT_FREE, object, cache->stride_bytes);
    }
    *word = SLAB_WORD_CACHED;
    return true;
}

/* ---- Magazines come and go ---- */

static void *take_one(struct slab_cache *cache)
{
    void *object = NULL;
    unsigned count;

    do {
        spin_lock(&cache->lock);
        count = slab_take_locked(cache, 1, &object);
        spin_unlock(&cache->lock);
    } while (count == 0 && slab_grow(cache));
    return object;
}

/* For a cache that has magazines, if this CPU seems to have none; NULL: it has one, or must do without. Whoever forces
 * a failure wants to meet it in the slabs of his cache, neither hidden by a refill nor here. */
static struct slab_magazine *spare_create(struct slab_cache *cache)
{
    struct slab_magazine *spare;
    bool is_missing;

    if (cache->magazine_limit == 0 || mm_fail_is_armed())
        return NULL;
    preempt_disable();
    is_missing = load_relaxed(slot_of(this_cpu(), cache)) == NULL;
    preempt_enable();
    spare = is_missing ? take_one(&magazines) : NULL;
    if (spare == NULL)
        return NULL;
    if (!hand_out(&magazines, spare, (uintptr_t)__builtin_return_address(0)))
        slab_refuse_twice(&magazines, spare);
    store_relaxed(&spare->top, spare->objects);
    spare->end = spare->objects + cache->magazine_limit;
    spare->bottom = NULL;
    spare->is_revoked = false;
    list_init(&spare->link);
    return spare;
}

static void magazine_destroy(struct slab_magazine *magazine)
{
    struct list_node retired = LIST_INIT(retired);
    void *object = magazine;

    if (!hand_in(&magazines, object, (uintptr_t)__builtin_return_address(0)))
        slab_refuse_free(&magazines, object);
    spin_lock(&magazines.lock);
    slab_put_locked(&magazines, &object, 1, &retired);
    spin_unlock(&magazines.lock);
    slab_discard(&magazines, &retired);
}

/* This CPU's magazine, which may be *spare from now on (then *spare is NULL); NULL if there is none. In a section. */
static struct slab_magazine *install_locked(struct slab_cache *cache, struct cpu *cpu, struct slab_magazine **spare)
    REQUIRES(cache->lock)
{
    struct slab_magazine *magazine = load_relaxed(slot_of(cpu, cache));

    if (magazine != NULL || *spare == NULL)
        return magazine;
    magazine = *spare;
    *spare = NULL;
    magazine->cpu = cpu;
    list_push_back(&cache->magazines, &magazine->link);
    store_relaxed(slot_of(cpu, cache), magazine);
    return magazine;
}

/* ---- Alloc ---- */

/* NULL: it is empty. */
static ALWAYS_INLINE void *pop(struct slab_magazine *magazine)
{
    void **top = load_relaxed(&magazine->top);
    void *object = top[-1];

    if (LIKELY(object != NULL))
        store_relaxed(&magazine->top, top - 1);
    return object;
}

/* One object, by way of a refill if the CPU has a magazine. In a section. */
static void *refill_locked(struct slab_cache *cache, struct slab_magazine *magazine) REQUIRES(cache->lock)
{
    void *object = NULL;
    unsigned want;

    if (magazine == NULL)
        return slab_take_locked(cache, 1, &object) == 1 ? object : NULL;
    object = pop(magazine); /* another task may have been here, or we on another CPU */
    if (object != NULL)
        return object;
    want = mm_fail_is_armed() ? 1 : (cache->magazine_limit + 1) / 2;
    store_relaxed(&magazine->top, magazine->objects + slab_take_locked(cache, want, magazine->objects));
    return pop(magazine);
}

/* There is no memory for a slab: other CPUs may have in their magazines what this one needs, or what keeps pages in
 * use. Once for each attempt, and only where an interrupt may be waited for. */
static bool reclaim_once(bool *is_done)
{
    if (*is_done || mm_fail_is_armed() || !context_can_sleep())
        return false;
    *is_done = true;
    slab_reclaim_all();
    return true;
}

/* What slab_alloc() leaves over: to be preempted, to find an object (NULL: it has none), or both. */
static NOINLINE void *alloc_slowly(struct slab_cache *cache, void *object, bool is_due, uintptr_t pc)
{
    struct slab_magazine *spare;
    bool is_reclaimed = false;

    if (is_due)
        preempt_resched();
    if (object != NULL)
        return object;
    spare = spare_create(cache);
    do {
        struct preempt_section section;

        preempt_disable(); /* its end is the last thing, for the sections in between */
        section = magazine_enter(current_base());
        spin_lock(&cache->lock);
        object = refill_locked(cache, install_locked(cache, section.cpu, &spare));
        spin_unlock(&cache->lock);
        (void)magazine_leave(section);
        preempt_enable();
    } while (object == NULL && (slab_grow(cache) || reclaim_once(&is_reclaimed)));
    if (spare != NULL)
        magazine_destroy(spare);
    if (object != NULL && !hand_out(cache, object, pc))
        slab_refuse_twice(cache, object);
    return object;
}

/* All calls that return are jumps at the end, so that the usual way saves no registers. */
static ALWAYS_INLINE void *alloc_object(struct slab_cache *cache, uintptr_t pc)
{
    struct preempt_section section = magazine_enter(current_base());
    struct slab_magazine *magazine = load_relaxed(slot_of(section.cpu, cache));
    void *object = LIKELY(magazine != NULL) ? pop(magazine) : NULL;

    if (UNLIKELY(object == NULL))
        return alloc_slowly(cache, NULL, magazine_leave(section), pc);
    if (UNLIKELY(!hand_out(cache, object, pc)))
        slab_refuse_twice(cache, object);
    if (LIKELY(!magazine_leave(section)))
        return object;
    return alloc_slowly(cache, object, true, pc);
}

/* Somebody has armed a failure, perhaps this task. */
static NOINLINE void *alloc_armed(struct slab_cache *cache, uintptr_t pc)
{
    return mm_should_fail() ? NULL : alloc_object(cache, pc);
}

void *slab_alloc(struct slab_cache *cache)
{
    uintptr_t pc = KERNEL_DEBUG ? (uintptr_t)__builtin_return_address(0) : 0;

    mm_assert_task_context();
    mm_assert_locks_below(LOCK_SLAB);
    if (UNLIKELY(load_relaxed(&mm_fail_task) != NULL))
        return alloc_armed(cache, pc);
    return alloc_object(cache, pc);
}

/* ---- Free ---- */

static ALWAYS_INLINE bool push(struct slab_magazine *magazine, void *object)
{
    void **top = load_relaxed(&magazine->top);

    if (UNLIKELY(top == magazine->end))
        return false;
    *top = object;
    /* PAIRS(magazine_top): who counts this object as free sees what was done before. */
    store_release(&magazine->top, top + 1);
    return true;
}

/* The older half goes, the half that is still in the CPU's caches stays. In a section. */
static void spill_locked(struct slab_cache *cache, struct slab_magazine *magazine, struct list_node *retired)
    REQUIRES(cache->lock)
{
    unsigned count = count_of(magazine);
    unsigned half = (count + 1) / 2;

    slab_put_locked(cache, magazine->objects, half, retired);
    memmove(magazine->objects, magazine->objects + half, (count - half) * sizeof(magazine->objects[0]));
    store_relaxed(&magazine->top, magazine->objects + (count - half));
}

/* What slab_free() leaves over: there was no room in the magazine. */
static NOINLINE void free_slowly(struct slab_cache *cache, void *object, bool is_due)
{
    struct list_node retired = LIST_INIT(retired);
    struct preempt_section section;
    struct slab_magazine *magazine;
    struct slab_magazine *spare;

    if (is_due)
        preempt_resched();
    spare = spare_create(cache);
    preempt_disable();
    section = magazine_enter(current_base());
    spin_lock(&cache->lock);
    magazine = install_locked(cache, section.cpu, &spare);
    if (magazine == NULL) {
        slab_put_locked(cache, &object, 1, &retired);
    } else if (!push(magazine, object)) {
        spill_locked(cache, magazine, &retired);
        (void)push(magazine, object);
    }
    spin_unlock(&cache->lock);
    (void)magazine_leave(section);
    preempt_enable();
    slab_discard(cache, &retired);
    if (spare != NULL)
        magazine_destroy(spare);
}

void slab_free(struct slab_cache *cache, void *object)
{
    mm_assert_task_context();
    mm_assert_locks_below(LOCK_SLAB);
    if (UNLIKELY(!hand_in(cache, object, KERNEL_DEBUG ? (uintptr_t)__builtin_return_address(0) : 0)))
        slab_refuse_free(cache, object);

    struct preempt_section section = magazine_enter(current_base());
    struct slab_magazine *magazine = load_relaxed(slot_of(section.cpu, cache));

    if (UNLIKELY(magazine == NULL || !push(magazine, object)))
        free_slowly(cache, object, magazine_leave(section));
    else if (UNLIKELY(magazine_leave(section)))
        preempt_resched();
}

/* ---- Counting ---- */

uint64_t magazine_cached_locked(struct slab_cache *cache, uint64_t *out_magazines)
{
    uint64_t cached = 0;

    *out_magazines = 0;
    list_for_each(node, &cache->magazines) {
        cached += count_of(list_entry(node, struct slab_magazine, link));
        ++*out_magazines;
    }
    return cached;
}

/* ---- Reclaim; slab_registry.lock is held throughout, so that there is one reclaimer at a time ---- */

static void fence_here(void *unused)
{
    (void)unused;
    fence_seq_cst(); /* PAIRS(magazine_section): in_magazine before it, or the pointer after it */
}

/* Adds the CPUs whose magazines they were, but this one, to `others`. */
static void revoke(struct slab_cache *cache, struct cpumask *others)
{
    spin_lock(&cache->lock);
    list_for_each(node, &cache->magazines) {
        struct slab_magazine *magazine = list_entry(node, struct slab_magazine, link);

        magazine->is_revoked = true;
        store_relaxed(slot_of(magazine->cpu, cache), NULL);
        if (magazine->cpu != this_cpu())
            cpumask_add(others, magazine->cpu->id);
    }
    spin_unlock(&cache->lock);
}

/* Revoked ones stand before those that their CPUs have made since. */
static struct slab_magazine *first_revoked(struct slab_cache *cache)
{
    struct slab_magazine *first = NULL;

    spin_lock(&cache->lock);
    if (!list_is_empty(&cache->magazines))
        first = list_first(&cache->magazines, struct slab_magazine, link);
    if (first != NULL && !first->is_revoked)
        first = NULL;
    spin_unlock(&cache->lock);
    return first;
}

/* Nobody uses the magazine any more. */
static void dissolve(struct slab_cache *cache, struct slab_magazine *magazine)
{
    struct list_node retired = LIST_INIT(retired);

    spin_lock(&cache->lock);
    list_remove(&magazine->link);
    slab_put_locked(cache, magazine->objects, count_of(magazine), &retired);
    spin_unlock(&cache->lock);
    slab_discard(cache, &retired);
    magazine_destroy(magazine);
}

static void drain(struct slab_cache *cache)
{
    struct slab_magazine *magazine;

    while ((magazine = first_revoked(cache)) != NULL) {
        /* PAIRS(magazine_section): the last section that knew this magazine is over. */
        while (load_acquire(&magazine->cpu->in_magazine))
            hal_cpu_relax();
        dissolve(cache, magazine);
    }
}

void slab_reclaim_all(void)
{
    struct cpumask others;

    cpumask_clear(&others);
    spin_lock(&slab_registry.lock);
    list_for_each(node, &slab_registry.caches)
        revoke(list_entry(node, struct slab_cache, link), &others);
    /* PAIRS(cpu_online): a CPU that is not counted yet has allocated nothing. */
    if (!cpumask_is_empty(&others) && load_acquire(&cpu_started_count) > 1)
        smp_call(&others, fence_here, NULL);
    list_for_each(node, &slab_registry.caches)
        drain(list_entry(node, struct slab_cache, link));
    list_for_each(node, &slab_registry.caches)
        slab_trim(list_entry(node, struct slab_cache, link));
    spin_unlock(&slab_registry.lock);
}

void magazine_drain_cpu(struct cpu *cpu)
{
    spin_lock(&slab_registry.lock);
    list_for_each(node, &slab_registry.caches) {
        struct slab_cache *cache = list_entry(node, struct slab_cache, link);
        struct slab_magazine *magazine = load_relaxed(slot_of(cpu, cache));

        if (cache->magazine_limit == 0 || magazine == NULL)
            continue;
        store_relaxed(slot_of(cpu, cache), NULL);
        dissolve(cache, magazine);
    }
    spin_unlock(&slab_registry.lock);
}
