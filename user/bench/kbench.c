/* SPDX-License-Identifier: MIT */
/*
 * kbench - what a kernel's basic operations cost, as seen by a static program.
 *
 * One static Linux binary per ISA, run unchanged on every kernel that is to be
 * compared.  It needs no mounted file system, no /proc, no shell: as /init it
 * runs its benchmarks and powers the machine off; as an ordinary program it
 * runs them and exits.
 *
 *   kbench [-l] [-n] [-t SECONDS] [-w SECONDS] [NAME ...]
 *     -l  list the benchmarks        -n  no fork per benchmark (no watchdog)
 *     -t  watchdog per benchmark     -w  wait first: let the boot settle
 *     NAME  a name, or a prefix ending in '*'
 *
 * Output, one line per benchmark, fields separated by blanks:
 *
 *   KB <name> n=<samples> min=<> p50=<> p99=<> max=<> mean=<> ns/<op> [key=value ...]
 *   KB <name> SKIP <why>          the kernel (or the CPU count) cannot do it
 *   KB <name> FAIL <how>          the benchmark died or hung
 *
 * All times are nanoseconds of CLOCK_MONOTONIC.  Under QEMU's `-icount shift=0`
 * one executed instruction is one nanosecond, so there a figure reads as an
 * instruction count (kernel and user together) as long as the CPU never idles.
 *
 * A sample is the mean over `batch` operations where one operation is too
 * short for the guest's clock (riscv64's ticks are 100 ns in QEMU).
 *
 * Build: cc -std=gnu11 -O2 -static -pthread kbench.c -o kbench
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ output */

static const char *bench_name = "?";

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* One line, one write: no stdio buffer to lose or to duplicate over fork. */
static void say(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (len > (int)sizeof line - 1)
        len = sizeof line - 1;
    for (int off = 0; off < len;) {
        ssize_t w = write(STDOUT_FILENO, line + off, (size_t)(len - off));
        if (w <= 0)
            break;
        off += (int)w;
    }
}

static void skip(const char *why)
{
    say("KB %s SKIP %s\n", bench_name, why);
}

static void skip_errno(const char *what, int err)
{
    say("KB %s SKIP %s: errno %d (%s)\n", bench_name, what, err, strerror(err));
}

/* -------------------------------------------------------------------- time */

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
        ;
}

/* ----------------------------------------------------------------- samples */

enum { MAX_SAMPLES = 4096 };
static double samples[MAX_SAMPLES];
static unsigned n_samples;

static void sample(double ns)
{
    if (n_samples < MAX_SAMPLES)
        samples[n_samples++] = ns;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Print the samples as one line and forget them. */
static void report(const char *suffix, const char *op, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void report(const char *suffix, const char *op, const char *fmt, ...)
{
    char extra[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(extra, sizeof extra, fmt, ap);
    va_end(ap);
    unsigned n = n_samples;
    n_samples = 0;
    if (n == 0) {
        skip("no samples");
        return;
    }
    double sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += samples[i];
    qsort(samples, n, sizeof samples[0], by_value);
    say("KB %s%s n=%u min=%.0f p50=%.0f p99=%.0f max=%.0f mean=%.1f ns/%s %s\n",
        bench_name, suffix, n, samples[0], samples[n / 2],
        samples[(unsigned)((n - 1) * 0.99)], samples[n - 1], sum / n, op, extra);
}

/* -------------------------------------------------- CPUs, priorities, futex */

static cpu_set_t all_cpus; /* the CPUs this program may use ... */
static int cpus[CPU_SETSIZE]; /* ... and their numbers */
static int n_cpus;

static void find_cpus(void)
{
    CPU_ZERO(&all_cpus);
    n_cpus = 0;
    if (sched_getaffinity(0, sizeof all_cpus, &all_cpus) == 0)
        for (int i = 0; i < CPU_SETSIZE; i++)
            if (CPU_ISSET(i, &all_cpus))
                cpus[n_cpus++] = i;
    if (n_cpus == 0)
        cpus[n_cpus++] = 0;
}

/* Tie the calling thread to the i-th usable CPU. */
static void pin(int i)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus[i], &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0 && n_cpus > 1)
        say("# %s: sched_setaffinity failed: errno %d\n", bench_name, errno);
}

static bool set_policy(int policy, int prio)
{
    struct sched_param sp = { .sched_priority = prio };
    return sched_setscheduler(0, policy, &sp) == 0;
}

/* true when the thread really slept and was woken */
static bool futex_wait(_Atomic int *word, int expected)
{
    return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0) == 0;
}

