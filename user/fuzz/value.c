/* SPDX-License-Identifier: MIT */
/*
 * Arguments. Pointers are to an arena of pages that may be written, only read, not touched, or are shared, often close
 * to an end; and at times to nothing, or to the kernel. A pointer's target has contents of the kind that is wanted.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ARENA 0x100000000ul
#define ARENA_PAGES 64u
#define WRITABLE_PAGES 32u /* of these, the first half is what arguments point to, and no mapping call is about */
#define FIRM_PAGES 16u
#define PAGE 4096ul

static unsigned char action[64]; /* a struct of rt_sigaction(2), with a handler that returns */

uint64_t next(struct stream *stream)
{
    uint64_t x = stream->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    stream->state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

static void handler(int number)
{
    (void)number;
}

static void map(unsigned page, unsigned pages, int protection, int flags)
{
    if (mmap((void *)(ARENA + page * PAGE), pages * PAGE, protection, flags | MAP_FIXED | MAP_ANONYMOUS, -1, 0) ==
        MAP_FAILED)
        _exit(100);
}

void values_prepare(void)
{
    int ends[2];

    map(0, WRITABLE_PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    map(32, 8, PROT_READ, MAP_PRIVATE);
    map(40, 8, PROT_NONE, MAP_PRIVATE);
    map(48, 16, PROT_READ | PROT_WRITE, MAP_SHARED);
    signal(SIGUSR1, handler);
    (void)syscall(SYS_rt_sigaction, SIGUSR1, NULL, action, 8);
    /* Descriptors 3 and more. */
    (void)open("file", O_RDWR | O_CREAT, 0666);
    (void)mkdir("dir", 0777);
    (void)open(".", O_RDONLY | O_DIRECTORY);
    (void)!pipe2(ends, 0);
    (void)!pipe2(ends, O_NONBLOCK);
    (void)open("/dev/zero", O_RDWR);
    (void)open("/dev/null", O_RDWR);
    (void)open("/dev/urandom", O_RDONLY);
    (void)open("/proc/self/maps", O_RDONLY);
    (void)open("/proc", O_RDONLY | O_DIRECTORY);
    (void)open("file", O_RDONLY | O_PATH);
}

static long flags(struct stream *stream)
{
    unsigned long bits = 0;

    switch (below(stream, 8)) {
    case 0:
        return 0;
    case 1:
        return (long)next(stream);
    case 2:
        return (long)below(stream, 64);
    default:
        for (unsigned i = 1 + (unsigned)below(stream, 4); i > 0; i--)
            bits |= 1ul << below(stream, seldom(stream, 20) ? 64 : 24);
        return (long)bits;
    }
}

static long number(struct stream *stream)
{
    static const long edges[] = {-1, 0x7fffffff, -0x80000000l, 0xffffffff, 4096, 65536, 1l << 40, -4096, 1l << 62};

    if (!seldom(stream, 6))
        return (long)below(stream, 20);
    return seldom(stream, 3) ? (long)next(stream) : edges[below(stream, sizeof edges / sizeof edges[0])];
}

static long length(struct stream *stream)
{
    switch (below(stream, 6)) {
    case 0:
        return number(stream);
    case 1:
        return (long)(PAGE * below(stream, 20) + below(stream, 3) - 1);
    default:
        return (long)below(stream, 300);
    }
}

/* Where nothing that a call writes does harm; with room for a few bytes at least, unless it is about page ends. */
static unsigned char *place(struct stream *stream)
{
    unsigned long page = ARENA + PAGE * below(stream, FIRM_PAGES);

    if (seldom(stream, 4)) /* an end */
        return (unsigned char *)(page + PAGE - below(stream, 64));
    return (unsigned char *)(page + (below(stream, PAGE - 512) & (seldom(stream, 8) ? ~0ul : ~7ul)));
}

static long bad_pointer(struct stream *stream)
{
    static const unsigned long bad[] = {
        0, 1, 4095, ARENA + 40 * PAGE, ARENA + 32 * PAGE, ARENA + ARENA_PAGES * PAGE - 1, ARENA + ARENA_PAGES * PAGE,
        0x00007ffffffff000ul, 0x0000800000000000ul, 0x003ffffffffffff8ul, 0xffff800000000000ul, 0xffffffff80000000ul,
        0xffffffffffffffffu, 0xfffffffffffff000ul, 0xffffffc000000000ul, 0x8000000000000000ul, 0x4000000000ul,
    };

    return (long)(bad[below(stream, sizeof bad / sizeof bad[0])] + (seldom(stream, 4) ? below(stream, PAGE) : 0));
}

/* Words, most of them small: sets, limits, structures of all kinds. The arena may be gone: then the worker ends. */
static unsigned char *words(struct stream *stream)
{
    unsigned char *at = place(stream);

    for (unsigned i = 0; i < 4 && (uintptr_t)at % PAGE < PAGE - 64; i++) {
        uint64_t word = seldom(stream, 2) ? (uint64_t)number(stream) : below(stream, 64);

        memcpy(at + 8 * i, &word, sizeof word);
    }
    return at;
}

static unsigned char *fill(struct stream *stream, const void *bytes, size_t count)
{
    unsigned char *at = (unsigned char *)(((uintptr_t)place(stream) & ~(PAGE - 1)) + (below(stream, PAGE / 2) & ~7ul));

    memcpy(at, bytes, count);
    return at;
}

static long path(struct stream *stream)
{
    static const char *const names[] = {
        "file", "dir", "dir/a", "dir/b", "dir/../c", "link", "fifo", ".", "..", "", "/proc/self/fd/3", "/proc/self",
        "/proc/self/maps", "/proc/self/status", "/proc/self/stat", "/proc/self/cmdline", "/proc/meminfo", "/proc/stat",
        "/dev/null", "/dev/zero", "/dev/full", "/proc/self/task", "/proc/1/maps", "/dev/random",
        "/proc/self/cwd", "nothing", "file/", "dir/", "/", "link/x", "/tmp", "/proc/self/fd/5",
    };
    char longest[PAGE];

    if (seldom(stream, 40)) {
        memset(longest, 'x', sizeof longest);
        longest[below(stream, sizeof longest)] = '/';
        longest[sizeof longest - 1] = (char)(seldom(stream, 2) ? 0 : 'y');
        unsigned char *at = (unsigned char *)(ARENA + PAGE * below(stream, FIRM_PAGES - 1));

        memcpy(at, longest, sizeof longest);
        return (long)at;
    }
    const char *name = names[below(stream, sizeof names / sizeof names[0])];

    return (long)fill(stream, name, strlen(name) + 1);
}

/* Something to execute: not among the paths, because root may truncate it. */
static long program(struct stream *stream)
{
    static const char self[] = "/proc/self/exe";

    return seldom(stream, 2) ? path(stream) : (long)fill(stream, self, sizeof self);
}

/* In nanoseconds, rarely more than a few milliseconds, in the first and the second pair of words. */
static long time_of(struct stream *stream)
{
    long pairs[4] = {0, (long)below(stream, 300000), 0, (long)below(stream, 300000)};

    if (seldom(stream, 10))
        pairs[below(stream, 4)] = number(stream);
    return (long)fill(stream, pairs, sizeof pairs);
}

static long vector(struct stream *stream)
{
    unsigned long parts[16];

    for (unsigned i = 0; i < 16; i += 2) {
        parts[i] = (unsigned long)value(stream, 'p');
        parts[i + 1] = (unsigned long)length(stream);
    }
    return (long)fill(stream, parts, sizeof parts);
}

static long strings(struct stream *stream)
{
    unsigned long list[5] = {0};
    unsigned count = (unsigned)below(stream, 5);

    for (unsigned i = 0; i < count; i++)
        list[i] = (unsigned long)(seldom(stream, 12) ? bad_pointer(stream) : path(stream));
    return (long)fill(stream, list, sizeof list);
}

static long descriptor(struct stream *stream)
{
    return seldom(stream, 12) ? number(stream) : (long)below(stream, 20);
}

/* Never one that is not the worker's own or its children's. */
static long process(struct stream *stream)
{
    switch (below(stream, 8)) {
    case 0:
        return 0;
    case 1:
        return getpid();
    case 2:
        return 0x7ffffff0;
    case 3:
        return -0x7fffffffl;
    case 4:
        return stream->child > 0 ? -stream->child : gettid();
    default:
        return stream->child > 0 && seldom(stream, 2) ? stream->child : gettid();
    }
}

static long map_address(struct stream *stream)
{
    if (seldom(stream, 8))
        return bad_pointer(stream);
    return (long)(ARENA + PAGE * (FIRM_PAGES + below(stream, ARENA_PAGES - FIRM_PAGES)) +
                  (seldom(stream, 10) ? below(stream, PAGE) : 0));
}

static long signal_action(struct stream *stream)
{
    unsigned char changed[64];

    memcpy(changed, action, sizeof changed);
    if (seldom(stream, 3))
        memset(changed, (int)below(stream, 2), 8);
    changed[8 + below(stream, 4)] ^= (unsigned char)(1u << below(stream, 8));
    return (long)fill(stream, changed, sizeof changed);
}

static long pointer(struct stream *stream)
{
    return seldom(stream, 6) ? bad_pointer(stream) : (long)words(stream);
}

static long clone_flags(struct stream *stream)
{
    unsigned long bits = (unsigned long)below(stream, 65);

    for (unsigned i = (unsigned)below(stream, 3); i > 0; i--)
        bits |= 1ul << (8 + below(stream, 24));
    return (long)(seldom(stream, 100) ? bits : bits & ~(unsigned long)(CLONE_VM | CLONE_VFORK));
}

/* p pointer, P path, E a program's, v vector, a argv, t time, A signal's action, u futex; f descriptor, d folder's;
 * l length, o offset,
 * n small number, i any number, F flags, C those of clone; m address and M length of a mapping; k process, s signal,
 * c clock, I request of ioctl; 8: the size of a signal set, as a rule. */
long value(struct stream *stream, char kind)
{
    static const unsigned short requests[] = {0x5401, 0x5402, 0x5403, 0x5405, 0x540b, 0x540e, 0x540f, 0x5410, 0x5411,
                                              0x5413, 0x5414, 0x541b, 0x5421, 0x5450, 0x5451, 0x5422, 0x5429};

    if (seldom(stream, 25) && strchr("kCn", kind) == NULL)
        kind = "pPvatfdlonimMFs"[below(stream, 15)];
    if (strchr("PvatA", kind) != NULL && seldom(stream, 10))
        return bad_pointer(stream);
    switch (kind) {
    case 'p': return pointer(stream);
    case 'P': return path(stream);
    case 'E': return program(stream);
    case 'v': return vector(stream);
    case 'a': return strings(stream);
    case 't': return seldom(stream, 8) ? 0 : time_of(stream);
    case 'A': return signal_action(stream);
    case 'u': return (long)(ARENA + (seldom(stream, 2) ? 48 * PAGE : 0) + 4 * below(stream, 8));
    case 'f': return descriptor(stream);
    case 'd': return seldom(stream, 3) ? descriptor(stream) : AT_FDCWD;
    case 'l': return length(stream);
    case 'o': return seldom(stream, 8) ? number(stream) : (long)below(stream, 9000);
    case 'n': return number(stream);
    case 'm': return map_address(stream);
    case 'M': return seldom(stream, 12) ? number(stream) : (long)(PAGE * below(stream, 17));
    case 'k': return process(stream);
    case 's': return (long)below(stream, seldom(stream, 10) ? 80 : 65);
    case 'c': return (long)below(stream, 13) - seldom(stream, 10);
    case 'C': return clone_flags(stream);
    case 'I': return requests[below(stream, sizeof requests / sizeof requests[0])];
    case '8': return seldom(stream, 12) ? number(stream) : 8;
    case 'F': return flags(stream);
    default: return (long)next(stream);
    }
}
