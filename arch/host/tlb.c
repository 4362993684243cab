/* SPDX-License-Identifier: MIT */
/*
 * A TLB for each CPU: it keeps what it has read from the tables until it is flushed, or until it forgets it by chance.
 * User accesses go through it, stale or not. For the kmap window it is bookkeeping: the host's own mappings there are
 * shared by all CPUs and made and unmade by memory.c, and this file knows which CPU may still hold what. It counts the
 * holders of each page of RAM, so that a page that is given back while a CPU can still reach it ends the run.
 *
 * An entry is global or tagged with the address-space id (asid) that it was read under. Under other ids it lies there
 * unseen. A page may be given back while only such entries know it: they are poisoned, and if one of them is still
 * there when its CPU takes that id into use, the run ends. So does a change of an id's tables under its entries.
 *
 * What a CPU may hold of the kmap window: the stack that it stands on, what it was let in to by a fault, and what it or
 * another CPU at work looked up ahead, for hardware may read any valid entry at any time. A CPU counts as at work from
 * its first hal_context_switch() or space: before that it holds no more than it touched, and a core may bring it up
 * without telling it of changes. A parked CPU runs nothing ever again, so it holds nothing; one that is off never did.
 *
 * It decides by seed, CPU and step and takes nothing from the machine's random stream, so that a schedule does not
 * depend on it. No lock: one host thread.
 */
#include "host_priv.h"

#include "os.h"

#define WAYS 4u
#define WALK_SHIFT (PAGE_SHIFT + HAL_PT_INDEX_BITS) /* what a last-level table spans */
#define STAND_PAGES_MAX 16u                         /* of a stack, from its top: the cost of a switch is bounded */

#define FORGET_ONE_IN 64u /* a hit finds its entry gone */
#define AHEAD_ONE_IN 4u   /* a miss or a flush is followed by a look-up of its own */

/* Translations of user pages, of kmap pages, and the last-level tables that walks of either went through. */
enum bank { BANK_USER, BANK_KMAP, BANK_WALK, BANK_COUNT };

static const struct {
    unsigned first;
    unsigned sets; /* a power of two */
} banks[BANK_COUNT] = {
    [BANK_USER] = { 0, 16 },
    [BANK_KMAP] = { 16, 128 },
    [BANK_WALK] = { 144, 16 },
};
#define SETS_TOTAL 160u

struct entry {
    uint64_t number; /* 1 + number of the page or of the table's span; 0: empty */
    uint32_t frame;
    uint16_t asid;
    uint8_t prot;
    bool is_poisoned; /* its page was given back */
};

/* What a CPU holds under one id: entries that are not global. */
struct tag {
    uint32_t root_frame; /* of the tables that they were read from */
    uint16_t held;
    uint16_t poisoned;
};

struct tlb {
    unsigned used[BANK_COUNT];
    uint32_t root_frame;
    bool has_root;
    bool is_at_work; /* it has switched contexts */
    vaddr_t last_user; /* a program's last access; 0: none yet */
    struct entry set[SETS_TOTAL][WAYS];
};

static struct {
    struct tlb *of;    /* by CPU */
    struct tag *tags;  /* by CPU and id */
    uint32_t *holders; /* by frame: entries in all TLBs, and roots in use */
    size_t of_bytes;
    size_t tags_bytes;
    size_t holders_bytes;
    paddr_t base; /* of frame 0 */
    uint64_t frames;
    const struct cpumask *must_forget; /* NULL: all CPUs */
} tlbs;

void host_tlb_create(paddr_t base, uint64_t span_bytes)
{
    tlbs.base = base;
    tlbs.must_forget = NULL;
    tlbs.frames = span_bytes >> PAGE_SHIFT;
    tlbs.of_bytes = host.config.cpus * sizeof *tlbs.of;
    tlbs.tags_bytes = host.config.cpus * host.config.asids * sizeof *tlbs.tags;
    tlbs.holders_bytes = tlbs.frames * sizeof *tlbs.holders;
    tlbs.of = os_alloc(tlbs.of_bytes, false);
    tlbs.tags = os_alloc(tlbs.tags_bytes, false);
    tlbs.holders = os_alloc(tlbs.holders_bytes, false);
    if (tlbs.of == NULL || tlbs.tags == NULL || tlbs.holders == NULL)
        os_die("TLBs");
}

void host_tlb_destroy(void)
{
    os_release(tlbs.of, tlbs.of_bytes);
    os_release(tlbs.tags, tlbs.tags_bytes);
    os_release(tlbs.holders, tlbs.holders_bytes);
    tlbs.of = NULL;
    tlbs.holders = NULL;
}