static void futex_wake(_Atomic int *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#define RELAXED memory_order_relaxed

/* -------------------------------------------------------- many small threads */

struct crowd {
    unsigned n; /* threads that exist */
    pthread_t *thread;
    char *stacks;
    size_t bytes;
};

/*
 * Start n threads with caller-supplied stacks cut from one mapping, so that a
 * crowd of ten thousand costs one mmap and not twenty thousand mappings.
 * Returns 0 or an errno; on failure the threads that did start are in c->n.
 */
static int crowd_start(struct crowd *c, unsigned n, void *(*fn)(void *), void *arg)
{
    long need = sysconf(_SC_THREAD_STACK_MIN);
    size_t stack = need > 65536 ? ((size_t)need + 4095) & ~(size_t)4095 : 65536;
    size_t table = ((size_t)n * sizeof(pthread_t) + 4095) & ~(size_t)4095;

    memset(c, 0, sizeof *c);
    if (n == 0)
        return 0;
    c->bytes = table + stack * n;
    char *mem = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED)
        return errno;
    madvise(mem, c->bytes, MADV_NOHUGEPAGE); /* a hint; may be unknown */
    c->thread = (pthread_t *)mem;
    c->stacks = mem + table;

    pthread_attr_t attr;
    pthread_attr_init(&attr);
    int err = 0;
    while (c->n < n && err == 0) {
        pthread_attr_setstack(&attr, c->stacks + stack * c->n, stack);
        err = pthread_create(&c->thread[c->n], &attr, fn, arg);
        if (err == 0)
            c->n++;
    }
    pthread_attr_destroy(&attr);
    return err;
}

static void crowd_join(struct crowd *c)
{
    for (unsigned i = 0; i < c->n; i++)
        pthread_join(c->thread[i], NULL);
    if (c->thread != NULL)
        munmap(c->thread, c->bytes);
}

/* ------------------------------------------------- system calls and the clock */

enum { BATCHES = 100, BATCH = 500 };

/* No kernel at all: the speed of this machine, to judge the other figures by. */
static void b_cpu(void)
{
    volatile unsigned long x = 0;
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < 100000; i++)
            x += (unsigned long)i;
        sample((double)(now_ns() - t) / 100);
    }
    report("", "1000-loops", "batch=100");
}

static void b_null(void)
{
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < BATCH; i++)
            syscall(SYS_getppid);
        sample((double)(now_ns() - t) / BATCH);
    }
    report("", "call", "batch=%d", BATCH);
}

static void b_clock(void)
{
    struct timespec ts, res = { 0, 0 };
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < BATCH; i++)
            clock_gettime(CLOCK_MONOTONIC, &ts);
        sample((double)(now_ns() - t) / BATCH);
    }
    clock_getres(CLOCK_MONOTONIC, &res);
    report("_libc", "call", "batch=%d res=%ld", BATCH, res.tv_nsec);
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < BATCH; i++)
            syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
        sample((double)(now_ns() - t) / BATCH);
    }
    report("_syscall", "call", "batch=%d", BATCH);
}

/* ------------------------------------------------------------- sched_yield */

static void b_yield1(void)
{
    pin(0);
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < BATCH; i++)
            sched_yield();
        sample((double)(now_ns() - t) / BATCH);
    }
    report("", "call", "batch=%d", BATCH);
}

/*
 * K tasks on one CPU do nothing but yield.  Counting starts when all have
 * arrived.  Each yield that comes back on another task than the last one is a
 * switch: a fair scheduler need not switch on every yield, so the cost of a
 * switch is the cost of a yield divided by `sw_per_yield`.
 */
enum { WINDOWS = 20 };

struct yielders {
    _Atomic int gate; /* futex: 0 closed, 1 open */
    _Atomic int stop;
    _Atomic unsigned parked, arrived, next_id;
    _Atomic unsigned last;
    _Atomic unsigned long count, switches, next;
    unsigned k, window;
    unsigned long step;
    int policy;
    bool failed;
    uint64_t stamp[WINDOWS + 1];
};

static void yield_loop(struct yielders *y)
{
    unsigned me = atomic_fetch_add(&y->next_id, 1) + 1;

    atomic_fetch_add(&y->arrived, 1);
    while (!atomic_load_explicit(&y->stop, RELAXED)) {
        sched_yield();
        if (atomic_load_explicit(&y->arrived, RELAXED) < y->k)
            continue;
        if (atomic_load_explicit(&y->last, RELAXED) != me) {
            atomic_store_explicit(&y->last, me, RELAXED);
            atomic_fetch_add_explicit(&y->switches, 1, RELAXED);
        }
        unsigned long c = atomic_fetch_add_explicit(&y->count, 1, RELAXED);
        if (c == atomic_load_explicit(&y->next, RELAXED)) {
            y->stamp[y->window++] = now_ns();
            if (y->window > WINDOWS)
                atomic_store(&y->stop, 1);
            else
                atomic_store(&y->next, c + y->step);
        }
    }
}

static void yield_report(struct yielders *y, const char *suffix)
{
    unsigned long total = y->step * WINDOWS;
    for (int i = 0; i < WINDOWS; i++)
        sample((double)(y->stamp[i + 1] - y->stamp[i]) / (double)y->step);
    double spy = (double)y->switches / (double)total;
    double mean = (double)(y->stamp[WINDOWS] - y->stamp[0]) / (double)total;
    if (spy > 1)
        spy = 1; /* a few yields follow the last stamp */
    report(suffix, "yield", "batch=%lu k=%u sw_per_yield=%.3f ns_per_switch=%.0f",
           y->step, y->k, spy, spy > 0.01 ? mean / spy : 0.0);
}

