/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU's TCG that measures how many instructions a CPU executes while it holds a run-queue lock, on the
 * unchanged release image. A clock cannot: under -icount it counts the instructions of all virtual CPUs, which take
 * turns, also in the middle of a hold. Here each virtual CPU has a count of its own.
 *
 * Which words are the locks it learns from one function that takes all of them (sched_census_get): a cache-aligned word
 * that is stored to there just after it was read. From then on a store to a free lock takes it, a store by its holder
 * frees it, and a store by somebody else is an attempt that failed. From such an attempt until the CPU has that lock it
 * waits; that is not counted to what else it holds meanwhile.
 *
 * Arguments: begin=ADDRESS,end=ADDRESS of that function, out=FILE, and from=ADDRESS: instructions below, those of
 * firmware, are not counted. At exit the file has a line "locks N", and for each
 * pair of places "hold INSTRUCTIONS TIMES TAKEN-AT FREED-AT", the longest one of that pair, in no order, with the
 * blocks of code that it passed through, each " PC+INSTRUCTIONS".
 * QEMU must run all virtual CPUs in one thread (-icount). The declarations are those of qemu-plugin.h, version 1 of the
 * interface.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
enum { NO_REGISTERS = 0, ADD_U64 = 0, READS_AND_WRITES = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*fn)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*fn)(unsigned, void *), int flags,
                                                 void *arg);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *word, uint64_t by);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                             void (*fn)(unsigned, uint32_t, uint64_t, void *), int flags, int rw,
                                             void *arg);
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*fn)(plugin_id, void *), void *arg);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern bool qemu_plugin_mem_is_store(uint32_t info);

EXPORT int qemu_plugin_version = 1;

#define CPUS_MAX 64u
#define PLACES_MAX 4096u
#define LOCK_ALIGNMENT 64u
#define PATH_MAX_BLOCKS 1024u

struct vcpu {
    uint64_t executed; /* up to when it had its last turn */
    uint64_t last_read; /* in the function that takes all locks */
    struct lock *wanted; /* an attempt has failed, and nothing else has happened since */
    uint64_t wanted_since;
    unsigned held, path_length;
    const struct block *path[PATH_MAX_BLOCKS]; /* since it holds some lock */
};

struct block {
    uint64_t pc;
    unsigned instructions;
};

struct lock {
    uint64_t address;
    struct vcpu *holder;
    uint64_t taken_at_pc, taken_at;
    uint64_t waited; /* for other locks */
    unsigned path_begin;
};

struct place {
    uint64_t taken_pc, freed_pc;
    uint64_t longest, times;
    unsigned path_length;
    const struct block **path; /* of the longest one */
};

static uint64_t executed; /* by all */
static uint64_t turn_began;
static struct vcpu *running;
static struct vcpu vcpus[CPUS_MAX];
static struct lock locks[CPUS_MAX];
static unsigned lock_count;
static uint64_t lowest = UINT64_MAX, highest;
static struct place places[PLACES_MAX];
static unsigned place_count;
static uint64_t begin, end, counted_from;
static const char *out_name;

static void die(const char *why)
{
    fprintf(stderr, "hold plugin: %s\n", why);
    exit(1);
}

static void block_runs(unsigned cpu, void *arg)
{
    struct vcpu *self = &vcpus[cpu];

    if (self->held != 0 && self->path_length < PATH_MAX_BLOCKS)
        self->path[self->path_length++] = arg;
    if (running == self)
        return;
    if (running != NULL)
        running->executed += executed - turn_began;
    turn_began = executed;
    running = self;
}

static uint64_t now(void)
{
    return running->executed + (executed - turn_began);
}

static struct lock *find(uint64_t address)
{
    for (unsigned i = 0; i < lock_count; i++)
        if (locks[i].address == address)
            return &locks[i];
    return NULL;
}

static struct lock *learn(uint64_t address)
{
    if (lock_count == CPUS_MAX)
        die("too many locks");
    struct lock *lock = &locks[lock_count++];

    lock->address = address;
    lowest = address < lowest ? address : lowest;
    highest = address > highest ? address : highest;
    return lock;
}

