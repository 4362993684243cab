/* SPDX-License-Identifier: MIT */
/* Tests of core/parse/fdt.c on trees that fdt_build.c writes; test/fuzz/fdt_fuzz.c damages them at random. */
#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <parse/fdt.h>

#include <k/errno.h>

#include "fdt_build.h"

#define HEADER_TOTAL 4
#define HEADER_STRUCT 8
#define HEADER_STRINGS 12
#define HEADER_RESERVE 16
#define HEADER_VERSION 20
#define HEADER_COMPATIBLE 24
#define HEADER_STRINGS_BYTES 32
#define HEADER_STRUCT_BYTES 36

static struct fdt_build build;
static struct fdt fdt;

static uint8_t *guarded_end; /* of readable memory; behind it every access faults */

/* Open a copy of the blob that ends where the readable memory ends. */
static int open_cut(uint32_t bytes)
{
    memcpy(guarded_end - bytes, build.blob, bytes);
    return fdt_open(&fdt, guarded_end - bytes, bytes);
}

static int reopen(void)
{
    return open_cut(build.bytes);
}

static int map_guarded(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (sizeof(build.blob) + page - 1) / page * page;
    uint8_t *base = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    if (base == MAP_FAILED || mprotect(base + bytes, page, PROT_NONE) != 0)
        return -1;
    guarded_end = base + bytes;
    return 0;
}

static int open_machine(void **state)
{
    (void)state;
    fdt_build_machine(&build);
    return reopen();
}

static fdt_node_t at(const char *path)
{
    fdt_node_t node = fdt_find_path(&fdt, path);

    assert_int_not_equal(node, FDT_NODE_NONE);
    return node;
}

static void the_claimed_size_needs_the_magic(void **state)
{
    (void)state;
    assert_int_equal(fdt_claimed_bytes(build.blob), build.bytes);
    build.blob[0] ^= 1;
    assert_int_equal(fdt_claimed_bytes(build.blob), 0);
    assert_int_equal(reopen(), -EINVAL);
}

static void a_blob_larger_than_what_is_there_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fdt_open(&fdt, build.blob, build.bytes - 1), -EOVERFLOW);
    assert_int_equal(fdt_open(&fdt, build.blob, 8), -EOVERFLOW);
    assert_int_equal(fdt_open(&fdt, build.blob, 7), -EINVAL);
    assert_int_equal(fdt_open(&fdt, build.blob, 0), -EINVAL);
    assert_int_equal(fdt_open(&fdt, build.blob, build.bytes + 100), 0);
    fdt_build_put32(&build, HEADER_TOTAL, UINT32_MAX);
    assert_int_equal(reopen(), -EOVERFLOW);
}

static void every_shorter_total_size_is_refused(void **state)
{
    (void)state;
    for (uint32_t total = 0; total < build.bytes; total++) {
        fdt_build_put32(&build, HEADER_TOTAL, total);
        assert_int_equal(open_cut(MAX(total, 8)), -EINVAL);
    }
}

static void every_shorter_structure_is_refused(void **state)
{
    uint32_t start = fdt_build_get32(&build, HEADER_STRUCT), end = start + fdt_build_get32(&build, HEADER_STRUCT_BYTES);

    (void)state;
    for (uint32_t total = start; total < end; total++) {
        fdt_build_put32(&build, HEADER_TOTAL, total);
        fdt_build_put32(&build, HEADER_STRUCT_BYTES, total - start);
        fdt_build_put32(&build, HEADER_STRINGS, 0); /* names are rubbish, but there */
        fdt_build_put32(&build, HEADER_STRINGS_BYTES, total);
        assert_int_equal(open_cut(total), -EINVAL);
    }
}

static void versions_other_than_16_and_17_are_refused(void **state)
{
    (void)state;
    fdt_build_put32(&build, HEADER_VERSION, 15);
    assert_int_equal(reopen(), -EPROTO);
    fdt_build_put32(&build, HEADER_VERSION, 18);
    assert_int_equal(reopen(), 0); /* still readable as 16, it says */
    fdt_build_put32(&build, HEADER_COMPATIBLE, 18);
    assert_int_equal(reopen(), -EPROTO);
}

