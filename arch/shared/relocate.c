/* SPDX-License-Identifier: MIT */
/* Moves the image: the code that changes it under itself. tools/gen_relocs.py makes the tables, and makes sure that no
 * word that changes lies in here. */
#include <shared/slide.h>

#include <k/compiler.h>

#define ENTRY_SKIP 0xffffu /* go on by so many bytes, there is no word here */

void boot_relocate(char *image, uint64_t slide, const uint16_t *words, const uint16_t *words_end,
                   const uint16_t *halves, const uint16_t *halves_end)
{
    char *at = image;

    for (; words < words_end; words++) {
        at += *words;
        if (*words != ENTRY_SKIP)
            *(uint64_t *)at += slide;
    }
    at = image;
    for (; halves < halves_end; halves++) {
        uint32_t value;

        at += *halves;
        if (*halves == ENTRY_SKIP)
            continue;
        /* Inside instructions, at any byte. */
        __builtin_memcpy(&value, at, sizeof value);
        value += (uint32_t)slide;
        __builtin_memcpy(at, &value, sizeof value);
    }
}
