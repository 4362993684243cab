/* SPDX-License-Identifier: MIT */
/* Takes one thing without end, until an error or a kill: memory, mappings, a file, pipes, streams, threads, forks. */
#define _GNU_SOURCE
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAM_CHILDREN 6 /* times half of the descriptors, times 64 KiB: more than the machine of the test has */

static char block[65536];

static int refused(const char *what, unsigned long count, int error)
{
    printf("stress: hog: %lu %s, then %s\n", count, what, strerror(error));
    fflush(stdout);
    return error == ENOMEM || error == EAGAIN || error == ENOSPC || error == EMFILE ? 0 : 1;
}

static int hog_memory(const char *path)
{
    (void)path;
    for (unsigned long count = 0;; count++) {
        char *piece = malloc(1 << 20);

        if (piece == NULL)
            return refused("MiB", count, errno);
        memset(piece, 1, 1 << 20);
    }
}

/* Pages with rights in turn, so that no two of them become one region. */
static int hog_maps(const char *path)
{
    (void)path;
    for (unsigned long count = 0;; count++) {
        char *page = mmap(NULL, 4096, count % 2 == 0 ? PROT_READ | PROT_WRITE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
                          -1, 0);

        if (page == MAP_FAILED)
            return refused("mappings", count, errno);
        if (count % 2 == 0)
            *page = 1;
    }
}

static int hog_file(const char *path)
{
    int file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);

    if (file < 0)
        return 1;
    for (unsigned long count = 0;; count++)
        if (write(file, block, sizeof block) < 0)
            return refused("times 64 KiB of a file", count, errno);
}

/* Full ones; with no descriptor left, a child goes on. */
static int hog_pipes(const char *path)
{
    bool is_told = false;

    (void)path;
    for (unsigned long count = 0;; count++) {
        int ends[2];

        if (pipe2(ends, O_NONBLOCK) == 0) {
            if (write(ends[1], block, sizeof block) < 0 && errno != EAGAIN && !is_told)
                is_told = refused("full pipes", count, errno) == 0;
            continue;
        }
        pid_t child = errno == EMFILE ? fork() : -1;

        if (child == 0) {
            for (int end = 3; end < 1024; end++)
                close(end); /* its parent keeps them */
            continue;
        }
        if (child > 0)
            (void)waitpid(child, NULL, 0);
        return refused("full pipes", count, child < 0 ? errno : EMFILE);
    }
}

/* Until there is no more of something, with no memory of its own. */
static unsigned long fill_streams(bool is_socket)
{
    for (unsigned long count = 0;; count++) {
        int ends[2];

        if (is_socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) : pipe2(ends, O_NONBLOCK))
            return count;
        while (write(ends[1], block, sizeof block) > 0)
            ;
        if (errno != EAGAIN)
            return count;
    }
}

/* Small processes, each with all the pipes and sockets that it can have, and full, which stay. The last sign of it is a
 * file at `path`: by then memory was short. */
static int hog_streams(const char *path)
{
    int ready[2];
    char byte;

    if (pipe(ready) != 0)
        return 1;
    for (unsigned i = 0; i < STREAM_CHILDREN; i++) {
        if (fork() != 0)
            continue;
        (void)fill_streams(i % 2 == 1);
        close(ready[1]);
        for (;;)
            pause();
    }
    close(ready[1]);
    (void)!read(ready[0], &byte, 1); /* the end: all are full, or killed */
    int file = open(path, O_CREAT | O_WRONLY, 0600);

    if (file >= 0)
        close(file);
    for (;;)
        pause();
}

static void *rest(void *nothing)
{
    pause();
    return nothing;
}

static int hog_threads(const char *path)
{
    (void)path;
    for (unsigned long count = 0;; count++) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, rest, NULL);

        if (error != 0)
            return refused("threads", count, error);
    }
}

/* All of them fork again, until that fails; then they stay. */
static int hog_forks(const char *path)
{
    pid_t first = getpid();
    unsigned long count = 0;

    (void)path;
    while (fork() >= 0)
        count++;
    if (getpid() == first)
        (void)refused("forks of the first", count, errno);
    for (;;)
        pause();
}

int hog(const char *kind, const char *path)
{
    static const struct {
        const char *name;
        int (*take)(const char *path);
    } hogs[] = { { "memory", hog_memory }, { "maps", hog_maps }, { "file", hog_file }, { "pipes", hog_pipes },
                 { "streams", hog_streams }, { "threads", hog_threads }, { "forks", hog_forks } };

    for (unsigned i = 0; i < sizeof hogs / sizeof hogs[0]; i++)
        if (strcmp(hogs[i].name, kind) == 0)
            return hogs[i].take(path);
    return 2;
}