static void *yield_thread(void *arg)
{
    struct yielders *y = arg;
    if (y->policy == SCHED_FIFO && !set_policy(SCHED_FIFO, 1))
        y->failed = true;
    atomic_fetch_add(&y->parked, 1);
    while (atomic_load(&y->gate) == 0)
        futex_wait(&y->gate, 0);
    yield_loop(y);
    return NULL;
}

static void yield_k(const char *suffix, unsigned k, int policy)
{
    static struct yielders y;
    struct crowd c;

    memset(&y, 0, sizeof y);
    y.k = k;
    y.step = 1000;
    y.policy = policy;
    pin(0); /* the threads inherit it */
    if (policy == SCHED_FIFO && !set_policy(SCHED_FIFO, 2)) {
        skip_errno("SCHED_FIFO", errno);
        return;
    }
    int err = crowd_start(&c, k, yield_thread, &y);
    if (err != 0)
        atomic_store(&y.stop, 1);
    else
        while (atomic_load(&y.parked) < k)
            sleep_ns(1000000);
    sleep_ns(5000000); /* let the last ones reach their futex */
    atomic_store(&y.gate, 1);
    futex_wake(&y.gate, INT_MAX);
    crowd_join(&c);
    set_policy(SCHED_OTHER, 0);
    if (err != 0) {
        char what[64];
        snprintf(what, sizeof what, "%u threads (got %u)", k, c.n);
        skip_errno(what, err);
        return;
    }
    if (y.failed)
        skip("SCHED_FIFO refused in a thread");
    else
        yield_report(&y, suffix);
}

static void b_yield2(void)      { yield_k("", 2, SCHED_OTHER); }
static void b_yield2_fifo(void) { yield_k("", 2, SCHED_FIFO); }