static void version_16_has_no_structure_size(void **state)
{
    (void)state;
    fdt_build_put32(&build, HEADER_VERSION, 16);
    fdt_build_put32(&build, HEADER_STRUCT_BYTES, 0xffffffff); /* not read */
    assert_int_equal(reopen(), 0);
    assert_string_equal(fdt_node_name(&fdt, at("/cpus/cpu@100")), "cpu@100");
}

static void blocks_outside_the_blob_are_refused(void **state)
{
    static const uint32_t fields[] = {HEADER_STRUCT, HEADER_STRINGS, HEADER_RESERVE, HEADER_STRINGS_BYTES,
                                      HEADER_STRUCT_BYTES};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const uint32_t values[] = {build.bytes + 4, build.bytes + 8, 0x7ffffff8, 0x80000000, 0xfffffff8, 0xffffffff};

        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            assert_int_equal(open_machine(state), 0);
            fdt_build_put32(&build, fields[i], values[j]);
            assert_int_equal(reopen(), -EINVAL);
        }
    }
}

static void reservations_without_an_end_are_refused(void **state)
{
    (void)state;
    memset(build.blob + build.bytes - 15, 0, 15); /* an end, were it whole */
    for (uint32_t offset = (build.bytes - 8) & ~7u; offset < build.bytes + 32; offset += 8) {
        fdt_build_put32(&build, HEADER_RESERVE, offset);
        assert_int_equal(reopen(), -EINVAL);
    }
    fdt_build_put32(&build, HEADER_RESERVE, 44); /* off the 8-byte grid */
    assert_int_equal(reopen(), -EINVAL);
}

static void reservations_are_read_in_order(void **state)
{
    uint64_t base, bytes;

    (void)state;
    assert_int_equal(fdt_get_reservation(&fdt, 0, &base, &bytes), 0);
    assert_int_equal(base, 0x80000000);
    assert_int_equal(bytes, 0x40000);
    assert_int_equal(fdt_get_reservation(&fdt, 1, &base, &bytes), 0);
    assert_int_equal(base, UINT64_C(0x123456789a000));
    assert_int_equal(bytes, 0x1000);
    assert_int_equal(fdt_get_reservation(&fdt, 2, &base, &bytes), -ENOENT);
    assert_int_equal(fdt_get_reservation(&fdt, UINT32_MAX, &base, &bytes), -ENOENT);
}

/* Build a structure block from a string: ( node "n", r root, ) end node, p property, - nop, . end, X rubbish. */
static int open_tokens(const char *tokens)
{
    fdt_build_begin(&build);
    for (; *tokens != '\0'; tokens++) {
        switch (*tokens) {
        case 'r':
            fdt_build_node(&build, "");
            break;
        case '(':
            fdt_build_node(&build, "n");
            break;
        case '/':
            fdt_build_node(&build, "a/b");
            break;
        case ')':
            fdt_build_close(&build);
            break;
        case 'p':
            fdt_build_string(&build, "p", "value");
            break;
        case '-':
            fdt_build_token(&build, 4);
            break;
        case '.':
            fdt_build_token(&build, 9);
            break;
        default:
            fdt_build_token(&build, 7);
            break;
        }
    }
    fdt_build_end(&build);
    return reopen();
}

