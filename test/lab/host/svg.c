/* SPDX-License-Identifier: MIT */
/*
 * A timeline to look at: a lane for each CPU, a colour for each group, shades for its tasks. Where there are too many
 * stretches to see, a lane is cut into pieces of equal length, each in the colour of the group that had the most of it,
 * the paler the more of it was idle. Numbers are whole, so the same timeline has the same bytes everywhere.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "schedlab.h"

#define WIDTH 1600u
#define MARGIN 60u
#define UNITS 1000000u      /* of a lane's length: finer than a screen, for who looks closer */
#define EXACT_MAX 30000u    /* stretches that are drawn one by one */
#define PIECES_MAX 60000u   /* of all lanes together */
#define PIECES_LANE_MAX 1600u
#define SHADES 4u
#define OTHER_CLASS "k"
#define STOP_CLASS "s"

static unsigned lane_height(unsigned cpus)
{
    return cpus <= 16 ? 26 : cpus <= 64 ? 13 : cpus <= 256 ? 5 : 2;
}

static uint64_t length_ns(const struct timeline *timeline)
{
    return timeline->to_ns - timeline->from_ns;
}

static uint64_t unit_of(const struct timeline *timeline, uint64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * UNITS / length_ns(timeline));
}

/* Neighbours in the list of groups get hues far apart: the golden angle. */
static void styles_write(FILE *file, const struct timeline *timeline)
{
    (void)fputs("<style>text{font:12px sans-serif;fill:#333}.lane{fill:#f2f2f2}.k{fill:#777}.s{fill:#000}", file);
    for (unsigned group = 0; group < timeline->workload->groups; group++) {
        for (unsigned shade = 0; shade < SHADES; shade++)
            (void)fprintf(file, ".g%us%u{fill:hsl(%u,65%%,%u%%)}", group, shade, (group * 137 + 210) % 360,
                          42 + 8 * shade);
        for (unsigned shade = 0; shade < SHADES; shade++)
            (void)fprintf(file, ".g%up%u{fill:hsl(%u,65%%,%u%%)}", group, shade, (group * 137 + 210) % 360,
                          84 - 12 * shade);
    }
    (void)fputs("</style>\n", file);
}

static unsigned legend_item(FILE *file, unsigned x, const char *colour, const char *name)
{
    (void)fprintf(file, "<rect class=\"%s\" x=\"%u\" y=\"8\" width=\"12\" height=\"12\"/>"
                        "<text x=\"%u\" y=\"18\">%s</text>\n",
                  colour, x, x + 16, name);
    return x + 40 + 7 * (unsigned)strlen(name);
}

static void legend_write(FILE *file, const struct timeline *timeline)
{
    unsigned x = legend_item(file, MARGIN, STOP_CLASS, "stopper");

    x = legend_item(file, x, OTHER_CLASS, "kernel");
    for (unsigned group = 0; group < timeline->workload->groups && x < WIDTH - 100; group++) {
        const struct workload_group *is = &timeline->workload->group[group];
        char colour[16], name[WORKLOAD_NAME_BYTES + 16];

        (void)snprintf(colour, sizeof colour, "g%us1", group);
        (void)snprintf(name, sizeof name, "%s (%u)", is->name, is->count);
        x = legend_item(file, x, colour, name);
    }
}

static void axis_write(FILE *file, const struct timeline *timeline, unsigned top, unsigned bottom)
{
    for (unsigned tick = 0; tick <= 10; tick++) {
        uint64_t us = length_ns(timeline) / 1000 * tick / 10;
        unsigned x = MARGIN + (WIDTH - MARGIN) / 10 * tick;

        (void)fprintf(file, "<path class=\"axis\" d=\"M%u %uV%u\" stroke=\"#ccc\"/>"
                            "<text class=\"axis\" x=\"%u\" y=\"%u\"%s>%" PRIu64 ".%03u ms</text>\n",
                      x, top, bottom, x, bottom + 14, tick == 10 ? " text-anchor=\"end\"" : "", us / 1000,
                      (unsigned)(us % 1000));
    }
}