/* The same between two processes: an address space switch each time. */
static void yield2_proc(int policy)
{
    struct yielders *y = mmap(NULL, sizeof *y, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (y == MAP_FAILED) {
        skip_errno("mmap shared", errno);
        return;
    }
    y->k = 2;
    y->step = 1000;
    pin(0);
    if (policy == SCHED_FIFO && !set_policy(SCHED_FIFO, 1)) {
        skip_errno("SCHED_FIFO", errno);
        return;
    }
    pid_t pid = fork();
    if (pid < 0) {
        skip_errno("fork", errno);
        return;
    }
    yield_loop(y);
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    set_policy(SCHED_OTHER, 0);
    yield_report(y, "");
}

static void b_yield2_proc(void)      { yield2_proc(SCHED_OTHER); }
static void b_yield2_proc_fifo(void) { yield2_proc(SCHED_FIFO); }

static void yield_range(int policy)
{
    char suffix[16];
    for (unsigned k = 1; k <= 10000; k *= 10) {
        snprintf(suffix, sizeof suffix, "_%u", k);
        yield_k(suffix, k, policy);
    }
}

static void b_yieldk(void)      { yield_range(SCHED_OTHER); }
static void b_yieldk_fifo(void) { yield_range(SCHED_FIFO); }

/* ---------------------------------------------------------- futex ping-pong */

enum { PP_SAMPLES = 500, PP_BATCH = 8 };

struct pingpong {
    _Alignas(64) _Atomic int ping;
    _Alignas(64) _Atomic int pong;
    _Alignas(64) _Atomic unsigned long slept;
    int cpu, policy;
};

static void pp_post(_Atomic int *word)
{
    atomic_store(word, 1);
    futex_wake(word, 1);
}

static unsigned pp_wait(_Atomic int *word)
{
    unsigned slept = 0;
    while (atomic_load(word) == 0)
        slept += futex_wait(word, 0);
    atomic_store(word, 0);
    return slept;
}

static void *pong_thread(void *arg)
{
    struct pingpong *p = arg;
    unsigned long slept = 0;
    pin(p->cpu);
    set_policy(p->policy, p->policy == SCHED_FIFO);
    for (int i = 0; i < (PP_SAMPLES + 1) * PP_BATCH; i++) {
        slept += pp_wait(&p->ping);
        pp_post(&p->pong);
    }
    atomic_fetch_add(&p->slept, slept);
    return NULL;
}

static void futex_pp(int cpu, int policy)
{
    static struct pingpong p;
    pthread_t th;
    unsigned long slept = 0;

    if (cpu >= n_cpus) {
        skip("needs two CPUs");
        return;
    }
    memset(&p, 0, sizeof p);
    p.cpu = cpu;
    p.policy = policy;
    pin(0);
    if (policy == SCHED_FIFO && !set_policy(policy, 1)) {
        skip_errno("SCHED_FIFO", errno);
        return;
    }
    int err = pthread_create(&th, NULL, pong_thread, &p);
    if (err != 0) {
        skip_errno("pthread_create", err);
        return;
    }
    for (int s = -1; s < PP_SAMPLES; s++) { /* sample -1 warms up */
        uint64_t t = now_ns();
        for (int i = 0; i < PP_BATCH; i++) {
            pp_post(&p.ping);
            slept += pp_wait(&p.pong);
        }
        if (s >= 0)
            sample((double)(now_ns() - t) / PP_BATCH);
    }
    pthread_join(th, NULL);
    set_policy(SCHED_OTHER, 0);
    slept += p.slept;
    report("", "roundtrip", "batch=%d sleeps_per_rt=%.2f", PP_BATCH,
           (double)slept / ((PP_SAMPLES + 1) * PP_BATCH));
}

static void b_futex_same(void)      { futex_pp(0, SCHED_OTHER); }
static void b_futex_same_fifo(void) { futex_pp(0, SCHED_FIFO); }
static void b_futex_cross(void)     { futex_pp(1, SCHED_OTHER); }

/* ----------------------------------------------------------- pipe ping-pong */

struct pipes {
    int to[2], from[2];
    int cpu;
};

static void pipe_pong(struct pipes *p)
{
    char c;
    pin(p->cpu);
    for (int i = 0; i < (PP_SAMPLES + 1) * PP_BATCH; i++)
        if (read(p->to[0], &c, 1) != 1 || write(p->from[1], &c, 1) != 1)
            break;
}

static void *pipe_pong_thread(void *arg)
{
    pipe_pong(arg);
    return NULL;
}

static void pipe_pp(int cpu, bool process)
{
    struct pipes p;
    pthread_t th;
    pid_t pid = -1;
    char c = 'x';

    if (cpu >= n_cpus) {
        skip("needs two CPUs");
        return;
    }
    if (pipe(p.to) != 0 || pipe(p.from) != 0) {
        skip_errno("pipe", errno);
        return;
    }
    p.cpu = cpu;
    pin(0);
    if (process) {
        pid = fork();
        if (pid == 0) {
            pipe_pong(&p);
            _exit(0);
        }
        if (pid < 0) {
            skip_errno("fork", errno);
            return;
        }
    } else {
        int err = pthread_create(&th, NULL, pipe_pong_thread, &p);
        if (err != 0) {
            skip_errno("pthread_create", err);
            return;
        }
    }
    for (int s = -1; s < PP_SAMPLES; s++) {
        uint64_t t = now_ns();
        for (int i = 0; i < PP_BATCH; i++)
            if (write(p.to[1], &c, 1) != 1 || read(p.from[0], &c, 1) != 1) {
                skip_errno("pipe io", errno);
                return;
            }
        if (s >= 0)
            sample((double)(now_ns() - t) / PP_BATCH);
    }
    if (process)
        waitpid(pid, NULL, 0);
    else
        pthread_join(th, NULL);
    report("", "roundtrip", "batch=%d", PP_BATCH);
}

static void b_pipe_thr_same(void)   { pipe_pp(0, false); }
static void b_pipe_thr_cross(void)  { pipe_pp(1, false); }
static void b_pipe_proc_same(void)  { pipe_pp(0, true); }
static void b_pipe_proc_cross(void) { pipe_pp(1, true); }

/* ----------------------------------------------------- threads and processes */

static void *null_thread(void *arg)
{
    return arg;
}

static void b_pthread(void)
{
    for (int i = -10; i < 1000; i++) {
        pthread_t th;
        uint64_t t = now_ns();
        int err = pthread_create(&th, NULL, null_thread, NULL);
        if (err != 0) {
            skip_errno("pthread_create", err);
            return;
        }
        pthread_join(th, NULL);
        if (i >= 0)
            sample((double)(now_ns() - t));
    }
    report("", "create+join", "%s", "");
}

static const char *self_path; /* how this program was executed */
static char tiny_path[PATH_MAX]; /* kbench-tiny beside it */
extern char **environ;

static void find_paths(const char *argv0)
{
    self_path = (const char *)getauxval(AT_EXECFN);
    if (self_path == NULL || *self_path == '\0')
        self_path = argv0;
    snprintf(tiny_path, sizeof tiny_path - 16, "%s", self_path);
    char *slash = strrchr(tiny_path, '/');
    strcpy(slash != NULL ? slash + 1 : tiny_path, "kbench-tiny");
}

/* fork; the child executes path, or exits at once when path is NULL */
static void fork_loop(int n, const char *path, const char *op)
{
    char *args[] = { (char *)path, "--exit", NULL };
    int status = 0;

    if (path != NULL && access(path, X_OK) != 0) {
        skip_errno(path, errno);
        return;
    }
    for (int i = -3; i < n; i++) {
        uint64_t t = now_ns();
        pid_t pid = fork();
        if (pid == 0) {
            if (path != NULL)
                execve(path, args, environ);
            _exit(path != NULL ? 126 : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            say("KB %s SKIP pid=%d status=%#x errno=%d\n", bench_name, pid, status, errno);
            return;
        }
        if (i >= 0)
            sample((double)(now_ns() - t));
    }
    report("", op, "%s", "");
}

static void b_fork(void)      { fork_loop(500, NULL, "fork+exit+wait"); }
static void b_exec_self(void) { fork_loop(200, self_path, "fork+exec+wait"); }
static void b_exec_tiny(void) { fork_loop(200, tiny_path, "fork+exec+wait"); }

/* fork with 32 MiB touched: the cost of copying page tables */
static void b_fork_32m(void)
{
    size_t bytes = 32u << 20;
    char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem == MAP_FAILED) {
        skip_errno("mmap 32 MiB", errno);
        return;
    }
    madvise(mem, bytes, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < bytes; i += 4096)
        mem[i] = 1;
    fork_loop(20, NULL, "fork+exit+wait");
    munmap(mem, bytes);
}

/* what a shell or a service manager does: no page tables are copied */
static void b_spawn_tiny(void)
{
    char *args[] = { tiny_path, "--exit", NULL };
    int status = 0;
    pid_t pid = 0;

    if (access(tiny_path, X_OK) != 0) {
        skip_errno(tiny_path, errno);
        return;
    }
    for (int i = -3; i < 200; i++) {
        uint64_t t = now_ns();
        int err = posix_spawn(&pid, tiny_path, NULL, NULL, args, environ);
        if (err != 0) {
            skip_errno("posix_spawn", err);
            return;
        }
        waitpid(pid, &status, 0);
        if (i >= 0)
            sample((double)(now_ns() - t));
    }
    report("", "spawn+wait", "%s", "");
}

/* ------------------------------------------------------------------ memory */

static void page_rounds(const char *suffix, bool huge)
{
    enum { PAGES = 1024, ROUNDS = 40 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = PAGES * page;
    double touch[ROUNDS];
    char name[32];

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t t0 = now_ns();
        char *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mem == MAP_FAILED) {
            skip_errno("mmap", errno);
            return;
        }
        if (!huge)
            madvise(mem, bytes, MADV_NOHUGEPAGE);
        uint64_t t1 = now_ns();
        for (int i = 0; i < PAGES; i++)
            *(volatile char *)(mem + (size_t)i * page) = 1;
        uint64_t t2 = now_ns();
        munmap(mem, bytes);
        uint64_t t3 = now_ns();
        touch[r] = (double)(t2 - t1) / PAGES;
        sample((double)(t3 - t0) / PAGES);
    }
    snprintf(name, sizeof name, "_cycle%s", suffix);
    report(name, "page", "pages=%d", PAGES);
    for (int r = 0; r < ROUNDS; r++)
        sample(touch[r]);
    snprintf(name, sizeof name, "_touch%s", suffix);
    report(name, "page", "pages=%d", PAGES);
}

