/* SPDX-License-Identifier: MIT */
/* See fuzz.h. Owns the guarded pages and the place in the run that a failure report names. One thread, no lock. */
#define _GNU_SOURCE
#include "fuzz.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <k/panic.h>

#define GUARDS 2
#define HANG_SECONDS 20
#define ALARM_EVERY 1024
#define HEADER_BYTES 48 /* where inputs keep their largest numbers, more or less */

static struct {
    const char *name;
    uint64_t seed, iteration;
    uint8_t *guard[GUARDS]; /* FUZZ_BYTES_MAX readable bytes between two pages that are not */
} state;

uint64_t fuzz_random_next(struct fuzz_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t fuzz_random_below(struct fuzz_random *random, size_t bound)
{
    return (size_t)(fuzz_random_next(random) % bound);
}

uint8_t *fuzz_guarded(unsigned which, size_t bytes, bool at_start)
{
    FUZZ_CHECK(which < GUARDS && bytes <= FUZZ_BYTES_MAX);
    return at_start ? state.guard[which] : state.guard[which] + FUZZ_BYTES_MAX - bytes;
}

/* Also called from signal handlers and sanitizers: snprintf() into a buffer, then write(). */
static void report(void)
{
    char text[160];
    int length = snprintf(text, sizeof(text), "fuzz_%s failed; again: --seed %llu --first %llu --iterations 1\n",
                          state.name, (unsigned long long)state.seed, (unsigned long long)state.iteration);

    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(1);
}

void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s does not hold\n", file, line, condition);
    report();
    _exit(1);
}

/* An assertion of the code under test: damaged input must never reach one. */
void panic_assert(const char *condition, const char *file, int line)
{
    fuzz_fail(condition, file, line);
}

static void on_signal(int number)
{
    report();
    if (number == SIGALRM)
        _exit(1);
    raise(number); /* the handler is gone (SA_RESETHAND): die of it */
}

/* Of the sanitizer's run-time library, if it is linked. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void prepare(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    for (int i = 0; i < GUARDS; i++) {
        uint8_t *base = mmap(NULL, FUZZ_BYTES_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (base == MAP_FAILED || mprotect(base + page, FUZZ_BYTES_MAX, PROT_READ | PROT_WRITE) != 0)
            abort();
        state.guard[i] = base + page;
    }
    if (FUZZ_BYTES_MAX % page != 0)
        abort(); /* the end would not be guarded */
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(report);
    } else {
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
    }
    sigaction(SIGALRM, &action, NULL);
}

/* Numbers at which length and offset checks tend to go wrong. */
static uint64_t interesting(struct fuzz_random *random, size_t bytes)
{
    static const uint64_t fixed[] = {0, 1, 2, 3, 4, 7, 8, 16, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
                                     0x80000000, 0xfffffff8, 0xfffffffc, 0xfffffffe, 0xffffffff, UINT64_MAX};
    size_t choice = fuzz_random_below(random, 3);

    if (choice == 0)
        return fixed[fuzz_random_below(random, sizeof(fixed) / sizeof(fixed[0]))];
    if (choice == 1) /* about the input's own size */
        return bytes + fuzz_random_below(random, 32) - 16;
    return fuzz_random_below(random, bytes + 1);
}

static void edit_field(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    size_t width = (size_t)1 << fuzz_random_below(random, 4);
    bool big_endian = fuzz_random_below(random, 2) != 0;
    uint64_t value = interesting(random, bytes);
    size_t at;

    if (bytes < width)
        return;
    at = fuzz_random_below(random, bytes - width + 1);
    if (fuzz_random_below(random, 2) != 0)
        at %= HEADER_BYTES; /* the offsets and sizes of the whole stand there */
    at &= ~(width - 1);
    for (size_t i = 0; i < width; i++)
        data[at + i] = (uint8_t)(value >> (8 * (big_endian ? width - 1 - i : i)));
}