static void rect_write(FILE *file, uint64_t from, uint64_t to, unsigned y, unsigned height)
{
    (void)fprintf(file, " x=\"%" PRIu64 "\" y=\"%u\" width=\"%" PRIu64 "\" height=\"%u\"", from, y,
                  to > from ? to - from : 1, height);
}

static void exact_write(FILE *file, const struct timeline *timeline, const struct stretch *stretch, unsigned y,
                        unsigned height)
{
    if (stretch->group == RECORD_OTHER || stretch->group == RECORD_STOP)
        (void)fprintf(file, "<rect class=\"%s\"", stretch->group == RECORD_STOP ? STOP_CLASS : OTHER_CLASS);
    else
        (void)fprintf(file, "<rect class=\"g%us%u\"", stretch->group, stretch->index % SHADES);
    rect_write(file, unit_of(timeline, stretch->from_ns), unit_of(timeline, stretch->to_ns), y, height);
    (void)fprintf(file, "><title>%s/%u, CPU %u, from %" PRIu64 ".%03u us for %" PRIu64 ".%03u us</title></rect>\n",
                  group_name(timeline, stretch->group), stretch->index, stretch->cpu,
                  stretch->from_ns / 1000, (unsigned)(stretch->from_ns % 1000),
                  (stretch->to_ns - stretch->from_ns) / 1000,
                  (unsigned)((stretch->to_ns - stretch->from_ns) % 1000));
}

/* What a piece of a lane shows. */
struct piece {
    uint16_t group; /* RECORD_IDLE: nothing */
    uint8_t shade;
};

struct pieces {
    unsigned count; /* of a lane */
    uint64_t *busy; /* [piece * (groups + 1) + group]; the last group is the kernel's own */
    struct piece *piece;
};

static void lane_sum(const struct timeline *timeline, unsigned cpu, struct pieces *pieces)
{
    unsigned groups = timeline->workload->groups + 1u;

    memset(pieces->busy, 0, (size_t)pieces->count * groups * sizeof *pieces->busy);
    for (size_t i = timeline->first[cpu]; i < timeline->first[cpu + 1]; i++) {
        const struct stretch *stretch = &timeline->stretch[i];
        unsigned group = MIN(stretch->group, groups - 1);

        for (uint64_t at = stretch->from_ns; at < stretch->to_ns;) {
            uint64_t piece = (uint64_t)((unsigned __int128)at * pieces->count / length_ns(timeline));
            uint64_t next = ((piece + 1) * length_ns(timeline) + pieces->count - 1) / pieces->count;
            uint64_t end = next < stretch->to_ns ? next : stretch->to_ns;

            if (piece >= pieces->count)
                break;
            pieces->busy[piece * groups + group] += end - at;
            at = end;
        }
    }
}

static struct piece piece_of(const struct timeline *timeline, const uint64_t *busy, uint64_t piece_ns)
{
    struct piece out = { .group = RECORD_IDLE };
    uint64_t sum = 0, most = 0;

    for (uint16_t group = 0; group <= timeline->workload->groups; group++) {
        sum += busy[group];
        if (busy[group] > most) {
            most = busy[group];
            out.group = group == timeline->workload->groups ? (uint16_t)RECORD_OTHER : group;
        }
    }
    out.shade = (uint8_t)(sum >= piece_ns ? SHADES - 1 : sum * SHADES / (piece_ns + 1));
    return out;
}