static void b_page(void)
{
    page_rounds("", false); /* base pages only */
    page_rounds("_thp", true); /* whatever the kernel does unasked */
}

static void b_mmap(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int b = 0; b < BATCHES; b++) {
        uint64_t t = now_ns();
        for (int i = 0; i < 50; i++) {
            void *mem = mmap(NULL, page, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (mem == MAP_FAILED) {
                skip_errno("mmap", errno);
                return;
            }
            munmap(mem, page);
        }
        sample((double)(now_ns() - t) / 50);
    }
    report("", "mmap+munmap", "batch=50 pages=1");
}

/* ------------------------------------------------------------ thundering herd */

enum { HERD = 1000, HERD_ROUNDS = 15 };

static struct {
    _Atomic int gen, done, stop;
    _Atomic unsigned parked, awake;
} herd;

static void *herd_thread(void *arg)
{
    for (int my = 0;; my++) {
        atomic_fetch_add(&herd.parked, 1);
        while (atomic_load(&herd.gen) == my)
            futex_wait(&herd.gen, my);
        if (atomic_load(&herd.stop))
            return arg;
        if (atomic_fetch_add(&herd.awake, 1) + 1 == HERD) {
            atomic_store(&herd.done, 1);
            futex_wake(&herd.done, 1);
        }
    }
}

static void b_herd(void)
{
    struct crowd c;
    double call[HERD_ROUNDS];
    uint64_t start = now_ns();
    int err = crowd_start(&c, HERD, herd_thread, NULL);
    uint64_t created = now_ns();

    for (int r = 0; r < HERD_ROUNDS && err == 0; r++) {
        while (atomic_load(&herd.parked) < HERD * (unsigned)(r + 1))
            sleep_ns(1000000);
        sleep_ns(20000000); /* all of them asleep by now */
        atomic_store(&herd.awake, 0);
        atomic_store(&herd.done, 0);
        uint64_t t0 = now_ns();
        atomic_store(&herd.gen, r + 1);
        futex_wake(&herd.gen, INT_MAX);
        uint64_t t1 = now_ns();
        while (atomic_load(&herd.done) == 0)
            futex_wait(&herd.done, 0);
        uint64_t t2 = now_ns();
        call[r] = (double)(t1 - t0) / HERD;
        sample((double)(t2 - t0) / HERD);
    }
    if (err == 0) {
        report("_all_run", "thread", "threads=%d", HERD);
        for (int r = 0; r < HERD_ROUNDS; r++)
            sample(call[r]);
        report("_wake_call", "thread", "threads=%d", HERD);
        sample((double)(created - start) / HERD);
        report("_create", "thread", "threads=%d", HERD);
    }
    atomic_store(&herd.stop, 1);
    atomic_store(&herd.gen, -1);
    futex_wake(&herd.gen, INT_MAX);
    crowd_join(&c);
    if (err != 0)
        skip_errno("1000 threads", err);
}