/* Chance, by seed, CPU, the CPU's step and what it is asked for. */
static uint64_t chance(const struct host_cpu *cpu, uint64_t about)
{
    return host_mix(host.config.seed * UINT64_C(0x9e3779b97f4a7c15) +
                    ((uint64_t)cpu->id << 48 ^ cpu->steps << 16 ^ about)) >> 32;
}

static uint32_t frame_of(paddr_t pa)
{
    return (uint32_t)((pa - tlbs.base) >> PAGE_SHIFT);
}

static paddr_t paddr_of(uint32_t frame)
{
    return tlbs.base + ((paddr_t)frame << PAGE_SHIFT);
}

static struct tlb *tlb_of(const struct host_cpu *cpu)
{
    return &tlbs.of[cpu->id];
}

static struct tag *tag_of(const struct host_cpu *cpu, unsigned asid)
{
    return &tlbs.tags[cpu->id * host.config.asids + asid];
}

/* ---- Entries ---- */

static struct entry *set_of(struct tlb *tlb, enum bank bank, uint64_t number)
{
    return tlb->set[banks[bank].first + ((number ^ number >> 9) & (banks[bank].sets - 1))];
}

static bool is_global(const struct entry *entry)
{
    return (entry->prot & PROT_GLOBAL) != 0;
}

/* As the CPU sees it under the id that it uses now. */
static struct entry *find(const struct host_cpu *cpu, enum bank bank, uint64_t number)
{
    struct entry *set = set_of(tlb_of(cpu), bank, number);

    for (unsigned way = 0; way < WAYS; way++)
        if (set[way].number == number + 1 && (set[way].asid == cpu->asid || is_global(&set[way])))
            return &set[way];
    return NULL;
}

static void drop(const struct host_cpu *cpu, enum bank bank, struct entry *entry)
{
    tlbs.holders[entry->frame]--;
    tlb_of(cpu)->used[bank]--;
    if (!is_global(entry)) {
        tag_of(cpu, entry->asid)->held--;
        tag_of(cpu, entry->asid)->poisoned -= entry->is_poisoned;
    }
    entry->number = 0;
}

/* The caller knows that it is not there. A full set forgets one of its entries by chance. */
static void put(const struct host_cpu *cpu, enum bank bank, uint64_t number, paddr_t pa, unsigned prot)
{
    struct tlb *tlb = tlb_of(cpu);
    struct entry *set = set_of(tlb, bank, number);
    struct entry *entry = NULL;

    for (unsigned way = 0; way < WAYS && entry == NULL; way++)
        if (set[way].number == 0)
            entry = &set[way];
    if (entry == NULL) {
        entry = &set[chance(cpu, number) % WAYS];
        drop(cpu, bank, entry);
    }
    *entry = (struct entry){
        .number = number + 1, .frame = frame_of(pa), .asid = (uint16_t)cpu->asid, .prot = (uint8_t)prot
    };
    tlbs.holders[entry->frame]++;
    tlb->used[bank]++;
    if (!is_global(entry))
        tag_of(cpu, cpu->asid)->held++;
}

/* Those of one id, but no global ones; or, HAL_ASID_ANY, all. */
static bool is_of(const struct entry *entry, unsigned asid)
{
    return asid == HAL_ASID_ANY || (entry->asid == asid && !is_global(entry));
}

static void drop_range(const struct host_cpu *cpu, enum bank bank, unsigned asid, uint64_t first, uint64_t count)
{
    struct tlb *tlb = tlb_of(cpu);

    if (tlb->used[bank] == 0)
        return;
    if (count <= banks[bank].sets) {
        for (uint64_t number = first; number < first + count; number++) {
            struct entry *set = set_of(tlb, bank, number);

            for (unsigned way = 0; way < WAYS; way++)
                if (set[way].number == number + 1 && is_of(&set[way], asid))
                    drop(cpu, bank, &set[way]);
        }
        return;
    }
    for (unsigned set = banks[bank].first; set < banks[bank].first + banks[bank].sets; set++)
        for (unsigned way = 0; way < WAYS; way++) {
            struct entry *entry = &tlb->set[set][way];

            if (entry->number != 0 && entry->number - 1 - first < count && is_of(entry, asid))
                drop(cpu, bank, entry);
        }
}

static void drop_all(const struct host_cpu *cpu, unsigned asid)
{
    for (unsigned bank = 0; bank < BANK_COUNT; bank++)
        drop_range(cpu, (enum bank)bank, asid, 0, UINT64_MAX);
}

/* ---- Walks ---- */

