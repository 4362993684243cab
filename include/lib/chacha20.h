/* SPDX-License-Identifier: MIT */
/* The block function of ChaCha20 (RFC 8439). Words are the RFC's, of little-endian bytes. Context: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CHACHA20_KEY_WORDS 8
#define CHACHA20_INPUT_WORDS 4 /* counter and nonce */
#define CHACHA20_BLOCK_WORDS 16

void chacha20_block(const uint32_t key[CHACHA20_KEY_WORDS], const uint32_t input[CHACHA20_INPUT_WORDS],
                    uint32_t out[CHACHA20_BLOCK_WORDS]);

/* Zeros that no compiler leaves out. */
void chacha20_wipe(void *secret, size_t bytes);
