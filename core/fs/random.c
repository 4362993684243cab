/* SPDX-License-Identifier: MIT */
/*
 * Random numbers: ChaCha20 with fast key erasure (Bernstein, "Fast-key-erasure random-number generators", 2017). A key
 * makes one block; the first half becomes the next key, the second half is that call's own: its bytes, if they are
 * few, or the key from which they are made outside of the lock. So who learns the state later cannot tell what was
 * given out before.
 */
#include <fs/dev.h>

#include <fs/poll.h>
#include <k/errno.h>
#include <lib/chacha20.h>
#include <lib/string.h>

static struct {
    struct spinlock lock; /* LOCK_RANDOM */
    uint32_t key[CHACHA20_KEY_WORDS];
    uint64_t blocks; /* ever: no two calls with one key would use the same input */
    bool is_ready;
} pool = {.lock = SPINLOCK_INIT(LOCK_RANDOM)};

/* One block of the pool's key: the next key, and *out (may be NULL). The lock is held. */
static void turn_locked(uint32_t out[CHACHA20_KEY_WORDS])
{
    const uint32_t input[CHACHA20_INPUT_WORDS] = {(uint32_t)pool.blocks, (uint32_t)(pool.blocks >> 32)};
    uint32_t block[CHACHA20_BLOCK_WORDS];

    pool.blocks++;
    chacha20_block(pool.key, input, block);
    memcpy(pool.key, block, sizeof pool.key);
    if (out != NULL)
        memcpy(out, block + CHACHA20_KEY_WORDS, sizeof pool.key);
    chacha20_wipe(block, sizeof block);
}

void random_seed(const void *entropy, size_t bytes, bool is_enough)
{
    const uint8_t *from = entropy;
    uintptr_t state = spin_lock_irqsave(&pool.lock);

    for (size_t done = 0; done < bytes; done += sizeof pool.key) {
        uint32_t piece[CHACHA20_KEY_WORDS] = {0};

        memcpy(piece, from + done, MIN(bytes - done, sizeof piece));
        for (unsigned i = 0; i < CHACHA20_KEY_WORDS; i++)
            pool.key[i] ^= piece[i];
        turn_locked(NULL); /* cannot be undone: the next piece meets a key that nobody chose */
        chacha20_wipe(piece, sizeof piece);
    }
    pool.is_ready |= is_enough;
    spin_unlock_irqrestore(&pool.lock, state);
}

bool random_is_ready(void)
{
    uintptr_t state = spin_lock_irqsave(&pool.lock);
    bool is_ready = pool.is_ready;

    spin_unlock_irqrestore(&pool.lock, state);
    return is_ready;
}

static void take_key(uint32_t key[CHACHA20_KEY_WORDS])
{
    uintptr_t state = spin_lock_irqsave(&pool.lock);

    turn_locked(key);
    spin_unlock_irqrestore(&pool.lock, state);
}

void random_bytes(void *to, size_t bytes)
{
    uint32_t key[CHACHA20_KEY_WORDS], block[CHACHA20_BLOCK_WORDS];
    uint32_t input[CHACHA20_INPUT_WORDS] = {0};

    take_key(key);
    if (bytes <= sizeof key) {
        memcpy(to, key, bytes);
        chacha20_wipe(key, sizeof key);
        return;
    }
    for (size_t done = 0; done < bytes; done += sizeof block) {
        input[0] = (uint32_t)(done / sizeof block);
        input[1] = (uint32_t)((uint64_t)(done / sizeof block) >> 32);
        chacha20_block(key, input, block);
        memcpy((char *)to + done, block, MIN(bytes - done, sizeof block));
    }
    chacha20_wipe(key, sizeof key);
    chacha20_wipe(block, sizeof block);
}

int64_t random_read(struct io_span *to)
{
    char piece[256];
    size_t total = 0;
    int error = 0;

    while (to->left > 0) {
        size_t part = MIN(to->left, sizeof piece);

        random_bytes(piece, part);
        size_t done = io_copy_to(to, piece, part);

        total += done;
        if (done < part) {
            error = -EFAULT;
            break;
        }
        if (file_wait_is_interrupted()) {
            error = -EINTR;
            break;
        }
    }
    chacha20_wipe(piece, sizeof piece);
    return io_result(total, error);
}
