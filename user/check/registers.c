/* SPDX-License-Identifier: MIT */
/* Floating-point and vector registers stay a thread's own: whoever else runs, and whatever a signal handler does. */
#include "check.h"
#include "registers.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

#define THREADS_MAX 16
#define SPINS 1000000ul
#define PREEMPTIONS 3u
#define MOVES 8
/* In a row, without a use of the registers: a kernel that waits for one finds them unused when the handler returns. */
#define IDLE_TURNS 48
#define HANG_SECONDS 60 /* a hang detector for each file */
#define SECRET UINT64_C(0x5ec4e75ec4e75ec4)

static const struct registers *file; /* that is checked */
static size_t bytes;

static void fill(uint8_t *to, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(seed * 37 + i * 11 + i / 256 * 5 + 1);
    file->fit(to);
}

static void be_equal(const uint8_t *is, const uint8_t *wanted)
{
    for (size_t i = 0; i < bytes; i++)
        if (is[i] != wanted[i])
            check_failed(__FILE__, __LINE__, "%s: byte %zu is %#x, not %#x", file->name, i, is[i], wanted[i]);
}

/* ---- Threads ---- */

struct holder {
    pthread_t thread;
    unsigned index, cpu;
    volatile int tid;
    volatile unsigned rounds, preempted;
    struct holder *peer; /* on the same CPU */
};

static struct holder holders[THREADS_MAX];
static volatile int is_over, no;

static void pin(int tid, unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    TRUE(sched_setaffinity(tid, sizeof set, &set) == 0);
}

/* If the other thread of this CPU went on while this one held its registers, they have been saved and loaded. */
static void *hold_on(void *arg)
{
    static __thread uint8_t from[REGISTER_BYTES_MAX], to[REGISTER_BYTES_MAX];
    struct holder *self = arg;

    pin(0, self->cpu);
    self->tid = (int)syscall(SYS_gettid);
    while (!is_over) {
        unsigned others = self->peer->rounds;

        fill(from, self->index * 1000 + self->rounds);
        if (!file->hold(from, to, SPINS, &no))
            check_failed(__FILE__, __LINE__, "%s: a control register is lost", file->name);
        be_equal(to, from);
        self->rounds++;
        if (self->peer->rounds != others)
            self->preempted++;
    }
    return NULL;
}

static bool all_were_preempted(void *arg)
{
    unsigned count = *(unsigned *)arg;

    for (unsigned i = 0; i < count; i++)
        if (holders[i].preempted < PREEMPTIONS)
            return false;
    return true;
}