static void only_one_balanced_root_is_accepted(void **state)
{
    static const char *const good[] = {"r)", "rp)", "--r-p-(-p-)-)-", "r((p)()))", "r)."};
    static const char *const bad[] = {"", "r", "r))", ")", "p", "pr)", "r)r)", "r)p", "r(", "(p)", "rr))", "r/))",
                                      "r()p)", "rX)", "X", "r.)", "."};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(open_tokens(good[i]), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(open_tokens(bad[i]), -EINVAL);
}

static void nops_are_invisible(void **state)
{
    struct fdt_property property;
    int depth = 0;
    fdt_node_t node;

    (void)state;
    assert_int_equal(open_tokens("---r-p-(-p-)-()--)--"), 0);
    assert_int_equal(fdt_get_property(&fdt, 0, "p", &property), 0);
    node = fdt_next_node(&fdt, 0, &depth);
    assert_int_equal(depth, 1);
    assert_string_equal(fdt_node_name(&fdt, node), "n");
    assert_int_equal(fdt_get_property(&fdt, node, "p", &property), 0);
    node = fdt_next_sibling(&fdt, node);
    assert_string_equal(fdt_node_name(&fdt, node), "n");
    assert_int_equal(fdt_get_property(&fdt, node, "p", &property), -ENOENT);
    assert_int_equal(fdt_parent(&fdt, node), 0);
    assert_int_equal(fdt_next_sibling(&fdt, node), FDT_NODE_NONE);
}

static void a_tree_deeper_than_the_bound_is_refused(void **state)
{
    (void)state;
    for (int depth = 30; depth < 36; depth++) {
        char tokens[128] = "r";

        for (int i = 1; i < depth; i++)
            strcat(tokens, "(");
        for (int i = 0; i < depth; i++)
            strcat(tokens, ")");
        assert_int_equal(open_tokens(tokens), depth <= 32 ? 0 : -EINVAL);
    }
}

static void nodes_come_depth_first(void **state)
{
    static const struct {
        const char *name;
        int depth;
    } expected[] = {
        {"", 0}, {"chosen", 1}, {"memory@80000000", 1}, {"cpus", 1},
        {"cpu@0", 2}, {"interrupt-controller", 3}, {"cpu@1", 2}, {"interrupt-controller", 3},
        {"cpu@100", 2}, {"interrupt-controller", 3}, {"soc", 1}, {"serial@10000000", 2}, {"bus@4000000", 2},
        {"timer@8010", 3},
    };
    size_t i = 0;
    int depth = 0;

    (void)state;
    for (fdt_node_t node = 0; node != FDT_NODE_NONE; node = fdt_next_node(&fdt, node, &depth), i++) {
        assert_in_range(i, 0, sizeof(expected) / sizeof(expected[0]) - 1);
        assert_string_equal(fdt_node_name(&fdt, node), expected[i].name);
        assert_int_equal(depth, expected[i].depth);
    }
    assert_int_equal(i, sizeof(expected) / sizeof(expected[0]));
}

static void children_and_siblings_are_found(void **state)
{
    fdt_node_t node;

    (void)state;
    node = fdt_first_child(&fdt, at("/cpus"));
    assert_string_equal(fdt_node_name(&fdt, node), "cpu@0");
    node = fdt_next_sibling(&fdt, node);
    assert_string_equal(fdt_node_name(&fdt, node), "cpu@1");
    node = fdt_next_sibling(&fdt, node);
    assert_string_equal(fdt_node_name(&fdt, node), "cpu@100");
    assert_int_equal(fdt_next_sibling(&fdt, node), FDT_NODE_NONE);
    assert_int_equal(fdt_first_child(&fdt, at("/chosen")), FDT_NODE_NONE);
    assert_int_equal(fdt_first_child(&fdt, at("/soc/bus/timer")), FDT_NODE_NONE);
    assert_int_equal(fdt_next_sibling(&fdt, 0), FDT_NODE_NONE);
}

static void parents_are_found(void **state)
{
    (void)state;
    assert_int_equal(fdt_parent(&fdt, 0), FDT_NODE_NONE);
    assert_int_equal(fdt_parent(&fdt, at("/cpus")), 0);
    assert_int_equal(fdt_parent(&fdt, at("/soc/bus/timer")), at("/soc/bus"));
}

static void paths_may_leave_the_unit_address_out(void **state)
{
    (void)state;
    assert_int_equal(at("/"), 0);
    assert_int_equal(at("/memory"), at("/memory@80000000"));
    assert_int_equal(at("/cpus/cpu"), at("/cpus/cpu@0"));
    assert_int_equal(at("//cpus//cpu@1/"), at("/cpus/cpu@1"));
    assert_int_equal(fdt_find_path(&fdt, "/cpus/cpu@"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, "/cpus/cpu@10"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, "/cpu"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, "/chose"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, "/chosen/x"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, "chosen"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_path(&fdt, ""), FDT_NODE_NONE);
}

static void compatible_lists_are_searched_whole(void **state)
{
    fdt_node_t node = fdt_find_compatible(&fdt, FDT_NODE_NONE, "ns16550a");

    (void)state;
    assert_int_equal(node, at("/soc/serial"));
    assert_true(fdt_is_compatible(&fdt, node, "vendor,uart"));
    assert_false(fdt_is_compatible(&fdt, node, "vendor"));
    assert_false(fdt_is_compatible(&fdt, node, "uart"));
    assert_false(fdt_is_compatible(&fdt, node, ""));
    node = fdt_find_compatible(&fdt, node, "ns16550a");
    assert_int_equal(node, at("/soc/bus/timer"));
    assert_int_equal(fdt_find_compatible(&fdt, node, "ns16550a"), FDT_NODE_NONE);
    assert_int_equal(fdt_find_compatible(&fdt, FDT_NODE_NONE, "riscv-virtio"), 0);
}

static void a_missing_or_good_status_enables(void **state)
{
    (void)state;
    assert_true(fdt_is_enabled(&fdt, at("/cpus/cpu@0")));
    assert_true(fdt_is_enabled(&fdt, at("/cpus/cpu@1")));
    assert_false(fdt_is_enabled(&fdt, at("/cpus/cpu@100")));
}

static void strings_need_their_end(void **state)
{
    (void)state;
    assert_string_equal(fdt_get_string(&fdt, at("/chosen"), "bootargs"), "console=ttyS0 quiet");
    assert_string_equal(fdt_get_string(&fdt, at("/soc/serial"), "compatible"), "vendor,uart");
    assert_null(fdt_get_string(&fdt, at("/chosen"), "nothing"));
    assert_null(fdt_get_string(&fdt, at("/soc"), "ranges"));

    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_prop(&build, "open", "text", 4);
    fdt_build_prop(&build, "status", "okay", 4);
    fdt_build_prop(&build, "compatible", "a\0bc", 4);
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(reopen(), 0);
    assert_null(fdt_get_string(&fdt, 0, "open"));
    assert_false(fdt_is_enabled(&fdt, 0));
    assert_true(fdt_is_compatible(&fdt, 0, "a"));
    assert_false(fdt_is_compatible(&fdt, 0, "bc"));
}

static void cells_and_numbers_are_big_endian(void **state)
{
    fdt_node_t memory = at("/memory"), chosen = at("/chosen");
    uint64_t number;
    uint32_t cell;

    (void)state;
    assert_int_equal(fdt_get_cell(&fdt, memory, "reg", 1, &cell), 0);
    assert_int_equal(cell, 0x80000000);
    assert_int_equal(fdt_get_cell(&fdt, memory, "reg", 7, &cell), 0);
    assert_int_equal(fdt_get_cell(&fdt, memory, "reg", 8, &cell), -EINVAL);
    assert_int_equal(fdt_get_cell(&fdt, memory, "reg", UINT32_MAX, &cell), -EINVAL);
    assert_int_equal(fdt_get_cell(&fdt, memory, "none", 0, &cell), -ENOENT);
    assert_int_equal(fdt_get_number(&fdt, chosen, "linux,initrd-start", &number), 0);
    assert_int_equal(number, 0x84000000);
    assert_int_equal(fdt_get_number(&fdt, chosen, "linux,initrd-end", &number), 0);
    assert_int_equal(number, UINT64_C(0x184100000));
    assert_int_equal(fdt_get_number(&fdt, chosen, "bootargs", &number), -EINVAL);
    assert_int_equal(fdt_get_number(&fdt, chosen, "none", &number), -ENOENT);
}

static void expect_reg(const char *path, unsigned index, uint64_t base, uint64_t bytes)
{
    uint64_t got_base, got_bytes;

    assert_int_equal(fdt_get_reg(&fdt, at(path), index, &got_base, &got_bytes), 0);
    assert_int_equal(got_base, base);
    assert_int_equal(got_bytes, bytes);
}

static int reg_error(const char *path, unsigned index)
{
    uint64_t base, bytes;

    return fdt_get_reg(&fdt, at(path), index, &base, &bytes);
}

static void reg_is_decoded_by_the_parents_cells(void **state)
{
    (void)state;
    expect_reg("/memory", 0, 0x80000000, 0x20000000);
    expect_reg("/memory", 1, UINT64_C(1) << 32, UINT64_C(4) << 32);
    assert_int_equal(reg_error("/memory", 2), -ENOENT);
    assert_int_equal(reg_error("/memory", UINT32_MAX), -ENOENT);
    expect_reg("/cpus/cpu@100", 0, 0x100, 0);
    assert_int_equal(reg_error("/cpus/cpu@100", 1), -ENOENT);
    assert_int_equal(reg_error("/chosen", 0), -ENOENT);
    assert_int_equal(reg_error("/", 0), -ENOENT);
}

static void reg_is_translated_through_every_bus(void **state)
{
    (void)state;
    expect_reg("/soc/serial", 1, 0x20000000, 0x200);
    expect_reg("/soc/bus/timer", 0, UINT64_C(0x105000010), 0x10);
    expect_reg("/soc/bus/timer", 1, UINT64_C(0x104000ff0), 0x10); /* up to the very end of its range */
    assert_int_equal(reg_error("/soc/bus/timer", 2), -EINVAL);    /* one byte over the end */
    assert_int_equal(reg_error("/soc/bus/timer", 3), -EINVAL);    /* in no range */
    assert_int_equal(reg_error("/soc/bus/timer", 4), -ENOENT);
}

/* A bus with its own cells and ranges, and one device on it. */
static void build_bus(uint32_t address_cells, uint32_t size_cells, const void *ranges, size_t ranges_bytes,
                      const uint32_t *reg, size_t reg_cells)
{
    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_node(&build, "bus");
    FDT_CELLS(&build, "#address-cells", address_cells);
    FDT_CELLS(&build, "#size-cells", size_cells);
    if (ranges != NULL)
        fdt_build_prop(&build, "ranges", ranges, ranges_bytes);
    fdt_build_node(&build, "dev");
    fdt_build_cells(&build, "reg", reg_cells, reg);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(reopen(), 0);
}

static void reg_that_cannot_be_trusted_is_refused(void **state)
{
    const uint32_t reg[] = {0, 0x1000, 0, 0x10, 0, 0};
    const uint32_t wraps[] = {0xffffffff, 0xfffff000, 0, 0x1001}, ends[] = {0xffffffff, 0xfffff000, 0, 0x1000};
    const uint8_t top[] = {0, 0, 0x10, 0, /* to */ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, /* bytes */ 0, 0, 4, 0,
                           /* half an entry */ 0, 0, 0, 0};

    (void)state;
    build_bus(2, 2, "", 0, reg, 4);
    expect_reg("/bus/dev", 0, 0x1000, 0x10);
    build_bus(2, 2, NULL, 0, reg, 4);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL); /* the bus is not connected */
    build_bus(2, 2, "", 0, reg, 3);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL); /* no whole entry */
    build_bus(3, 2, "", 0, reg, 5);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL); /* more than 64 bits */
    build_bus(0, 1, "", 0, reg, 1);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL);
    build_bus(2, 3, "", 0, reg, 5);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL);
    build_bus(UINT32_MAX, UINT32_MAX, "", 0, reg, 4);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL);
    build_bus(2, 2, "", 0, wraps, 4);
    assert_int_equal(reg_error("/bus/dev", 0), -EOVERFLOW);
    build_bus(2, 2, "", 0, ends, 4); /* base + bytes == 2^64 is 0 for who computes it */
    assert_int_equal(reg_error("/bus/dev", 0), -EOVERFLOW);
    build_bus(1, 1, top, 16, (const uint32_t[]){0x1000, 0x10}, 2);
    expect_reg("/bus/dev", 0, UINT64_C(0xffffffffffffff00), 0x10);
    build_bus(1, 1, top, 20, (const uint32_t[]){0x1000, 0x10}, 2);
    assert_int_equal(reg_error("/bus/dev", 0), -EINVAL); /* ranges of no whole entries */
    build_bus(1, 1, top, 16, (const uint32_t[]){0x1000, 0x200}, 2);
    assert_int_equal(reg_error("/bus/dev", 0), -EOVERFLOW); /* translated past the top */
}

