/* SPDX-License-Identifier: MIT */
/*
 * Threads at a mutex and a condition, forks that end in all ways, real-time signals that are counted, bytes through
 * pipes, pages mapped and cut: all at once in some processes. Each round's sums are known, and compared.
 */
#include "stress.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MUST(condition)                                                                  \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            printf("stress: %s:%d: %s: %m\n", __FILE__, __LINE__, #condition);           \
            fflush(stdout);                                                              \
            _exit(1);                                                                    \
        }                                                                                \
    } while (0)

#define THREADS 4
#define TURNS 50
#define BYTES 100000
#define SIGNALS 20
#define PAGES 32

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned turn;

static void *take_turns(void *place)
{
    for (unsigned i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != (unsigned)(size_t)place)
            pthread_cond_wait(&turned, &mutex);
        turn++;
        pthread_cond_broadcast(&turned);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t thread[THREADS];

    turn = 0;
    for (size_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&thread[i], NULL, take_turns, (void *)i) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        MUST(pthread_join(thread[i], NULL) == 0);
    MUST(turn == THREADS * TURNS);
}

static void forks(void)
{
    for (int i = 0; i < 6; i++) {
        int status = 0;
        pid_t child = fork();

        MUST(child >= 0);
        if (child == 0) {
            if (i % 3 == 0)
                _exit(i);
            if (i % 3 == 1)
                for (;;)
                    pause();
            raise(SIGKILL);
        }
        if (i % 3 == 1)
            MUST(kill(child, SIGTERM) == 0);
        MUST(waitpid(child, &status, 0) == child);
        MUST(i % 3 == 0 ? WIFEXITED(status) && WEXITSTATUS(status) == i
                        : WIFSIGNALED(status) && WTERMSIG(status) == (i % 3 == 1 ? SIGTERM : SIGKILL));
    }
}

static volatile sig_atomic_t signals_seen, sum_seen;

static void note(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    signals_seen++;
    sum_seen += info->si_value.sival_int;
}

static void signals(void)
{
    struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
    sigset_t blocked, before;
    pid_t self = getpid();

    signals_seen = sum_seen = 0;
    MUST(sigaction(SIGRTMIN, &action, NULL) == 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGRTMIN);
    MUST(sigprocmask(SIG_BLOCK, &blocked, &before) == 0);
    pid_t child = fork();

    MUST(child >= 0);
    if (child == 0) {
        for (int i = 1; i <= SIGNALS; i++)
            MUST(sigqueue(self, SIGRTMIN, (union sigval){ .sival_int = i }) == 0);
        _exit(0);
    }
    while (signals_seen < SIGNALS)
        sigsuspend(&before);
    MUST(sigprocmask(SIG_SETMASK, &before, NULL) == 0);
    MUST(waitpid(child, NULL, 0) == child && sum_seen == SIGNALS * (SIGNALS + 1) / 2);
}

static void pipes(void)
{
    unsigned char bytes[1000];
    unsigned long sum = 0, expected = 0;
    int ends[2];

    MUST(pipe(ends) == 0);
    pid_t child = fork();

    MUST(child >= 0);
    if (child == 0) {
        close(ends[0]);
        for (unsigned i = 0; i < BYTES / sizeof bytes; i++) {
            memset(bytes, (int)(i % 251), sizeof bytes);
            for (size_t done = 0; done < sizeof bytes;) {
                ssize_t count = write(ends[1], bytes + done, sizeof bytes - done);

                MUST(count > 0);
                done += (size_t)count;
            }
        }
        _exit(0);
    }
    close(ends[1]);
    for (unsigned i = 0; i < BYTES / sizeof bytes; i++)
        expected += i % 251 * sizeof bytes;
    for (ssize_t count; (count = read(ends[0], bytes, sizeof bytes)) != 0;) {
        MUST(count > 0);
        for (ssize_t i = 0; i < count; i++)
            sum += bytes[i];
    }
    close(ends[0]);
    MUST(waitpid(child, NULL, 0) == child && sum == expected);
}

static void pages(void)
{
    size_t size = 4096;
    unsigned char *area = mmap(NULL, PAGES * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    MUST(area != MAP_FAILED);
    for (unsigned i = 0; i < PAGES; i++)
        area[i * size] = (unsigned char)i;
    for (unsigned i = 1; i < PAGES; i += 4)
        MUST(munmap(area + i * size, size) == 0 && mprotect(area + (i + 1) * size, size, PROT_READ) == 0);
    pid_t child = fork();

    MUST(child >= 0);
    for (unsigned i = 0; i < PAGES; i += 2)
        MUST(area[i * size] == i);
    for (unsigned i = 0; i < PAGES; i += 4)
        area[i * size]++; /* copied for one of both */
    if (child == 0)
        _exit(0);
    MUST(waitpid(child, NULL, 0) == child && munmap(area, PAGES * size) == 0);
}

int run_all(unsigned rounds, unsigned workers)
{
    int failed = 0;

    fflush(stdout);
    for (unsigned i = 0; i < workers; i++) {
        pid_t child = fork();

        MUST(child >= 0);
        if (child != 0)
            continue;
        for (unsigned round = 0; round < rounds; round++) {
            threads();
            forks();
            signals();
            pipes();
            pages();
        }
        _exit(0);
    }
    for (unsigned i = 0; i < workers; i++) {
        int status = 0;

        MUST(wait(&status) > 0);
        failed += status != 0;
    }
    printf("stress: %s: %u rounds in each of %u processes, %d failed\n", failed == 0 ? "ok" : "FAILED", rounds, workers,
           failed);
    return failed != 0;
}
