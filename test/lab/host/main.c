/* SPDX-License-Identifier: MIT */
/*
 * The program `schedlab`: one workload on the simulated machine, in a child process; its table on standard output, its
 * timeline in files. Exit status: 0 it ran to its end, 1 it did not, 2 wrong words or a wrong workload. A file appears
 * under its name when it is complete; what is not, goes with the program, Ctrl-C included.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boot/program.h>
#include <host/machine.h>

#include "../lab.h"
#include "schedlab.h"

#define CPUS_DEFAULT 4u
#define STEP_NS 10u /* what a step, an atomic operation or a call of the HAL, takes with the code before it */
#define IPI_NS_MAX 1000u
#define WALL_SECONDS 7200u
#define MEMORY_BYTES (UINT64_C(64) << 20)
#define MEMORY_BYTES_PER_CPU (UINT64_C(256) << 10)
#define MEMORY_BYTES_PER_TASK (UINT64_C(26) << 10) /* stack, its page tables, the objects */

const struct lab_text lab_shipped[] = { { NULL, NULL, 0 } };
const struct boot_program boot_programs[] = {
    { "schedlab", "a workload", schedlab_main },
    { NULL, NULL, NULL },
};

struct words {
    const char *path, *out, *duration;
    uint64_t cpus, seed;
};

[[noreturn]] static void leave(int code, const char *format, ...) PRINTF_LIKE(2, 3);

static void leave(int code, const char *format, ...)
{
    va_list args;

    (void)fputs("schedlab: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(code);
}

static void usage(FILE *to)
{
    (void)fputs("usage: schedlab WORKLOAD [--cpus N] [--seed S] [--duration T] [--out FOLDER]\n"
                "  WORKLOAD      a file as docs/SCHEDLAB.md describes it\n"
                "  --cpus N      1 to 1024; as the workload says, or 4\n"
                "  --seed S      of what is drawn at random; 1 unless you say\n"
                "  --duration T  such as 200ms, instead of the workload's own\n"
                "  --out FOLDER  write NAME.txt, NAME.html, NAME.svg and NAME.json (for ui.perfetto.dev) there\n",
                to);
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    char *end = NULL;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || errno != 0 || *end != '\0' || value < min || value > max)
        leave(2, "%s %s: give a number from %llu to %llu", option, text, (unsigned long long)min,
              (unsigned long long)max);
    return value;
}

static void words_read(int argc, char **argv, struct words *out)
{
    *out = (struct words){ .seed = 1 };
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            exit(0);
        }
        if (argv[i][0] != '-') {
            if (out->path != NULL)
                leave(2, "%s: one workload at a time", argv[i]);
            out->path = argv[i];
            continue;
        }
        bool is_known = strcmp(argv[i], "--cpus") == 0 || strcmp(argv[i], "--seed") == 0 ||
                        strcmp(argv[i], "--duration") == 0 || strcmp(argv[i], "--out") == 0;

        if (!is_known)
            leave(2, "%s: no such word; right are --cpus, --seed, --duration, --out", argv[i]);
        if (value == NULL)
            leave(2, "%s needs a value", argv[i]);
        if (strcmp(argv[i], "--cpus") == 0)
            out->cpus = number(argv[i], value, 1, CPU_MAX);
        else if (strcmp(argv[i], "--seed") == 0)
            out->seed = number(argv[i], value, 0, INT64_MAX);
        else if (strcmp(argv[i], "--duration") == 0)
            out->duration = value;
        else
            out->out = value;
        i++;
    }
    if (out->path == NULL)
        leave(2, "which workload? --help says more");
}

static char text[WORKLOAD_BYTES_MAX + 1]; /* one more than the reader takes: it refuses what is longer */

static size_t text_read(const char *path)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        leave(2, "%s: %s", path, strerror(errno));
    size_t bytes = fread(text, 1, sizeof text, file);

    if (ferror(file))
        leave(2, "%s: %s", path, strerror(errno));
    (void)fclose(file);
    return bytes;
}

/* Without folder and ending. */
static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = strdup(slash != NULL ? slash + 1 : path);
    char *dot = name != NULL ? strrchr(name, '.') : NULL;

    if (name == NULL)
        leave(1, "out of memory");
    if (dot != NULL && dot != name)
        *dot = '\0';
    for (char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9')))
            *c = '-';
    return name;
}

static struct workload workload;

static int run(const struct words *words, struct host_result *result)
{
    static char cmdline[128];
    struct host_config config = {
        .cpus = (unsigned)words->cpus,
        .seed = words->seed,
        .strategy = HOST_PARALLEL,
        .step_ns = STEP_NS,
        .ipi_delay_ns_max = IPI_NS_MAX,
        .max_steps = UINT64_MAX / 2,
        .wall_seconds = WALL_SECONDS,
        .memory_bytes =
            MEMORY_BYTES + words->cpus * MEMORY_BYTES_PER_CPU + (uint64_t)workload.tasks * MEMORY_BYTES_PER_TASK,
        .cmdline = cmdline,
    };

    (void)snprintf(cmdline, sizeof cmdline, "init=schedlab:%s%s%s seed=%llu loglevel=2", lab_given.name,
                   words->duration != NULL ? ":" : "", words->duration != NULL ? words->duration : "",
                   (unsigned long long)words->seed);
    return host_machine_run_forked(&config, result);
}