static unsigned own_cpus(unsigned *cpus)
{
    cpu_set_t set;
    unsigned count = 0;

    TRUE(sched_getaffinity(0, sizeof set, &set) == 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && count < THREADS_MAX / 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[count++] = cpu;
    return count;
}

static bool went_on(void *arg)
{
    struct holder *holder = ((void **)arg)[0];

    return holder->rounds >= *(unsigned *)((void **)arg)[1];
}

static int hold_among_threads(void *arg)
{
    unsigned cpus[THREADS_MAX / 2], cpu_count = own_cpus(cpus), count = 2 * cpu_count;

    (void)arg;
    is_over = 0;
    for (unsigned i = 0; i < count; i++)
        holders[i] = (struct holder){.index = i, .cpu = cpus[i / 2], .peer = &holders[i ^ 1]};
    for (unsigned i = 0; i < count; i++)
        TRUE(pthread_create(&holders[i].thread, NULL, hold_on, &holders[i]) == 0);
    check_until(all_were_preempted, &count);
    for (unsigned move = 0; move < MOVES && cpu_count > 1; move++) {
        struct holder *moved = &holders[move % count];
        unsigned until = moved->rounds + 1;
        void *wait[] = {moved, &until};

        pin(moved->tid, cpus[(move / count + move + 1) % cpu_count]);
        check_until(went_on, wait);
    }
    is_over = 1;
    for (unsigned i = 0; i < count; i++)
        TRUE(pthread_join(holders[i].thread, NULL) == 0);
    return 0;
}

static void for_each_file(int (*body)(void *), void *arg)
{
    unsigned checked = 0;

    for (size_t i = 0; i < register_file_count; i++) {
        file = &register_files[i];
        bytes = file->bytes();
        TRUE(bytes <= REGISTER_BYTES_MAX);
        if (bytes == 0)
            continue;
        printf("registers: %s, %zu bytes\n", file->name, bytes);
        fflush(stdout);
        alarm(HANG_SECONDS);
        check_child(body, arg);
        checked++;
    }
    TRUE(checked > 0);
}

CHECK(registers, survive_preemption)
{
    for_each_file(hold_among_threads, NULL);
}

/* ---- Signals ---- */

static volatile int was_handled, idle_turns;
static uint8_t held[REGISTER_BYTES_MAX], seen[REGISTER_BYTES_MAX], others[REGISTER_BYTES_MAX];
static size_t changed_at;

/* Loses all registers, and changes one byte of what they will be. */
static void on_signal(int number, siginfo_t *info, void *context)
{
    static uint8_t mine[REGISTER_BYTES_MAX], to[REGISTER_BYTES_MAX];
    struct timespec pause = {0, 1000};
    uint8_t *in_frame = file->in_frame(context);

    (void)number;
    (void)info;
    if (was_handled != 0) /* one that came close behind: the registers may have been stored already */
        return;
    if (in_frame != NULL) {
        memcpy(others, in_frame, bytes);
        if (file->change != NULL)
            file->change(context, changed_at);
        else
            in_frame[changed_at] ^= 1;
    } else {
        memcpy(others, held, bytes);
    }
    fill(mine, 77);
    if (!file->hold(mine, to, 1, &no) || memcmp(mine, to, bytes) != 0)
        _exit(3);
    /* Once: the next signal comes meanwhile, and if each of them idled the program itself would never go on. */
    for (; idle_turns > 0; idle_turns--)
        syscall(SYS_nanosleep, &pause, NULL);
    was_handled = 1 + (in_frame != NULL);
}

static int send(void *arg)
{
    struct timespec pause = {0, 1000000};

    (void)arg;
    for (;;) { /* until the parent is gone */
        nanosleep(&pause, NULL);
        kill(getppid(), SIGUSR1);
    }
    return 0;
}

static int hold_over_signals(void *arg)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    (void)arg;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    fill(held, 5);
    GOOD(sigaction(SIGUSR1, &action, NULL));
    int child = check_fork(send, NULL);

    for (unsigned handled = 0; handled < 5;) {
        was_handled = 0;
        changed_at = handled * (bytes / 6);
        idle_turns = handled == 4 ? IDLE_TURNS : 0;
        if (!file->hold(held, seen, SPINS, &was_handled))
            check_failed(__FILE__, __LINE__, "%s: a control register is lost in a handler", file->name);
        /* One that came before or after the registers were held shows in no frame. */
        if (was_handled == 0 || memcmp(others, held, bytes) != 0)
            continue;
        if (was_handled == 2)
            seen[changed_at] ^= 1;
        be_equal(seen, held);
        handled++;
    }
    if (was_handled == 2)
        printf("registers: %s, by way of the frame, too\n", file->name);
    fflush(stdout);
    action.sa_flags = 0;
    action.sa_handler = SIG_IGN;
    GOOD(sigaction(SIGUSR1, &action, NULL));
    GOOD(kill(child, SIGKILL));
    (void)check_wait(child);
    return 0;
}

CHECK(registers, survive_a_handler)
{
    for_each_file(hold_over_signals, NULL);
}

/* ---- What others left ---- */

static int keep_secret(void *arg)
{
    uint64_t secret = SECRET;

    (void)arg;
    for (size_t i = 0; i < bytes; i += sizeof secret)
        memcpy(held + i, &secret, MIN(sizeof secret, bytes - i));
    file->fit(held);
    for (;;)
        (void)file->hold(held, seen, 100 * SPINS, &no);
    return 0;
}

/* Called in a program that has just begun, by its first lines. */
int registers_have_no_secret(void)
{
    for (unsigned round = 0; round < 200; round++) {
        for (size_t i = 0; i < register_file_count; i++) {
            uint64_t word;

            if (register_files[i].bytes() == 0)
                continue;
            register_files[i].store(seen);
            for (size_t at = 0; at + sizeof word <= register_files[i].bytes(); at += sizeof word) {
                memcpy(&word, seen + at, sizeof word);
                if (word == SECRET)
                    return 1;
            }
        }
        sched_yield();
    }
    return 0;
}

/* The program that this one becomes had the secret itself a moment before. */
static int begin_anew(void *arg)
{
    char *argv[] = {"check", "--as", "registers", NULL}, *environment[] = {NULL};
    uint64_t secret = SECRET;

    (void)arg;
    for (size_t i = 0; i < bytes; i += sizeof secret)
        memcpy(held + i, &secret, MIN(sizeof secret, bytes - i));
    file->fit(held);
    (void)file->hold(held, seen, 1, &no);
    syscall(SYS_execve, check_program, argv, environment);
    if (errno == ENOEXEC)
        check_skip("an emulator that runs no programs of its own kind");
    return 80;
}

static int look_for_secrets(void *arg)
{
    unsigned cpus[THREADS_MAX / 2], count = own_cpus(cpus);
    int keepers[THREADS_MAX / 2];

    (void)arg;
    for (unsigned i = 0; i < count; i++)
        keepers[i] = check_fork(keep_secret, NULL);
    for (unsigned i = 0; i < 4; i++)
        check_child(begin_anew, NULL);
    for (unsigned i = 0; i < count; i++) {
        GOOD(kill(keepers[i], SIGKILL));
        EQUAL(check_wait(keepers[i]), SIGKILL);
    }
    return 0;
}

CHECK(registers, are_nobody_elses)
{
    for_each_file(look_for_secrets, NULL);
}