static void the_default_is_two_address_cells_and_one_size_cell(void **state)
{
    (void)state;
    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_node(&build, "memory");
    FDT_CELLS(&build, "reg", 1, 2, 3);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(reopen(), 0);
    expect_reg("/memory", 0, UINT64_C(0x100000002), 3);
}

static void phandles_are_found_under_both_names(void **state)
{
    (void)state;
    assert_int_equal(fdt_find_phandle(&fdt, 2), at("/cpus/cpu@1/interrupt-controller"));
    assert_int_equal(fdt_find_phandle(&fdt, 77), FDT_NODE_NONE);
    assert_int_equal(fdt_find_phandle(&fdt, 0), FDT_NODE_NONE);
    assert_int_equal(fdt_find_phandle(&fdt, UINT32_MAX), FDT_NODE_NONE);

    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_node(&build, "old");
    FDT_CELLS(&build, "linux,phandle", 5);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_end(&build);
    assert_int_equal(reopen(), 0);
    assert_int_equal(fdt_find_phandle(&fdt, 5), at("/old"));
}

static void a_property_name_must_end_inside_the_strings(void **state)
{
    uint32_t strings, bytes;

    (void)state;
    assert_int_equal(open_tokens("rp)"), 0); /* strings: "p\0" */
    strings = fdt_build_get32(&build, HEADER_STRINGS);
    bytes = fdt_build_get32(&build, HEADER_STRINGS_BYTES);
    build.blob[strings + bytes - 1] = 'x';
    assert_int_equal(reopen(), -EINVAL);
    build.blob[strings + bytes - 1] = '\0';
    fdt_build_put32(&build, HEADER_STRINGS_BYTES, bytes - 1);
    assert_int_equal(reopen(), -EINVAL);
    fdt_build_put32(&build, HEADER_STRINGS_BYTES, 0);
    assert_int_equal(reopen(), -EINVAL);
}

