/* SPDX-License-Identifier: MIT */
/*
 * C11 atomics with the order in the name. Every operation is also hal_point(): nothing on real machines, a place where
 * the simulated machine may step another CPU. An order stronger than relaxed carries a PAIRS(tag) comment at both ends.
 *
 * The operand is evaluated first, then the address, then comes the point, then the operation: so another CPU may act
 * between a load and the store that depends on it, store_relaxed(&x, load_relaxed(&x) + 1) included.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

#include <hal/point.h>

/* The names inside end in a number, because operands may be atomic operations, too. */
#define ATOMIC_PASTE_(a, b) a##b
#define ATOMIC_GET_(n, operation, p, order)        \
    ({                                             \
        __auto_type ATOMIC_PASTE_(at_, n) = (p);   \
        hal_point(ATOMIC_PASTE_(at_, n));          \
        operation(ATOMIC_PASTE_(at_, n), order);   \
    })
#define ATOMIC_PUT_(n, operation, p, v, order)                                  \
    ({                                                                          \
        typeof_unqual(*(p)) ATOMIC_PASTE_(v_, n) = (v);                         \
        __auto_type ATOMIC_PASTE_(at_, n) = (p);                                \
        hal_point(ATOMIC_PASTE_(at_, n));                                       \
        operation(ATOMIC_PASTE_(at_, n), ATOMIC_PASTE_(v_, n), order);          \
    })
#define ATOMIC_CAS_(n, p, expected, v, order, failure)                                                        \
    ({                                                                                                        \
        typeof_unqual(*(p)) ATOMIC_PASTE_(v_, n) = (v);                                                       \
        __auto_type ATOMIC_PASTE_(at_, n) = (p);                                                              \
        hal_point(ATOMIC_PASTE_(at_, n));                                                                     \
        atomic_compare_exchange_strong_explicit(ATOMIC_PASTE_(at_, n), (expected), ATOMIC_PASTE_(v_, n),      \
                                                order, failure);                                              \
    })
/* One more level, so that __COUNTER__ is a number before it is pasted. */
#define ATOMIC_GET(n, operation, p, order) ATOMIC_GET_(n, operation, p, memory_order_##order)
#define ATOMIC_PUT(n, operation, p, v, order) ATOMIC_PUT_(n, operation, p, v, memory_order_##order)
#define ATOMIC_CAS(n, p, expected, v, order, failure)                                                         \
    ATOMIC_CAS_(n, p, expected, v, memory_order_##order, memory_order_##failure)

#define load_relaxed(p) ATOMIC_GET(__COUNTER__, atomic_load_explicit, p, relaxed)
#define load_acquire(p) ATOMIC_GET(__COUNTER__, atomic_load_explicit, p, acquire)
/* A pointer through which the caller then reads what was stored before the pointer was, by a store_release(). */
#define load_dependent(p) HAL_LOAD_DEPENDENT(p)
#define load_seq_cst(p) ATOMIC_GET(__COUNTER__, atomic_load_explicit, p, seq_cst)
#define store_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_store_explicit, p, v, relaxed)
#define store_release(p, v) ATOMIC_PUT(__COUNTER__, atomic_store_explicit, p, v, release)
#define store_seq_cst(p, v) ATOMIC_PUT(__COUNTER__, atomic_store_explicit, p, v, seq_cst)

#define xchg_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_exchange_explicit, p, v, relaxed)
#define xchg_acquire(p, v) ATOMIC_PUT(__COUNTER__, atomic_exchange_explicit, p, v, acquire)
#define xchg_acq_rel(p, v) ATOMIC_PUT(__COUNTER__, atomic_exchange_explicit, p, v, acq_rel)

#define fetch_add_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_add_explicit, p, v, relaxed)
#define fetch_add_acq_rel(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_add_explicit, p, v, acq_rel)
#define fetch_sub_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_sub_explicit, p, v, relaxed)
#define fetch_sub_release(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_sub_explicit, p, v, release)
#define fetch_sub_acq_rel(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_sub_explicit, p, v, acq_rel)
#define fetch_or_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_or_explicit, p, v, relaxed)
#define fetch_or_acq_rel(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_or_explicit, p, v, acq_rel)
#define fetch_and_relaxed(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_and_explicit, p, v, relaxed)
#define fetch_and_acq_rel(p, v) ATOMIC_PUT(__COUNTER__, atomic_fetch_and_explicit, p, v, acq_rel)

/* Compare-and-swap, strong; *expected is updated on failure. A failed one orders nothing unless its name says so. */
#define cas_relaxed(p, expected, v) ATOMIC_CAS(__COUNTER__, p, expected, v, relaxed, relaxed)
#define cas_acquire(p, expected, v) ATOMIC_CAS(__COUNTER__, p, expected, v, acquire, relaxed)
#define cas_release(p, expected, v) ATOMIC_CAS(__COUNTER__, p, expected, v, release, relaxed)
#define cas_acq_rel(p, expected, v) ATOMIC_CAS(__COUNTER__, p, expected, v, acq_rel, acquire)

#define fence_seq_cst() (hal_point(NULL), atomic_thread_fence(memory_order_seq_cst))
#define compiler_barrier() atomic_signal_fence(memory_order_seq_cst)