/* Move, repeat, delete or overwrite a piece. Returns the new size. */
static size_t splice(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    size_t from, to, count;

    if (bytes < 8)
        return bytes;
    from = fuzz_random_below(random, bytes);
    to = fuzz_random_below(random, bytes);
    if (fuzz_random_below(random, 2) != 0) { /* whole words, as both formats have them */
        from &= ~(size_t)3;
        to &= ~(size_t)3;
    }
    count = 1 + fuzz_random_below(random, bytes - from < 64 ? bytes - from : 64);
    switch (fuzz_random_below(random, 3)) {
    case 0: /* overwrite */
        count = to + count > bytes ? bytes - to : count;
        memmove(data + to, data + from, count);
        return bytes;
    case 1: /* delete */
        memmove(data + from, data + from + count, bytes - from - count);
        return bytes - count;
    default: { /* insert a copy */
        uint8_t piece[64];

        if (bytes + count > FUZZ_BYTES_MAX)
            return bytes;
        memcpy(piece, data + from, count);
        memmove(data + to + count, data + to, bytes - to);
        memcpy(data + to, piece, count);
        return bytes + count;
    }
    }
}

static size_t mutate(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    switch (fuzz_random_below(random, 8)) {
    case 0:
    case 1:
        if (bytes > 0)
            data[fuzz_random_below(random, bytes)] ^= (uint8_t)(1u << fuzz_random_below(random, 8));
        return bytes;
    case 2:
        if (bytes > 0)
            data[fuzz_random_below(random, bytes)] = (uint8_t)fuzz_random_next(random);
        return bytes;
    case 3:
        return fuzz_random_below(random, bytes + 1); /* truncate */
    case 4:
        return splice(random, data, bytes);
    default:
        edit_field(random, data, bytes);
        return bytes;
    }
}

static bool run_one(const struct fuzz_target *target)
{
    static uint8_t data[FUZZ_BYTES_MAX];
    struct fuzz_random random = {state.seed * UINT64_C(0x2545f4914f6cdd1d) + state.iteration};
    size_t bytes = target->make(&random, data);
    uint8_t *place;

    /* One damage most of the time, more with falling probability, none in one case of 16. */
    if (fuzz_random_below(&random, 16) != 0) {
        do {
            bytes = mutate(&random, data, bytes);
        } while (fuzz_random_below(&random, 2) != 0);
        bytes = target->repair(&random, data, bytes);
    }
    place = fuzz_guarded(0, bytes, fuzz_random_below(&random, 4) == 0);
    memcpy(place, data, bytes);
    return target->run(place, bytes);
}

static uint64_t number_argument(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 0);

    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return number;
}

int fuzz_main(const struct fuzz_target *target, int argc, char **argv)
{
    uint64_t iterations = 100000, first = 0, accepted = 0;

    state.name = target->name;
    state.seed = 1;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--iterations") == 0) {
            iterations = number_argument(argv[i + 1]);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            state.seed = number_argument(argv[i + 1]);
        } else if (i + 1 < argc && strcmp(argv[i], "--first") == 0) {
            first = number_argument(argv[i + 1]);
        } else {
            fprintf(stderr, "usage: %s [--iterations N] [--seed S] [--first I]\n", argv[0]);
            return 2;
        }
    }
    prepare();
    for (uint64_t i = 0; i < iterations; i++) {
        state.iteration = first + i;
        if (i % ALARM_EVERY == 0)
            alarm(HANG_SECONDS);
        accepted += run_one(target);
    }
    printf("fuzz_%s: seed %llu, %llu inputs, %llu accepted\n", target->name, (unsigned long long)state.seed,
           (unsigned long long)iterations, (unsigned long long)accepted);
    /* A fuzzer whose inputs all take one way tests nothing. */
    if (iterations >= 1000 && (accepted < iterations / 50 || accepted > iterations - iterations / 50)) {
        fprintf(stderr, "too few inputs were %s\n", accepted < iterations / 50 ? "accepted" : "refused");
        return 1;
    }
    return 0;
}