/* ------------------------------------------------------ timer wake-up latency */

static _Atomic int hog_stop;

static void *hog_thread(void *arg)
{
    unsigned long n = 0;
    while (!atomic_load_explicit(&hog_stop, RELAXED))
        n++;
    *(volatile unsigned long *)arg = n;
    return NULL;
}

/*
 * Sleep to an absolute time 1 ms ahead, up to 1000 times or 1.5 s; the sample
 * is how late the thread runs again in user space.
 */
static void timer_lateness(int policy, int n_hogs, bool no_slack)
{
    static unsigned long sink;
    struct crowd hogs;

    atomic_store(&hog_stop, 0);
    if (no_slack)
        prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    int err = crowd_start(&hogs, (unsigned)n_hogs, hog_thread, &sink);
    if (err == 0 && policy == SCHED_FIFO && !set_policy(SCHED_FIFO, 90))
        err = errno;
    uint64_t end = now_ns() + 1500000000u;
    for (int i = -5; i < 1000 && err == 0; i++) {
        uint64_t due = now_ns() + 1000000;
        struct timespec ts = { (time_t)(due / 1000000000u), (long)(due % 1000000000u) };
        err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        uint64_t t = now_ns();
        if (i >= 0)
            sample((double)t - (double)due);
        if (t > end)
            break;
    }
    set_policy(SCHED_OTHER, 0);
    atomic_store(&hog_stop, 1);
    crowd_join(&hogs);
    if (err != 0) {
        n_samples = 0;
        skip_errno("timer", err);
        return;
    }
    report("", "late", "period=1ms hogs=%d", n_hogs);
}

static void b_timer_other(void)      { timer_lateness(SCHED_OTHER, 0, false); }
static void b_timer_noslack(void)    { timer_lateness(SCHED_OTHER, 0, true); }
static void b_timer_fifo(void)       { timer_lateness(SCHED_FIFO, 0, false); }
static void b_timer_other_hogs(void) { timer_lateness(SCHED_OTHER, 4, false); }
static void b_timer_fifo_hogs(void)  { timer_lateness(SCHED_FIFO, 4, false); }

/* ---------------------------------------------------------------- hackbench */

/*
 * As hackbench: in each group every sender writes LOOPS messages of 100 bytes
 * to every receiver's pipe; all start together; the time is until all ended.
 */
enum { HB_GROUPS = 2, HB_SIDE = 10, HB_LOOPS = 50, HB_BYTES = 100, HB_ROUNDS = 7,
       HB_TASKS = HB_GROUPS * HB_SIDE * 2 };

struct hb_task {
    int id;
    int ready, go;
    int (*fd)[2]; /* one pipe per receiver, all groups */
};

static void hb_run(const struct hb_task *t)
{
    char msg[HB_BYTES] = { 0 };
    int group = t->id / (2 * HB_SIDE), member = t->id % (2 * HB_SIDE);
    int(*fd)[2] = t->fd + group * HB_SIDE;

    if (write(t->ready, msg, 1) != 1 || read(t->go, msg, 1) != 1)
        return;
    if (member < HB_SIDE) {
        for (int l = 0; l < HB_LOOPS; l++)
            for (int r = 0; r < HB_SIDE; r++)
                if (write(fd[r][1], msg, HB_BYTES) != HB_BYTES)
                    return;
    } else {
        size_t left = (size_t)HB_SIDE * HB_LOOPS * HB_BYTES;
        while (left > 0) {
            ssize_t got = read(fd[member - HB_SIDE][0], msg, HB_BYTES);
            if (got <= 0)
                return;
            left -= (size_t)got;
        }
    }
}

static void *hb_thread(void *arg)
{
    hb_run(arg);
    return NULL;
}

static void hackbench(bool process)
{
    static int fd[HB_GROUPS * HB_SIDE][2];
    static struct hb_task task[HB_TASKS];
    static pthread_t th[HB_TASKS];
    static pid_t child[HB_TASKS];
    static char go_bytes[HB_TASKS];
    int ready[2], go[2], err = 0;
    char c;

    if (pipe(ready) != 0 || pipe(go) != 0)
        err = errno;
    for (int i = 0; i < HB_GROUPS * HB_SIDE && err == 0; i++)
        if (pipe(fd[i]) != 0)
            err = errno;
    if (err != 0) {
        skip_errno("pipe", err);
        return;
    }
    for (int round = 0; round < HB_ROUNDS; round++) {
        for (int i = 0; i < HB_TASKS; i++) {
            task[i] = (struct hb_task){ i, ready[1], go[0], fd };
            if (process) {
                child[i] = fork();
                if (child[i] == 0) {
                    hb_run(&task[i]);
                    _exit(0);
                }
                if (child[i] < 0)
                    err = errno;
            } else {
                err = pthread_create(&th[i], NULL, hb_thread, &task[i]);
            }
            if (err != 0) { /* those already started wait for good: end them */
                skip_errno("start task", err);
                while (process && i-- > 0)
                    kill(child[i], SIGKILL);
                return;
            }
        }
        for (int i = 0; i < HB_TASKS; i++)
            if (read(ready[0], &c, 1) != 1)
                return;
        uint64_t t = now_ns();
        if (write(go[1], go_bytes, HB_TASKS) != HB_TASKS)
            return;
        for (int i = 0; i < HB_TASKS; i++) {
            if (process)
                wait(NULL);
            else
                pthread_join(th[i], NULL);
        }
        sample((double)(now_ns() - t) / (HB_GROUPS * HB_SIDE * HB_SIDE * HB_LOOPS));
    }
    report("", "message", "groups=%d senders=%d receivers=%d messages=%d",
           HB_GROUPS, HB_SIDE, HB_SIDE, HB_GROUPS * HB_SIDE * HB_SIDE * HB_LOOPS);
}