static void a_node_that_is_none_is_a_bug_of_the_caller(void **state)
{
    int depth = 0;

    (void)state;
    expect_assert_failure((void)fdt_node_name(&fdt, 2));
    expect_assert_failure((void)fdt_next_node(&fdt, FDT_NODE_NONE, &depth));
    expect_assert_failure((void)fdt_next_node(&fdt, 8, &depth)); /* a property */
}

#define ON_MACHINE(test) cmocka_unit_test_setup(test, open_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MACHINE(the_claimed_size_needs_the_magic),
        ON_MACHINE(a_blob_larger_than_what_is_there_is_refused),
        ON_MACHINE(every_shorter_total_size_is_refused),
        ON_MACHINE(every_shorter_structure_is_refused),
        ON_MACHINE(versions_other_than_16_and_17_are_refused),
        ON_MACHINE(version_16_has_no_structure_size),
        ON_MACHINE(blocks_outside_the_blob_are_refused),
        ON_MACHINE(reservations_without_an_end_are_refused),
        ON_MACHINE(reservations_are_read_in_order),
        ON_MACHINE(only_one_balanced_root_is_accepted),
        ON_MACHINE(nops_are_invisible),
        ON_MACHINE(a_tree_deeper_than_the_bound_is_refused),
        ON_MACHINE(nodes_come_depth_first),
        ON_MACHINE(children_and_siblings_are_found),
        ON_MACHINE(parents_are_found),
        ON_MACHINE(paths_may_leave_the_unit_address_out),
        ON_MACHINE(compatible_lists_are_searched_whole),
        ON_MACHINE(a_missing_or_good_status_enables),
        ON_MACHINE(strings_need_their_end),
        ON_MACHINE(cells_and_numbers_are_big_endian),
        ON_MACHINE(reg_is_decoded_by_the_parents_cells),
        ON_MACHINE(reg_is_translated_through_every_bus),
        ON_MACHINE(reg_that_cannot_be_trusted_is_refused),
        ON_MACHINE(the_default_is_two_address_cells_and_one_size_cell),
        ON_MACHINE(phandles_are_found_under_both_names),
        ON_MACHINE(a_property_name_must_end_inside_the_strings),
        ON_MACHINE(a_node_that_is_none_is_a_bug_of_the_caller),
    };

    return cmocka_run_group_tests(tests, map_guarded, NULL);
}