static void pieces_write(FILE *file, const struct timeline *timeline, unsigned cpu, struct pieces *pieces, unsigned y,
                         unsigned height)
{
    unsigned groups = timeline->workload->groups + 1u;

    lane_sum(timeline, cpu, pieces);
    for (unsigned i = 0; i < pieces->count; i++)
        pieces->piece[i] = piece_of(timeline, &pieces->busy[(size_t)i * groups], length_ns(timeline) / pieces->count);
    for (unsigned from = 0, to = 0; from < pieces->count; from = to) {
        const struct piece *piece = &pieces->piece[from];

        for (to = from + 1; to < pieces->count && memcmp(&pieces->piece[to], piece, sizeof *piece) == 0;)
            to++;
        if (piece->group == RECORD_IDLE)
            continue;
        if (piece->group == RECORD_OTHER)
            (void)fputs("<rect class=\"" OTHER_CLASS "\"", file);
        else
            (void)fprintf(file, "<rect class=\"g%up%u\"", piece->group, piece->shade);
        rect_write(file, (uint64_t)from * UNITS / pieces->count, (uint64_t)to * UNITS / pieces->count, y, height);
        (void)fputs("/>\n", file);
    }
}

static bool pieces_make(const struct timeline *timeline, struct pieces *out)
{
    out->count = PIECES_MAX / timeline->cpus;
    if (out->count > PIECES_LANE_MAX)
        out->count = PIECES_LANE_MAX;
    out->busy = calloc((size_t)out->count * (timeline->workload->groups + 1u), sizeof *out->busy);
    out->piece = calloc(out->count, sizeof *out->piece);
    return out->busy != NULL && out->piece != NULL;
}

static void lanes_write(FILE *file, const struct timeline *timeline, unsigned top, unsigned height)
{
    bool is_exact = timeline->stretches <= EXACT_MAX;
    unsigned gap = height > 8 ? 4 : height > 2 ? 1 : 0;
    struct pieces pieces = { 0 };

    if (!is_exact && !pieces_make(timeline, &pieces)) {
        (void)fputs("schedlab: out of memory\n", stderr);
        exit(1);
    }
    for (unsigned cpu = 0; cpu < timeline->cpus; cpu++) {
        unsigned y = top + cpu * height;

        if (gap > 0)
            (void)fprintf(file, "<rect class=\"lane\" x=\"0\" y=\"%u\" width=\"%u\" height=\"%u\"/>\n", y, UNITS,
                          height - gap);
        for (size_t i = timeline->first[cpu]; is_exact && i < timeline->first[cpu + 1]; i++)
            exact_write(file, timeline, &timeline->stretch[i], y, height - gap);
        if (!is_exact)
            pieces_write(file, timeline, cpu, &pieces, y, height - gap);
    }
    free(pieces.busy);
    free(pieces.piece);
}

void svg_write(FILE *file, const struct timeline *timeline)
{
    unsigned height = lane_height(timeline->cpus);
    unsigned top = 30;
    unsigned bottom = top + height * timeline->cpus;
    unsigned labels = (14 + height - 1) / height; /* every so many lanes have a name */

    (void)fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" width=\"%u\" height=\"%u\" "
                        "data-ns=\"%" PRIu64 "\">\n",
                  WIDTH + 4, bottom + 24, WIDTH + 4, bottom + 24, length_ns(timeline));
    styles_write(file, timeline);
    (void)fprintf(file, "<rect width=\"%u\" height=\"%u\" fill=\"#fff\"/>\n", WIDTH + 4, bottom + 24);
    legend_write(file, timeline);
    axis_write(file, timeline, top, bottom);
    for (unsigned cpu = 0; cpu < timeline->cpus; cpu += labels)
        (void)fprintf(file, "<text x=\"4\" y=\"%u\">CPU %u</text>\n", top + cpu * height + (height > 20 ? 16 : 10),
                      cpu);
    /* The inner picture cuts off what a reader who looks closer moves out of sight. */
    (void)fprintf(file,
                  "<svg x=\"%u\" y=\"0\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" preserveAspectRatio=\"none\" "
                  "class=\"view\">\n",
                  MARGIN, WIDTH - MARGIN, bottom, UNITS, bottom);
    lanes_write(file, timeline, top, height);
    (void)fputs("</svg>\n</svg>\n", file);
}