static void b_hack_thread(void)  { hackbench(false); }
static void b_hack_process(void) { hackbench(true); }

/* --------------------------------------------------- storms across all CPUs */

enum { STORM_EACH = 100, STORM_FORKS = 30, STORM_ROUNDS = 5 };
static const uint64_t storm_limit = 3000000000u; /* no further round after this */

static void *storm_creator(void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 << 10);
    for (int i = 0; i < STORM_EACH; i++) {
        pthread_t th;
        if (pthread_create(&th, &attr, null_thread, NULL) != 0)
            return (void *)1;
        pthread_join(th, NULL);
    }
    return arg;
}

static void b_storm_thread(void)
{
    int n = 2 * n_cpus;
    uint64_t start = now_ns();
    for (int r = 0; r < STORM_ROUNDS && now_ns() - start < storm_limit; r++) {
        struct crowd c;
        uint64_t t = now_ns();
        int err = crowd_start(&c, (unsigned)n, storm_creator, NULL);
        crowd_join(&c);
        if (err != 0) {
            skip_errno("pthread_create", err);
            return;
        }
        sample((double)(now_ns() - t) / (n * STORM_EACH));
    }
    report("", "thread", "creators=%d each=%d", n, STORM_EACH);
}

static void b_storm_fork(void)
{
    int n = 2 * n_cpus;
    uint64_t start = now_ns();
    for (int r = 0; r < STORM_ROUNDS && now_ns() - start < storm_limit; r++) {
        uint64_t t = now_ns();
        for (int i = 0; i < n; i++) {
            pid_t creator = fork();
            if (creator == 0) {
                for (int j = 0; j < STORM_FORKS; j++) {
                    pid_t pid = fork();
                    if (pid == 0)
                        _exit(0);
                    if (pid < 0 || waitpid(pid, NULL, 0) != pid)
                        _exit(1);
                }
                _exit(0);
            }
            if (creator < 0) {
                skip_errno("fork", errno);
                return;
            }
        }
        for (int i = 0; i < n; i++)
            wait(NULL);
        sample((double)(now_ns() - t) / (n * STORM_FORKS));
    }
    report("", "fork+exit+wait", "creators=%d each=%d", n, STORM_FORKS);
}

/* -------------------------------------------------------------------- system */

static void b_mem(void)
{
    struct sysinfo si;
    if (sysinfo(&si) != 0) {
        skip_errno("sysinfo", errno);
        return;
    }
    unsigned long unit = si.mem_unit != 0 ? si.mem_unit : 1;
    say("KB mem total_kib=%lu free_kib=%lu used_kib=%lu\n", si.totalram * unit / 1024,
        si.freeram * unit / 1024, (si.totalram - si.freeram) * unit / 1024);
}

/* ---------------------------------------------------------------------- main */

