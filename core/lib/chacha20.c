/* SPDX-License-Identifier: MIT */
/* The ChaCha20 block function, RFC 8439, section 2.3. */
#include <lib/chacha20.h>

#include <lib/string.h>

static inline uint32_t rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

static inline void quarter_round(uint32_t *x, unsigned a, unsigned b, unsigned c, unsigned d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

void chacha20_block(const uint32_t key[CHACHA20_KEY_WORDS], const uint32_t input[CHACHA20_INPUT_WORDS],
                    uint32_t out[CHACHA20_BLOCK_WORDS])
{
    uint32_t start[CHACHA20_BLOCK_WORDS] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

    memcpy(&start[4], key, CHACHA20_KEY_WORDS * sizeof *key);
    memcpy(&start[12], input, CHACHA20_INPUT_WORDS * sizeof *input);
    memcpy(out, start, sizeof start);
    for (unsigned round = 0; round < 10; round++) {
        for (unsigned i = 0; i < 4; i++)
            quarter_round(out, i, 4 + i, 8 + i, 12 + i);
        for (unsigned i = 0; i < 4; i++)
            quarter_round(out, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
    }
    for (unsigned i = 0; i < CHACHA20_BLOCK_WORDS; i++)
        out[i] += start[i];
}

void chacha20_wipe(void *secret, size_t bytes)
{
    volatile uint8_t *at = secret;

    for (size_t i = 0; i < bytes; i++)
        at[i] = 0;
}
