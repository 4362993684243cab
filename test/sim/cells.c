/* SPDX-License-Identifier: MIT */
/* What a campaign did by strategy and number of CPUs: a table in Markdown, as it stands in docs/SIMULATOR.md. No lock:
 * the words that are read are atomic, and the campaign has come to its end. */
#include <stdatomic.h>

#include "campaign.h"

/* 12,345,678 */
static const char *grouped(uint64_t number, char out[32])
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        if (i != 0 && (length - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

static void cell_print(FILE *to, struct tally *cell)
{
    uint64_t failures = atomic_load(&cell->failures);
    char steps[32];

    (void)fprintf(to, " %s in %llu", grouped(atomic_load(&cell->steps), steps),
                  (unsigned long long)atomic_load(&cell->runs));
    if (failures != 0)
        (void)fprintf(to, ", %llu FAILED", (unsigned long long)failures);
    (void)fprintf(to, " |");
}

static void row_print(FILE *to, const struct options *options, const char *name, struct tally *cells)
{
    struct tally sum = { 0 };

    (void)fprintf(to, "| %s |", name);
    for (unsigned i = 0; i < options->cpu_counts; i++) {
        cell_print(to, &cells[i]);
        (void)atomic_fetch_add(&sum.runs, atomic_load(&cells[i].runs));
        (void)atomic_fetch_add(&sum.steps, atomic_load(&cells[i].steps));
        (void)atomic_fetch_add(&sum.failures, atomic_load(&cells[i].failures));
    }
    cell_print(to, &sum);
    (void)fprintf(to, "\n");
}

void cells_print(FILE *to, struct workers *workers)
{
    const struct options *options = workers->options;
    struct tally total[CPU_COUNTS_MAX] = { 0 };

    (void)fprintf(to, "\nsteps in runs:\n\n| strategy |");
    for (unsigned i = 0; i < options->cpu_counts; i++)
        (void)fprintf(to, " %u CPU%s |", options->cpu_count[i], options->cpu_count[i] == 1 ? "" : "s");
    (void)fprintf(to, " all |\n|---|");
    for (unsigned i = 0; i <= options->cpu_counts; i++)
        (void)fprintf(to, "---|");
    (void)fprintf(to, "\n");
    for (unsigned way = 0; way < options->strategy_count; way++) {
        for (unsigned i = 0; i < options->cpu_counts; i++) {
            (void)atomic_fetch_add(&total[i].runs, atomic_load(&workers->cell[way][i].runs));
            (void)atomic_fetch_add(&total[i].steps, atomic_load(&workers->cell[way][i].steps));
            (void)atomic_fetch_add(&total[i].failures, atomic_load(&workers->cell[way][i].failures));
        }
        row_print(to, options, host_strategy_name(options->strategy[way]), workers->cell[way]);
    }
    row_print(to, options, "all", total);
    (void)fprintf(to, "\n");
}