/* What the tables say about va, by way of the last-level table that this CPU remembers for it, stale or not. */
static bool walk(const struct host_cpu *cpu, vaddr_t va, struct host_walk *out)
{
    struct entry *known = find(cpu, BANK_WALK, va >> WALK_SHIFT);

    if (known != NULL)
        return host_memory_walk_table(paddr_of(known->frame), va, out);
    bool is_mapped = host_memory_walk(cpu->root, va, out);

    if (out->table != 0)
        put(cpu, BANK_WALK, va >> WALK_SHIFT, out->table, 0);
    return is_mapped;
}

/* Look va up without being asked to, as hardware may at any time. */
static void look_ahead(const struct host_cpu *cpu, vaddr_t va)
{
    enum bank bank = host_is_kmap(va) ? BANK_KMAP : BANK_USER;
    struct host_walk found;

    if (cpu->root == 0 || (bank == BANK_USER && va >= HOST_ADDRESS_BASE))
        return;
    if (find(cpu, bank, va >> PAGE_SHIFT) != NULL || !walk(cpu, va, &found))
        return;
    if (bank == BANK_USER)
        host_icache_require(cpu, va, found.pa, found.prot);
    put(cpu, bank, va >> PAGE_SHIFT, found.pa, found.prot);
}

/* A CPU at work met a kmap page that it did not know: so may another. */
static void look_ahead_elsewhere(const struct host_cpu *self, vaddr_t va)
{
    const struct host_cpu *other = &host_cpus[chance(self, va + 1) % host.config.cpus];

    if (tlb_of(self)->is_at_work && tlb_of(other)->is_at_work && other->state != HOST_CPU_PARKED)
        look_ahead(other, va);
}

/* ---- What CPUs do ---- */

static void root_take(const struct host_cpu *cpu, paddr_t root)
{
    struct tlb *tlb = tlb_of(cpu);

    if (tlb->has_root)
        tlbs.holders[tlb->root_frame]--;
    tlb->has_root = root != 0;
    if (root == 0)
        return;
    tlb->root_frame = frame_of(root);
    tlbs.holders[tlb->root_frame]++;
}

/* Where an entry of a page that was given back is; there is one. */
[[noreturn]] static void poison_used(const struct host_cpu *cpu, unsigned asid)
{
    const struct tlb *tlb = tlb_of(cpu);

    for (unsigned set = 0; set < SETS_TOTAL; set++)
        for (unsigned way = 0; way < WAYS; way++) {
            const struct entry *entry = &tlb->set[set][way];
            unsigned shift = set >= banks[BANK_WALK].first ? WALK_SHIFT : PAGE_SHIFT;

            if (entry->number != 0 && entry->asid == asid && entry->is_poisoned)
                host_fail("stale TLB entry: CPU %u takes address-space id %u into use, and still knows %#llx by page "
                          "%#llx, which was freed meanwhile",
                          cpu->id, asid, (unsigned long long)(entry->number - 1) << shift,
                          (unsigned long long)paddr_of(entry->frame));
        }
    host_fail("stale TLB entry: CPU %u has lost one of id %u", cpu->id, asid);
}

/* Without tags what is not global goes, but for what is known of the kernel half's tables, which machines keep. */
static void forget_untagged(const struct host_cpu *cpu)
{
    drop_range(cpu, BANK_USER, 0, 0, UINT64_MAX);
    drop_range(cpu, BANK_WALK, 0, 0, HOST_ADDRESS_BASE >> WALK_SHIFT);
}

static void tags_check(const struct host_cpu *cpu)
{
    struct tag *tag = tag_of(cpu, cpu->asid);

    if (tag->held != 0 && tag->root_frame != frame_of(cpu->root))
        host_fail("stale TLB entries: CPU %u takes address-space id %u into use for the tables at %#llx, and holds %u "
                  "entries from those at %#llx",
                  cpu->id, cpu->asid, (unsigned long long)cpu->root, tag->held,
                  (unsigned long long)paddr_of(tag->root_frame));
    if (tag->poisoned != 0)
        poison_used(cpu, cpu->asid);
    tag->root_frame = frame_of(cpu->root);
}

void host_tlb_activate(const struct host_cpu *cpu, bool is_space)
{
    struct tlb *tlb = tlb_of(cpu);

    root_take(cpu, cpu->root);
    if (host.config.asids == 1)
        forget_untagged(cpu);
    else
        tags_check(cpu);
    tlb->is_at_work |= is_space;
    /* From here on it may read them. */
    if (is_space && tlb->last_user != 0 && chance(cpu, cpu->asid) % AHEAD_ONE_IN == 0)
        look_ahead(cpu, tlb->last_user);
}

