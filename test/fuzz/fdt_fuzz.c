/* SPDX-License-Identifier: MIT */
/* Damaged device trees: core/parse/fdt.c refuses them, or answers every question about them within their bytes. */
#include "fuzz.h"

#include <string.h>

#include <parse/fdt_cpus.h>

#include <k/errno.h>

#include "fdt_build.h"

#define TOTAL_OFFSET 4

static struct fdt_build build;

static size_t make(struct fuzz_random *random, uint8_t *to)
{
    (void)random;
    if (build.bytes == 0)
        fdt_build_numa_machine(&build);
    memcpy(to, build.blob, build.bytes);
    return build.bytes;
}

/* Three of four times the header claims what is there, so that a cut or a splice is not refused for its size. */
static size_t repair(struct fuzz_random *random, uint8_t *data, size_t bytes)
{
    if (bytes >= TOTAL_OFFSET + 4 && fuzz_random_below(random, 4) != 0)
        for (size_t i = 0; i < 4; i++)
            data[TOTAL_OFFSET + i] = (uint8_t)(bytes >> (24 - 8 * i));
    return bytes;
}

static bool is_inside(const struct fdt *fdt, const void *data, size_t bytes)
{
    const uint8_t *at = data;

    return at >= fdt->blob && at <= fdt->blob + fdt->bytes && bytes <= (size_t)(fdt->blob + fdt->bytes - at);
}

/* The sum keeps the compiler from dropping the reads. */
static unsigned touch(const void *data, size_t bytes)
{
    unsigned sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum += ((const uint8_t *)data)[i];
    return sum;
}

static void ask_property(const struct fdt *fdt, fdt_node_t node, const char *name)
{
    struct fdt_property property;
    const char *text = fdt_get_string(fdt, node, name);
    uint64_t number;
    uint32_t cell;
    int found = fdt_get_property(fdt, node, name, &property);

    FUZZ_CHECK(found == 0 || found == -ENOENT);
    if (text != NULL)
        FUZZ_CHECK(is_inside(fdt, text, strlen(text) + 1));
    if (found == 0) {
        FUZZ_CHECK(strcmp(property.name, name) == 0 && is_inside(fdt, property.data, property.bytes));
        touch(property.data, property.bytes);
        FUZZ_CHECK((fdt_get_cell(fdt, node, name, 1, &cell) == 0) == (property.bytes >= 8));
        FUZZ_CHECK((fdt_get_number(fdt, node, name, &number) == 0) == (property.bytes == 4 || property.bytes == 8));
    } else {
        FUZZ_CHECK(text == NULL && fdt_get_cell(fdt, node, name, 0, &cell) == -ENOENT);
    }
}

static void ask_node(const struct fdt *fdt, fdt_node_t node, int depth)
{
    static const char *const names[] = {"reg", "ranges", "compatible", "status", "phandle", "bootargs"};
    const char *name = fdt_node_name(fdt, node);
    fdt_node_t child = fdt_first_child(fdt, node), sibling = fdt_next_sibling(fdt, node);
    fdt_node_t parent = fdt_parent(fdt, node);
    uint64_t base, bytes;

    FUZZ_CHECK(is_inside(fdt, name, strlen(name) + 1));
    FUZZ_CHECK((parent == FDT_NODE_NONE) == (depth == 0));
    FUZZ_CHECK(child == FDT_NODE_NONE || fdt_parent(fdt, child) == node);
    FUZZ_CHECK(sibling == FDT_NODE_NONE || fdt_parent(fdt, sibling) == parent);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ask_property(fdt, node, names[i]);
    (void)fdt_is_enabled(fdt, node);
    (void)fdt_is_compatible(fdt, node, "simple-bus");
    for (unsigned i = 0; i < 5; i++) {
        int error = fdt_get_reg(fdt, node, i, &base, &bytes);

        FUZZ_CHECK(error == 0 || error == -ENOENT || error == -EINVAL || error == -EOVERFLOW);
        FUZZ_CHECK(error != 0 || base + bytes >= base);
    }
}

static void ask_places(const struct fdt *fdt)
{
    static struct fdt_cpu_map map;
    static struct fdt_caches caches;
    uint32_t entry[3];
    uint32_t last;
    int error = fdt_read_caches(fdt, &caches);

    FUZZ_CHECK(caches.count <= FDT_CACHES_MAX && (error == 0) == (caches.count != 0));
    fdt_node_t cpus = fdt_find_path(fdt, "/cpus");

    for (fdt_node_t node = cpus == FDT_NODE_NONE ? cpus : fdt_first_child(fdt, cpus); node != FDT_NODE_NONE;
         node = fdt_next_sibling(fdt, node)) {
        error = fdt_find_last_cache(fdt, &caches, node, &last);
        FUZZ_CHECK(error == 0 || error == -ENOENT || error == -EINVAL);
        FUZZ_CHECK(error != 0 || caches.count != 0);
    }
    error = fdt_read_cpu_map(fdt, &map);
    FUZZ_CHECK(map.count <= FDT_CPU_MAP_MAX && (error == 0) == (map.count != 0));
    for (fdt_node_t node = 0; node != FDT_NODE_NONE; node = fdt_first_child(fdt, node))
        FUZZ_CHECK(fdt_find_in_cpu_map(fdt, &map, node) < (int)map.count);
    for (unsigned i = 0; fdt_get_distance(fdt, i, entry) == 0; i++)
        FUZZ_CHECK(i <= fdt->bytes / 12);
}

static bool run(const uint8_t *data, size_t available)
{
    struct fdt fdt;
    uint64_t base, bytes;
    int depth = 0, error = fdt_open(&fdt, data, available);
    unsigned count = 0;

    FUZZ_CHECK(error == 0 || error == -EINVAL || error == -EOVERFLOW || error == -EPROTO);
    if (error != 0)
        return false;
    FUZZ_CHECK(fdt.bytes <= available);
    for (fdt_node_t node = 0; node != FDT_NODE_NONE; node = fdt_next_node(&fdt, node, &depth)) {
        FUZZ_CHECK(depth >= 0 && ++count <= available / 12);
        ask_node(&fdt, node, depth);
    }
    ask_places(&fdt);
    for (unsigned i = 0; i <= 8; i++)
        (void)fdt_find_phandle(&fdt, i);
    (void)fdt_find_path(&fdt, "/soc/bus/timer@8010");
    (void)fdt_find_path(&fdt, "/cpus/cpu@1/interrupt-controller");
    for (fdt_node_t node = FDT_NODE_NONE;;) {
        node = fdt_find_compatible(&fdt, node, "ns16550a");
        if (node == FDT_NODE_NONE)
            break;
        FUZZ_CHECK(fdt_is_compatible(&fdt, node, "ns16550a"));
    }
    for (unsigned i = 0; fdt_get_reservation(&fdt, i, &base, &bytes) == 0; i++)
        FUZZ_CHECK(i <= available / 16);
    return true;
}

int main(int argc, char **argv)
{
    static const struct fuzz_target target = {.name = "fdt", .make = make, .repair = repair, .run = run};

    return fuzz_main(&target, argc, argv);
}
