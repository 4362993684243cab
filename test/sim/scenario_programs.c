/* SPDX-License-Identifier: MIT */
/*
 * What programs own and share: pairs of sockets, vector registers, memory when there is no more of it, and the division
 * of their time into the user's and the kernel's.
 */
#include "scenario.h"

#include "program.h"

#include "../../core/fs/fs_priv.h"

#include <fs/poll.h>
#include <fs/socket.h>
#include <hal/irq.h>
#include <mm/phys.h>
#include <proc/signo.h>

/* ---- socket-close ---- */

#define USERS 4u
#define PIECE_BYTES_MAX 1024u

static struct {
    struct sim_line line;
    struct file *end[2];
} sockets;

static int64_t transfer(int64_t (*how)(struct file *, struct io_span *), struct file *file, size_t bytes)
{
    char buffer[PIECE_BYTES_MAX] = { 0 };
    struct io_span span;

    io_span_kernel(&span, buffer, bytes);
    return how(file, &span);
}

static int send_all(void *file)
{
    int64_t sent;

    sim_line_wait(&sockets.line);
    do
        sent = transfer(file_write, file, 1 + sim_random_below(PIECE_BYTES_MAX));
    while (sent > 0);
    return sent == -EPIPE ? 0 : (int)sent;
}

static int receive_all(void *file)
{
    int64_t got;

    sim_line_wait(&sockets.line);
    while ((got = transfer(file_read, file, 1 + sim_random_below(PIECE_BYTES_MAX))) > 0)
        if (sim_chance(3))
            sim_delay();
    return (int)got;
}

static int poll_until_hung_up(void *file)
{
    struct poll_item item = { .file = file, .wanted = 0 };

    sim_line_wait(&sockets.line);
    return poll_wait_for(&item, 1, TIME_NEVER) == 1 && item.got == POLLHUP ? 0 : -EIO;
}

/* All work at end 1: who writes there until the pair is full, who reads, who polls. End 0 ends, or both directions. */
static void socket_close(void)
{
    static int (*const does[USERS])(void *) = { send_all, send_all, receive_all, poll_until_hung_up };

    for (unsigned round = sim_rounds(); round > 0; round--) {
        struct task *task[USERS], *drain = NULL;

        sim_line_init(&sockets.line);
        CHECK(socket_create_pair(0, sockets.end) == 0);
        bool is_drained = sim_chance(2);

        for (unsigned i = 0; i < USERS; i++)
            task[i] = spawn("user", does[i], sockets.end[1], sim_some_fair_priority(), NULL);
        if (is_drained)
            drain = spawn("drain", receive_all, sockets.end[0], sim_some_fair_priority(), NULL);
        sim_line_open(&sockets.line, USERS + is_drained);
        for (uint64_t pieces = sim_random_below(4); pieces > 0; pieces--)
            CHECK(transfer(file_write, sockets.end[0], 100) == 100);
        sim_nap(20 * NS_PER_US);
        if (is_drained)
            CHECK(socket_shutdown(sockets.end[sim_random_below(2)], SHUT_RDWR) == 0);
        else
            file_put(sockets.end[0]);
        CHECK(sim_finish_all(task, USERS) == 0);
        if (is_drained) {
            CHECK(finish(drain) == 0);
            file_put(sockets.end[0]);
        }
        file_put(sockets.end[1]);
    }
}

/* ---- vector-owners ---- */

#define OWNERS 3u
#define WORDS 4u

static void use_vector(uint64_t pattern)
{
    for (unsigned i = 0; i < WORDS; i++)
        host_vector_use(i, pattern + i);
}

static void expect_vector(uint64_t pattern)
{
    for (unsigned i = 0; i < WORDS; i++)
        CHECK(host_vector_peek(i) == (pattern == 0 ? 0 : pattern + i));
}

/* Whoever was made by a fork has none of its maker's, and all of the rest. */
static void own_vector(uintptr_t arg)
{
    bool is_child = arg == PROGRAM_FORK;
    uint64_t pattern = ((uint64_t)process_current()->pid << 32) + 1;

    CHECK(!host_vector_is_on());
    if (!is_child)
        host_fpu_use(3, pattern);
    uint64_t word = host_fpu_peek(3);

    expect_vector(0); /* the first use: the area comes, and what the unit holds of the other registers stays */
    CHECK(host_fpu_peek(3) == word && (is_child || word == pattern));
    for (unsigned i = 0; i < 3 * sim_rounds(); i++) {
        use_vector(pattern + 16 * i);
        (void)program_call("sched_yield");
        if (!is_child && sim_chance(4))
            CHECK(program_call("clone", PROGRAM_FORK) > 0);
        expect_vector(pattern + 16 * i);
    }
    while (program_call("wait4", -1UL, 0, 0) > 0)
        ;
    program_exit(0);
}

static void vector_owners(void)
{
    struct process *process[OWNERS];

    for (unsigned i = 0; i < OWNERS; i++)
        process[i] = program_start(own_vector, 0);
    for (unsigned i = 0; i < OWNERS; i++)
        CHECK(program_finish(process[i]) == 0);
}

/* ---- oom-one-victim ---- */

/* Its words are in the program's memory. */
static void sleep_for(uint64_t ns)
{
    program_store(PROGRAM_MEMORY, 0);
    program_store(PROGRAM_MEMORY + 8, ns);
    CHECK(program_call("nanosleep", PROGRAM_MEMORY, 0) == 0);
}