void host_tlb_forget(const struct host_cpu *cpu)
{
    drop_all(cpu, HAL_ASID_ANY);
    root_take(cpu, 0);
}

void host_tlb_start(const struct host_cpu *cpu)
{
    host_tlb_forget(cpu);
    if (cpu->root != 0 && host_memory_is_ram(cpu->root))
        host_tlb_activate(cpu, false);
    host_tlb_stand(cpu);
}

[[noreturn]] static void stale_used(const struct host_cpu *cpu, vaddr_t va, const struct entry *entry, paddr_t pa)
{
    host_fail("stale TLB entry used: CPU %u reaches page %#llx through its entry for %#llx; the tables say %#llx",
              cpu->id, (unsigned long long)paddr_of(entry->frame), (unsigned long long)va, (unsigned long long)pa);
}

/* The CPU is about to run on its stack. */
void host_tlb_stand(const struct host_cpu *cpu)
{
    vaddr_t end = cpu->stack.base + cpu->stack.bytes;
    vaddr_t va = MAX((vaddr_t)cpu->stack.base, end - MIN((vaddr_t)cpu->stack.bytes, STAND_PAGES_MAX * PAGE_BYTES));
    struct host_walk found = { .table = 0 };

    if (!host_is_kmap(va) || cpu->root == 0)
        return;
    for (; va < end; va += PAGE_BYTES) {
        bool is_mapped = found.table != 0 && va % (UINT64_C(1) << WALK_SHIFT) != 0
                             ? host_memory_walk_table(found.table, va, &found)
                             : host_memory_walk(cpu->root, va, &found);
        const struct entry *entry = find(cpu, BANK_KMAP, va >> PAGE_SHIFT);

        if (!is_mapped)
            continue;
        if (entry == NULL) {
            look_ahead(cpu, va);
            look_ahead_elsewhere(cpu, va);
        } else if (entry->frame != frame_of(found.pa)) {
            stale_used(cpu, va, entry, found.pa);
        }
    }
}

void host_tlb_switched(const struct host_cpu *cpu)
{
    tlb_of(cpu)->is_at_work = true;
    host_tlb_stand(cpu);
}

/* A fault in the kmap window at `touched` let the CPU in to [low, high), which the tables map to pa and on. */
void host_tlb_refilled(vaddr_t touched, vaddr_t low, vaddr_t high, paddr_t pa)
{
    const struct host_cpu *self = host_self();
    const struct entry *entry = find(self, BANK_KMAP, touched >> PAGE_SHIFT);

    /* What a checker looks at is not seen by the CPU that it looks from. */
    if (host.is_checking)
        return;
    if (entry != NULL && entry->frame != frame_of(pa + (touched - low)))
        stale_used(self, touched, entry, pa + (touched - low));
    for (vaddr_t va = low; va < high; va += PAGE_BYTES)
        look_ahead(self, va);
    look_ahead_elsewhere(self, touched);
}

static void flush_range(const struct host_cpu *cpu, unsigned asid, vaddr_t va, size_t pages)
{
    uint64_t first = va >> PAGE_SHIFT;

    drop_range(cpu, BANK_USER, asid, first, pages);
    drop_range(cpu, BANK_KMAP, asid, first, pages);
    drop_range(cpu, BANK_WALK, asid, va >> WALK_SHIFT,
               ((first + pages - 1) >> HAL_PT_INDEX_BITS) - (va >> WALK_SHIFT) + 1);
}

void host_tlb_flush(const struct host_cpu *cpu, unsigned asid, vaddr_t va, size_t pages)
{
    struct tlb *tlb = tlb_of(cpu);
    bool is_all = pages == HAL_TLB_ALL_PAGES;

    if (pages == 0)
        return;
    if (is_all)
        drop_all(cpu, asid);
    else
        flush_range(cpu, asid, va, pages);
    /* It goes on running, on its stack. */
    if (is_all || (cpu->stack.base < va + pages * PAGE_BYTES && va < cpu->stack.base + cpu->stack.bytes))
        host_tlb_stand(cpu);
    /* Who flushes before the tables have changed may have the old entry again at once. */
    if (!tlb->is_at_work || chance(cpu, va) % AHEAD_ONE_IN != 0)
        return;
    if (!is_all)
        look_ahead(cpu, va + chance(cpu, va + 1) % pages * PAGE_BYTES);
    else if (tlb->last_user != 0)
        look_ahead(cpu, tlb->last_user);
}

/* ---- The core gives pages back ---- */

