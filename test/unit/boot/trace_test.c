/* SPDX-License-Identifier: MIT */
/*
 * The program `trace` on the simulated machine: "trace GOLDEN [SEEDS]" boots it once per seed, with clocks and CPUs of
 * other speeds each time, and every run must print the events of that file, which all machines share. "trace GOLDEN
 * --write" makes the file: after a change of the scheduler or of the workload, and then its diff is to be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <host/machine.h>

#define SEEDS_USUAL 12
#define EVENTS_BYTES_MAX HOST_CONSOLE_BYTES
#define CONTEXT_LINES 8

static struct host_result result;

static const char header[] =
    "# SPDX-License-Identifier: MIT\n"
    "# What `init=trace slice=100000 cpus=1` prints on every machine. Made by:\n"
    "# build/host/test/unit/boot/unit_boot_trace test/kernel/trace.golden --write\n";

/* One event per line; as read from the file, and as printed by a run. */
static char golden[EVENTS_BYTES_MAX + sizeof header], printed[EVENTS_BYTES_MAX];

static int run_seed(unsigned seed)
{
    static const uint64_t clocks[] = { 100000000, 1000000, 1000000000, 10000000, 62500000, 25000000 };
    static const unsigned step_ns[] = { 20, 1, 300, 5, 2000 };
    const struct host_config config = {
        .cpus = 1,
        .seed = seed,
        .clock_hz = clocks[seed % (sizeof clocks / sizeof clocks[0])],
        .step_ns = step_ns[seed % (sizeof step_ns / sizeof step_ns[0])],
        .strategy = seed % 2 == 0 ? HOST_UNIFORM : HOST_ROUND_ROBIN,
        .memory_bytes = 16 << 20,
        .cmdline = "init=trace slice=100000",
    };
    int code = host_machine_run_forked(&config, &result);

    if (code != 0)
        host_result_print(&config, &result);
    else if (result.console_bytes >= HOST_CONSOLE_BYTES)
        (void)fprintf(stderr, "the console is longer than what the machine keeps of it\n");
    else
        return 0;
    return 1;
}

/* The console's lines that begin with "ev ", without that. */
static void take_events(void)
{
    char *to = printed;
    const char *end = NULL;

    for (const char *line = result.console; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (strncmp(line, "ev ", 3) != 0)
            continue;
        size_t bytes = (size_t)(end - line) - 3 - (end[-1] == '\r');

        memcpy(to, line + 3, bytes);
        to[bytes] = '\n';
        to += bytes + 1;
    }
    *to = '\0';
}

static bool read_golden(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t used = 0;

    if (file == NULL) {
        perror(path);
        return false;
    }
    while (fgets(golden + used, (int)(sizeof golden - used), file) != NULL)
        if (golden[used] != '#')
            used += strlen(golden + used);
    golden[used] = '\0';
    (void)fclose(file);
    return used > 0;
}

static bool write_golden(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL) {
        perror(path);
        return false;
    }
    (void)fprintf(file, "%s%s", header, printed);
    return fclose(file) == 0;
}

static size_t line_bytes(const char *line)
{
    const char *end = strchr(line, '\n');

    return end != NULL ? (size_t)(end - line) + 1 : strlen(line);
}

static void print_lines(const char *mark, const char *from, const char *end, unsigned count)
{
    for (; count > 0 && from < end && *from != '\0'; count--, from += line_bytes(from))
        (void)fprintf(stderr, "  %s %.*s", mark, (int)line_bytes(from), from);
}

/* The first line that differs, with the lines before it, which are equal. */
static void print_difference(unsigned seed)
{
    const char *want = golden;
    const char *got = printed;
    const char *context[CONTEXT_LINES] = { golden };
    unsigned line = 1;

    for (; *want != '\0' && line_bytes(want) == line_bytes(got) && memcmp(want, got, line_bytes(want)) == 0; line++) {
        context[line % CONTEXT_LINES] = want;
        got += line_bytes(want);
        want += line_bytes(want);
    }
    (void)fprintf(stderr, "seed %u: event %u differs\n", seed, line);
    print_lines(" ", line > CONTEXT_LINES ? context[line % CONTEXT_LINES] : golden, want, CONTEXT_LINES);
    print_lines("-", want, want + strlen(want), CONTEXT_LINES / 2);
    print_lines("+", got, got + strlen(got), CONTEXT_LINES / 2);
}

int main(int argc, char **argv)
{
    bool writes = argc == 3 && strcmp(argv[2], "--write") == 0;
    unsigned seeds = argc == 3 && !writes ? (unsigned)strtoul(argv[2], NULL, 10) : SEEDS_USUAL;

    if (argc < 2 || argc > 3 || seeds == 0) {
        (void)fprintf(stderr, "usage: %s GOLDEN [SEEDS | --write]\n", argv[0]);
        return 2;
    }
    if (writes) {
        if (run_seed(0) != 0)
            return 1;
        take_events();
        return write_golden(argv[1]) ? 0 : 1;
    }
    if (!read_golden(argv[1]))
        return 1;
    for (unsigned seed = 0; seed < seeds; seed++) {
        if (run_seed(seed) != 0)
            return 1;
        take_events();
        if (strcmp(golden, printed) != 0) {
            print_difference(seed);
            return 1;
        }
    }
    (void)printf("%u seeds: the events are those of %s\n", seeds, argv[1]);
    return 0;
}