#define MODEST 2u
#define MODEST_PAGES 4u
#define MODEST_PAUSE_NS (50 * NS_PER_US) /* a hog may be on a slow CPU: leave it its steps */

static _Atomic(bool) is_enough;

#define PROT_READ_WRITE 3
#define MAP_PRIVATE_ANONYMOUS 0x22

/* 0: refused. */
static vaddr_t map(size_t pages)
{
    intptr_t result = program_call("mmap", 0, pages * PAGE_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1UL, 0);

    CHECK(result > 0 || result == -ENOMEM);
    return result > 0 ? (vaddr_t)result : 0;
}

static void touch_pages(vaddr_t va, size_t pages)
{
    for (size_t i = 0; i < pages; i++)
        program_store(va + i * PAGE_BYTES, 1);
}

static void hog(uintptr_t arg)
{
    (void)arg;
    for (;;) {
        vaddr_t va = map(32);

        if (va != 0)
            touch_pages(va, 32);
        else
            (void)program_call("sched_yield");
    }
}

/* Asks for little and gives it back, also while there is none. */
static void be_modest(uintptr_t arg)
{
    (void)arg;
    while (!load_relaxed(&is_enough)) {
        vaddr_t va = map(MODEST_PAGES);

        if (va != 0) {
            touch_pages(va, MODEST_PAGES);
            CHECK(program_call("munmap", va, MODEST_PAGES * PAGE_BYTES) == 0);
        }
        sleep_for(MODEST_PAUSE_NS);
    }
    program_exit(0);
}

#define LEFT_PAGES 800u /* for programs, whatever the machine has: enough for a hog to be the largest */

/* One hog after the other takes all, and is the one to go; whoever needs a page meanwhile waits for its end, and finds
 * what it had. */
static void oom_one_victim(void)
{
    struct process *modest[MODEST];
    struct phys_stats stats;
    paddr_t taken = 0;

    store_relaxed(&is_enough, false);
    for (unsigned i = 0; i < MODEST; i++)
        modest[i] = program_start(be_modest, 0);
    phys_stats_get(&stats);
    CHECK(sim_hoard(&taken, stats.reserve_pages + LEFT_PAGES) > 0);

    for (unsigned round = sim_rounds(); round > 0; round--)
        CHECK(program_finish(program_start(hog, 0)) == WAIT_STATUS_SIGNALED(SIGKILL));
    sim_give_back(taken);
    store_relaxed(&is_enough, true);
    for (unsigned i = 0; i < MODEST; i++)
        CHECK(program_finish(modest[i]) == 0);
}

/* ---- cputime-told ---- */

#define PIECE_NS (10 * NS_PER_MS) /* some samples */
#define USER_PIECES 2u
#define KERNEL_PIECES 10u
#define PAUSE_NS (30 * NS_PER_MS) /* longer than to the next sample, which finds an idle CPU */

static int64_t compute_and_read(struct file *file, struct io_span *to, uint64_t *position)
{
    (void)file;
    (void)to;
    (void)position;
    host_compute(PIECE_NS);
    return 0;
}

static const struct file_ops computing_ops = { .read = compute_and_read };
static struct file *computing; /* the program's, once it has taken it */

/* What no call would give it. */
static int take_file(struct file *file)
{
    uintptr_t state = hal_irq_save(); /* no interrupt finds a program with a lock */
    int fd = fd_add(thread_current()->user.files, file, 0, FD_INLINE, false);

    hal_irq_restore(state);
    return fd;
}

static uint64_t time_at(vaddr_t timeval)
{
    return program_load(timeval) * NS_PER_SEC + program_load(timeval + 8) * 1000;
}

/* First in user mode, then for most of its time in the kernel: so it is told in the end. */
static void compute_twice(uintptr_t pauses)
{
    int fd = take_file(computing);

    for (unsigned i = 0; i < USER_PIECES; i++)
        host_compute(PIECE_NS);
    if (pauses != 0)
        sleep_for(PAUSE_NS);
    for (unsigned i = 0; i < KERNEL_PIECES; i++)
        CHECK(program_call("read", (uintptr_t)fd, PROGRAM_MEMORY, 1) == 0);
    CHECK(program_call("getrusage", 0, PROGRAM_MEMORY) == 0);
    uint64_t user = time_at(PROGRAM_MEMORY), system = time_at(PROGRAM_MEMORY + 16);

    CHECK(system > user && user > system / 20);
    program_exit(0);
}

static void cputime_told(void)
{
    for (unsigned round = sim_rounds(); round > 0; round--) {
        CHECK(anon_file_create(&computing_ops, O_RDONLY, NULL, &computing) == 0);
        CHECK(program_finish(program_start(compute_twice, sim_chance(2))) == 0);
    }
}

const struct sim_scenario sim_scenarios_programs[] = {
    { .name = "socket-close", .aim = "somebody waits at one end of a pair, and does not hear that the other has ended",
      .cpus = 3, .cpus_min = 1, .rounds = 6, .run = socket_close },
    { .name = "vector-owners", .aim = "vector registers are given, kept and taken while their owners move and fork",
      .cpus = 3, .cpus_min = 1, .rounds = 3, .run = vector_owners },
    { .name = "oom-one-victim", .aim = "a second victim, or none, while the memory of the first is not back yet",
      .cpus = 3, .cpus_min = 1, .rounds = 2, .run = oom_one_victim },
    { .name = "cputime-told", .aim = "nobody looks any more in which mode a program runs",
      .cpus = 2, .cpus_min = 1, .rounds = 2, .run = cputime_told },
    { .name = NULL },
};