static void entry_gone(const struct host_cpu *cpu, enum bank bank, struct entry *entry)
{
    bool is_walk = bank == BANK_WALK;

    if (tlbs.must_forget != NULL && !cpumask_contains(tlbs.must_forget, cpu->id))
        return;
    if (is_global(entry) || entry->asid == cpu->asid)
        host_fail("stale TLB entry: CPU %u still %s %#llx %s page %#llx, which is freed", cpu->id,
                  is_walk ? "walks for" : "translates",
                  (unsigned long long)(entry->number - 1) << (is_walk ? WALK_SHIFT : PAGE_SHIFT),
                  is_walk ? "through the table in" : "to", (unsigned long long)paddr_of(entry->frame));
    tag_of(cpu, entry->asid)->poisoned += !entry->is_poisoned;
    entry->is_poisoned = true;
}

/* Somebody holds it: under an id that is in use, and the run ends; or under others, and those entries are poisoned. */
static void frame_gone(uint32_t frame)
{
    for (cpu_id_t id = 0; id < host.config.cpus; id++) {
        struct tlb *tlb = &tlbs.of[id];

        if (tlb->has_root && tlb->root_frame == frame)
            host_fail("stale TLB entry: CPU %u has the tables at %#llx in use, and that page is freed", id,
                      (unsigned long long)paddr_of(frame));
        for (unsigned bank = 0; bank < BANK_COUNT; bank++) {
            unsigned sets = tlb->used[bank] != 0 ? banks[bank].sets : 0;

            for (unsigned at = 0; at < sets * WAYS; at++) {
                struct entry *entry = &tlb->set[banks[bank].first + at / WAYS][at % WAYS];

                if (entry->number != 0 && entry->frame == frame)
                    entry_gone(&host_cpus[id], (enum bank)bank, entry);
            }
        }
    }
}

void host_tlb_must_forget(const struct cpumask *cpus)
{
    tlbs.must_forget = cpus;
}

void host_tlb_require_gone(paddr_t block, size_t bytes)
{
    if (tlbs.holders == NULL)
        return;
    host_icache_gone(block, bytes);
    for (paddr_t pa = ROUND_DOWN(block, PAGE_BYTES); pa < block + bytes; pa += PAGE_BYTES) {
        uint64_t frame = (pa - tlbs.base) >> PAGE_SHIFT;

        if (frame < tlbs.frames && UNLIKELY(tlbs.holders[frame] != 0))
            frame_gone((uint32_t)frame);
    }
}

/* ---- Programs ---- */

static void *byte_at(uint32_t frame, vaddr_t va)
{
    return host_memory_at(paddr_of(frame) + va % PAGE_BYTES);
}

void *host_tlb_user(vaddr_t va, unsigned want, bool *out_is_present)
{
    host_point_atomic(NULL);
    const struct host_cpu *self = host_self();
    uint64_t number = va >> PAGE_SHIFT;
    struct host_walk found;

    HOST_REQUIRE(host.is_running, "user memory without a machine");
    *out_is_present = false;
    if (self->root == 0 || va >= HOST_ADDRESS_BASE)
        return NULL;
    struct entry *entry = find(self, BANK_USER, number);

    tlb_of(self)->last_user = va;
    if (entry != NULL && chance(self, va) % FORGET_ONE_IN == 0) {
        drop(self, BANK_USER, entry);
        entry = NULL;
    }
    if (entry != NULL) {
        *out_is_present = true;
        return (entry->prot & want) == want ? byte_at(entry->frame, va) : NULL;
    }
    if (!walk(self, va, &found))
        return NULL;
    *out_is_present = true;
    if ((found.prot & want) != want)
        return NULL;
    host_icache_require(self, va, found.pa, found.prot);
    put(self, BANK_USER, number, found.pa, found.prot);
    if (tlb_of(self)->is_at_work && chance(self, number) % AHEAD_ONE_IN == 0)
        look_ahead(self, va + PAGE_BYTES);
    return byte_at(frame_of(found.pa), va);
}

static uint64_t *user_word(vaddr_t va, unsigned want)
{
    bool unused;

    return IS_ALIGNED(va, sizeof(uint64_t)) ? host_tlb_user(va, want, &unused) : NULL;
}

bool host_user_load(vaddr_t va, uint64_t *out)
{
    uint64_t *word = user_word(va, PROT_USER);

    if (word != NULL)
        *out = __atomic_load_n(word, __ATOMIC_RELAXED);
    return word != NULL;
}

bool host_user_store(vaddr_t va, uint64_t value)
{
    uint64_t *word = user_word(va, PROT_USER | PROT_WRITE);

    if (word != NULL)
        __atomic_store_n(word, value, __ATOMIC_RELAXED);
    return word != NULL;
}