static const struct bench {
    const char *name;
    void (*run)(void);
    const char *what;
} benches[] = {
    { "mem", b_mem, "memory in use when this program starts (sysinfo)" },
    { "cpu", b_cpu, "a loop in user space: the speed of the machine" },
    { "null", b_null, "getppid: the shortest system call" },
    { "clock", b_clock, "clock_gettime through libc (vDSO if any) and as a call" },
    { "yield1", b_yield1, "sched_yield with nothing else to run" },
    { "yield2", b_yield2, "two threads yielding on one CPU" },
    { "yield2_fifo", b_yield2_fifo, "the same under SCHED_FIFO: a switch every yield" },
    { "yield2_proc", b_yield2_proc, "two processes yielding on one CPU" },
    { "yield2_proc_fifo", b_yield2_proc_fifo, "the same under SCHED_FIFO" },
    { "futex_same", b_futex_same, "futex wake/wait round trip, one CPU" },
    { "futex_same_fifo", b_futex_same_fifo, "the same under SCHED_FIFO: two sleeps, two switches" },
    { "futex_cross", b_futex_cross, "futex wake/wait round trip, two CPUs" },
    { "pipe_thr_same", b_pipe_thr_same, "pipe round trip, threads, one CPU" },
    { "pipe_thr_cross", b_pipe_thr_cross, "pipe round trip, threads, two CPUs" },
    { "pipe_proc_same", b_pipe_proc_same, "pipe round trip, processes, one CPU" },
    { "pipe_proc_cross", b_pipe_proc_cross, "pipe round trip, processes, two CPUs" },
    { "pthread", b_pthread, "pthread_create + pthread_join" },
    { "fork", b_fork, "fork + _exit + waitpid" },
    { "fork_32m", b_fork_32m, "the same with 32 MiB of touched memory" },
    { "exec_self", b_exec_self, "fork + exec of this program + wait" },
    { "exec_tiny", b_exec_tiny, "fork + exec of kbench-tiny + wait" },
    { "spawn_tiny", b_spawn_tiny, "posix_spawn of kbench-tiny + wait" },
    { "page", b_page, "mmap, touch, munmap: per page; touch alone" },
    { "mmap", b_mmap, "mmap + munmap of one untouched page" },
    { "herd", b_herd, "wake 1000 threads from one futex" },
    { "timer_other", b_timer_other, "lateness of a 1 ms sleep" },
    { "timer_noslack", b_timer_noslack, "the same with a timer slack of 1 ns" },
    { "timer_fifo", b_timer_fifo, "the same at SCHED_FIFO 90" },
    { "timer_other_hogs", b_timer_other_hogs, "the same beside four CPU hogs" },
    { "timer_fifo_hogs", b_timer_fifo_hogs, "SCHED_FIFO 90 beside four CPU hogs" },
    { "hack_thread", b_hack_thread, "hackbench-like: 2 groups of 10+10 threads, pipes" },
    { "hack_process", b_hack_process, "the same with processes" },
    { "yieldk", b_yieldk, "1, 10 ... 10000 runnable threads yielding, one CPU" },
    { "yieldk_fifo", b_yieldk_fifo, "the same under SCHED_FIFO" },
    { "storm_thread", b_storm_thread, "threads created and joined on all CPUs at once" },
    { "storm_fork", b_storm_fork, "processes forked and reaped on all CPUs at once" },
};
enum { N_BENCHES = sizeof benches / sizeof benches[0] };

static bool matches(const char *pattern, const char *name)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, name, len - 1) == 0;
    return strcmp(pattern, name) == 0;
}

/* Each benchmark in its own process: its threads, priority and end are its own. */
static void run_one(const struct bench *b, bool in_child, unsigned watchdog)
{
    int status = 0;

    bench_name = b->name;
    n_samples = 0;
    pid_t pid = in_child ? fork() : -1;
    if (pid < 0) {
        b->run();
        set_policy(SCHED_OTHER, 0);
        sched_setaffinity(0, sizeof all_cpus, &all_cpus);
        return;
    }
    if (pid == 0) {
        alarm(watchdog);
        b->run();
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFSIGNALED(status))
        say("KB %s FAIL signal %d%s\n", b->name, WTERMSIG(status),
            WTERMSIG(status) == SIGALRM ? " (watchdog)" : "");
    else if (status != 0)
        say("KB %s FAIL status %d\n", b->name, WEXITSTATUS(status));
}

static void run_all(int n_names, char **names, bool in_child, unsigned watchdog)
{
    struct utsname un;
    if (uname(&un) == 0)
        say("# kbench on %s %s %s, %d CPU(s), %ld-bit, page %ld\n", un.sysname, un.release,
            un.machine, n_cpus, (long)sizeof(long) * 8, sysconf(_SC_PAGESIZE));
    for (int i = 0; i < N_BENCHES; i++) {
        bool wanted = n_names == 0;
        for (int a = 0; a < n_names; a++)
            wanted |= matches(names[a], benches[i].name);
        if (wanted)
            run_one(&benches[i], in_child, watchdog);
    }
    say("# kbench end\n");
}

int main(int argc, char **argv)
{
    bool in_child = true;
    unsigned watchdog = 60;
    int n_names = 0;

    if (argc > 1 && strcmp(argv[1], "--exit") == 0)
        _exit(0); /* exec_self */
    find_paths(argv[0]);
    find_cpus();
    for (int a = 1; a < argc; a++) {
        if (strcmp(argv[a], "-l") == 0) {
            for (int i = 0; i < N_BENCHES; i++)
                say("%-18s %s\n", benches[i].name, benches[i].what);
            return 0;
        }
        if (strcmp(argv[a], "-n") == 0) {
            in_child = false;
        } else if (strcmp(argv[a], "-t") == 0 && a + 1 < argc) {
            watchdog = (unsigned)atoi(argv[++a]);
        } else if (strcmp(argv[a], "-w") == 0 && a + 1 < argc) {
            sleep_ns((uint64_t)atoi(argv[++a]) * 1000000000u);
        } else {
            bool known = false;
            for (int i = 0; i < N_BENCHES; i++)
                known |= matches(argv[a], benches[i].name);
            if (known) {
                argv[n_names++ + 1] = argv[a]; /* names gather at the front */
            } else {
                say("# no benchmark named %s\n", argv[a]);
                if (getpid() != 1) /* a kernel hands its init odd words */
                    return 2;
            }
        }
    }
    run_all(n_names, argv + 1, in_child, watchdog);
    if (getpid() == 1) {
        sync();
        reboot(RB_POWER_OFF);
        for (;;)
            pause();
    }
    return 0;
}
