/* SPDX-License-Identifier: MIT */
/* arch/shared/boot_fdt.c, as far as it chooses the image's slide: by what of /chosen, and when that is weak. */
#include "unit.h"

#include <string.h>

#include <hal/boot.h>
#include <k/compiler.h>
#include <shared/boot_fdt.h>
#include <shared/slide.h>

#include "../parse/fdt_build.h"

#define LINKED UINT64_C(0xffffffff80000000)
#define CLOCK 12345

static struct fdt_build build;
static struct boot_info boot;
static uint8_t seed[32];

/* A tree with these properties in /chosen; NULL, 0: without. */
static uint64_t choose(const char *cmdline, size_t kaslr_seed_bytes, size_t rng_seed_bytes, uint64_t clock)
{
    struct fdt fdt;

    fdt_build_begin(&build);
    fdt_build_node(&build, "");
    fdt_build_node(&build, "chosen");
    if (cmdline != NULL)
        fdt_build_string(&build, "bootargs", cmdline);
    if (kaslr_seed_bytes != 0)
        fdt_build_prop(&build, "kaslr-seed", seed, kaslr_seed_bytes);
    if (rng_seed_bytes != 0)
        fdt_build_prop(&build, "rng-seed", seed, rng_seed_bytes);
    fdt_build_close(&build);
    fdt_build_close(&build);
    fdt_build_end(&build);
    memset(&boot, 0, sizeof boot);
    assert_int_equal(fdt_open(&fdt, build.blob, build.bytes), 0);
    return boot_fdt_choose_slide(&fdt, LINKED, LINKED + 4096, clock, &boot);
}

static void each_source_moves_the_image(void **state)
{
    (void)state;
    uint64_t by_clock = choose("init=x", 0, 0, CLOCK);

    assert_true(by_clock != 0 && choose("init=x", 0, 0, CLOCK + 1) != by_clock);
    for (unsigned i = 0; i < 2; i++) {
        memset(seed, 0, sizeof seed);
        uint64_t before = choose("init=x", i == 0 ? 8 : 0, i == 1 ? 32 : 0, CLOCK);

        assert_int_equal(choose("init=x", i == 0 ? 8 : 0, i == 1 ? 32 : 0, CLOCK), before);
        seed[i == 0 ? 7 : 31] = 1;
        assert_true(choose("init=x", i == 0 ? 8 : 0, i == 1 ? 32 : 0, CLOCK) != before);
    }
}

static void a_slide_without_a_seed_is_weak(void **state)
{
    (void)state;
    assert_true(choose(NULL, 0, 0, CLOCK) != 0 && boot.is_slide_weak);
    assert_true(choose("init=x", 0, SLIDE_SEED_BYTES - 1, CLOCK) != 0 && boot.is_slide_weak);
    assert_true(choose("init=x", 8, 0, CLOCK) != 0 && !boot.is_slide_weak);
    assert_true(choose("init=x", 0, 32, CLOCK) != 0 && !boot.is_slide_weak);
    assert_true(choose("init=x", 4, 4, CLOCK) != 0 && !boot.is_slide_weak);
}

static void the_command_line_decides_and_then_nothing_is_weak(void **state)
{
    (void)state;
    assert_true(choose("init=x kaslr=off", 0, 0, CLOCK) == 0 && !boot.is_slide_weak);
    assert_string_equal(boot.cmdline, "init=x kaslr=off");
    assert_true(choose("kaslr=0x400000", 0, 0, CLOCK) == 0x400000 && !boot.is_slide_weak);
}

/* boot_fdt_read() takes the seeds, and they count once. */
static void the_seeds_are_left_for_later(void **state)
{
    (void)state;
    (void)choose("init=x", 8, 32, CLOCK);
    assert_int_equal(boot.entropy_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_source_moves_the_image),
        cmocka_unit_test(a_slide_without_a_seed_is_weak),
        cmocka_unit_test(the_command_line_decides_and_then_nothing_is_weak),
        cmocka_unit_test(the_seeds_are_left_for_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