static void note(const struct vcpu *cpu, const struct lock *lock, uint64_t freed_pc, uint64_t length)
{
    uint64_t taken_pc = lock->taken_at_pc;
    struct place *place = places;

    while (place < places + place_count && (place->taken_pc != taken_pc || place->freed_pc != freed_pc))
        place++;
    if (place == places + PLACES_MAX)
        die("too many places");
    if (place == places + place_count)
        places[place_count++] = (struct place){ .taken_pc = taken_pc, .freed_pc = freed_pc };
    place->times++;
    if (length <= place->longest)
        return;
    place->longest = length;
    place->path_length = cpu->path_length - lock->path_begin;
    place->path = realloc(place->path, (place->path_length + 1) * sizeof(*place->path));
    memcpy(place->path, cpu->path + lock->path_begin, place->path_length * sizeof(*place->path));
}

static void take(struct vcpu *cpu, struct lock *lock, uint64_t pc)
{
    if (cpu->wanted == lock)
        for (unsigned i = 0; i < lock_count; i++)
            if (locks[i].holder == cpu)
                locks[i].waited += now() - cpu->wanted_since;
    cpu->wanted = NULL;
    lock->holder = cpu;
    lock->taken_at_pc = pc;
    lock->taken_at = now();
    lock->waited = 0;
    if (cpu->held++ == 0)
        cpu->path_length = 0;
    lock->path_begin = cpu->path_length;
}

static void lock_stored(struct vcpu *cpu, struct lock *lock, uint64_t pc)
{
    if (lock->holder == NULL) {
        take(cpu, lock, pc);
    } else if (lock->holder == cpu) {
        note(cpu, lock, pc, now() - lock->taken_at - lock->waited);
        cpu->held--;
        lock->holder = NULL;
        cpu->wanted = NULL;
    } else if (cpu->wanted != lock) {
        cpu->wanted = lock;
        cpu->wanted_since = now();
    }
}

static void accessed(unsigned index, uint32_t info, uint64_t address, void *arg)
{
    uint64_t pc = (uint64_t)(uintptr_t)arg;
    struct vcpu *cpu = &vcpus[index];
    bool is_store = qemu_plugin_mem_is_store(info);

    if (is_store && address >= lowest && address <= highest) {
        struct lock *lock = find(address);

        if (lock != NULL) {
            lock_stored(cpu, lock, pc);
            return;
        }
    }
    if (pc < begin || pc >= end)
        return;
    if (!is_store)
        cpu->last_read = address;
    else if (address == cpu->last_read && address % LOCK_ALIGNMENT == 0 && find(address) == NULL)
        lock_stored(cpu, learn(address), pc);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(tb);

    struct block *block = malloc(sizeof *block); /* for as long as QEMU may run it: for ever */

    block->pc = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    block->instructions = (unsigned)count;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs, NO_REGISTERS, block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t pc = qemu_plugin_insn_vaddr(insn);
        bool is_teacher = pc >= begin && pc < end;

        if (pc >= counted_from)
            qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &executed, 1);
        qemu_plugin_register_vcpu_mem_cb(insn, accessed, NO_REGISTERS, is_teacher ? READS_AND_WRITES : 2,
                                         (void *)(uintptr_t)pc);
    }
}

static void leave(plugin_id id, void *arg)
{
    (void)id;
    (void)arg;
    FILE *out = fopen(out_name, "w");

    if (out == NULL)
        die("cannot write the results");
    fprintf(out, "locks %u\n", lock_count);
    for (unsigned i = 0; i < place_count; i++) {
        fprintf(out, "hold %" PRIu64 " %" PRIu64 " %" PRIx64 " %" PRIx64, places[i].longest, places[i].times,
                places[i].taken_pc, places[i].freed_pc);
        for (unsigned step = 0; step < places[i].path_length; step++)
            fprintf(out, " %" PRIx64 "+%u", places[i].path[step]->pc, places[i].path[step]->instructions);
        fputc('\n', out);
    }
    fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "begin=", 6) == 0)
            begin = strtoull(argv[i] + 6, NULL, 0);
        else if (strncmp(argv[i], "end=", 4) == 0)
            end = strtoull(argv[i] + 4, NULL, 0);
        else if (strncmp(argv[i], "from=", 5) == 0)
            counted_from = strtoull(argv[i] + 5, NULL, 0);
        else if (strncmp(argv[i], "out=", 4) == 0)
            out_name = strdup(argv[i] + 4);
        else
            return -1;
    }
    if (begin >= end || out_name == NULL)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, leave, NULL);
    return 0;
}