/* The lines that begin with "lab: ", without that. */
static char *table_of(const char *console)
{
    char *table = calloc(1, strlen(console) + 1);
    size_t used = 0;

    if (table == NULL)
        leave(1, "out of memory");
    while (*console != '\0') {
        size_t bytes = strcspn(console, "\r\n");

        if (strncmp(console, "lab: ", 5) == 0 && strncmp(console, "lab: end", 8) != 0) {
            memcpy(table + used, console + 5, bytes - 5);
            used += bytes - 5;
            table[used++] = '\n';
        }
        console += bytes + strspn(console + bytes, "\r\n");
    }
    return table;
}

/* ---- Files ---- */

static char unfinished[4096]; /* a file that has to go, or "" */

static void remove_unfinished(void)
{
    if (unfinished[0] != '\0')
        (void)unlink(unfinished);
}

static void stop(int number)
{
    remove_unfinished();
    _exit(128 + number);
}

enum file_kind { FILE_TABLE, FILE_HTML, FILE_SVG, FILE_PERFETTO, FILES };

static void file_fill(FILE *file, enum file_kind kind, const struct timeline *timeline, const char *table)
{
    switch (kind) {
    case FILE_TABLE:
        (void)fputs(table, file);
        break;
    case FILE_HTML:
        html_write(file, timeline, table);
        break;
    case FILE_SVG:
        svg_write(file, timeline);
        break;
    case FILE_PERFETTO:
        perfetto_write(file, timeline);
        break;
    case FILES:
        break;
    }
}

static void files_write(const char *folder, const struct timeline *timeline, const char *table)
{
    static const char *const ending[FILES] = { "txt", "html", "svg", "json" };

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        leave(1, "%s: %s", folder, strerror(errno));
    for (unsigned kind = 0; kind < FILES; kind++) {
        char path[sizeof unfinished];
        int length = snprintf(path, sizeof path, "%s/%s.%s", folder, timeline->name, ending[kind]);

        if (length < 0 || (size_t)length + 8 > sizeof unfinished)
            leave(2, "--out %s: the name is too long", folder);
        (void)snprintf(unfinished, sizeof unfinished, "%s/.%s.%s", folder, timeline->name, ending[kind]);
        FILE *file = fopen(unfinished, "wb");

        if (file == NULL) {
            int error = errno;

            unfinished[0] = '\0';
            leave(1, "%s: %s", path, strerror(error));
        }
        file_fill(file, (enum file_kind)kind, timeline, table);
        bool is_bad = ferror(file) != 0;

        if (fclose(file) != 0 || is_bad || rename(unfinished, path) != 0)
            leave(1, "%s: %s", path, strerror(errno));
        unfinished[0] = '\0';
    }
}

int main(int argc, char **argv)
{
    static struct host_result result;
    struct workload_error error;
    struct words words;

    words_read(argc, argv, &words);
    size_t bytes = text_read(words.path);

    if (workload_parse(text, bytes, &workload, &error) != 0) {
        (void)fprintf(stderr, "%s:%u:%u: %s\n", words.path, error.line, error.column, error.text);
        return 2;
    }
    uint64_t ns;

    if (words.duration != NULL && (workload_parse_time(words.duration, strlen(words.duration), &ns) != 0 || ns == 0))
        leave(2, "--duration %s: give a time such as 200ms", words.duration);
    if (words.cpus == 0)
        words.cpus = workload.cpus != 0 ? workload.cpus : CPUS_DEFAULT;
    lab_given = (struct lab_text){ .name = name_of(words.path), .text = text, .bytes = bytes };
    struct recording *recording = recording_begin(&workload);

    if (recording == NULL)
        leave(1, "out of memory");
    int code = run(&words, &result);

    if (code != 0 || strstr(result.console, "lab: end") == NULL) {
        (void)fprintf(stderr, "%s%s", result.console, result.report);
        return code == 2 ? 2 : 1;
    }
    static char *table; /* for as long as the program runs, as the timeline */

    table = table_of(result.console);
    (void)fputs(table, stdout);
    if (words.out == NULL)
        return 0;
    static struct timeline *timeline;

    timeline = timeline_make(lab_given.name, &workload, (unsigned)words.cpus, recording);

    if (timeline == NULL)
        leave(1, "out of memory");
    (void)atexit(remove_unfinished);
    (void)signal(SIGINT, stop);
    (void)signal(SIGTERM, stop);
    files_write(words.out, timeline, table);
    return 0;
}
