/* SPDX-License-Identifier: MIT */
/*
 * The image's virtual place. It is linked at the start of the top 2 GiB (x86_64: 2 MiB above it) and may run anywhere
 * above that, a multiple of 2 MiB away: its slide. A machine's boot code maps it where it is linked, chooses the slide,
 * lets boot_relocate() change the image under itself, maps it there, too, and goes on there. Code that runs before the
 * jump leaves no address of the image in memory. Boot CPU only, before kmain(); no lock.
 */
#pragma once

#include <stdbool.h>

#include <k/types.h>

#define SLIDE_STEP (UINT64_C(2) << 20)
#define SLIDE_SEED_BYTES 8 /* with fewer from the firmware or the CPU, a slide counts as weak */

/* Mixes bytes into a state that starts with any number; no bit of the state tells a byte. */
uint64_t slide_mix(uint64_t state, const void *bytes, size_t count);

/*
 * How far to move the image that is linked at [start, end): "kaslr=" on the command line decides, the last one that is
 * understood. off: 0; a number: by that, if it can be; on, nothing, or a number that cannot be: by what `random` says.
 * *out_is_random: the last of these. Never so little that the image would overlap its linked place, and what would
 * reach the last SLIDE_STEP bytes of the address space is not chosen, so that no address wraps.
 */
uint64_t slide_choose(const char *cmdline, uintptr_t start, uintptr_t end, uint64_t random, bool *out_is_random);

/*
 * Add `slide` to every word of the image that the two tables name (tools/gen_relocs.py: words of 64 and of 32 bits).
 * Called by boot code at the linked address. It knows only its arguments, because addresses of the image in its own
 * code would change while it runs.
 */
void boot_relocate(char *image, uint64_t slide, const uint16_t *words, const uint16_t *words_end,
                   const uint16_t *halves, const uint16_t *halves_end);
