/* SPDX-License-Identifier: MIT */
/*
 * C11 atomics with the order in the name. Every operation is also hal_point(): nothing on real machines, a place where
 * the simulated machine may step another CPU. An order stronger than relaxed carries a PAIRS(tag) comment at both ends.
 */
#pragma once

#include <stdatomic.h>

#include <hal/point.h>

#define load_relaxed(p) (hal_point(), atomic_load_explicit((p), memory_order_relaxed))
#define load_acquire(p) (hal_point(), atomic_load_explicit((p), memory_order_acquire))
#define load_seq_cst(p) (hal_point(), atomic_load_explicit((p), memory_order_seq_cst))
#define store_relaxed(p, v) (hal_point(), atomic_store_explicit((p), (v), memory_order_relaxed))
#define store_release(p, v) (hal_point(), atomic_store_explicit((p), (v), memory_order_release))
#define store_seq_cst(p, v) (hal_point(), atomic_store_explicit((p), (v), memory_order_seq_cst))

#define xchg_relaxed(p, v) (hal_point(), atomic_exchange_explicit((p), (v), memory_order_relaxed))
#define xchg_acquire(p, v) (hal_point(), atomic_exchange_explicit((p), (v), memory_order_acquire))
#define xchg_acq_rel(p, v) (hal_point(), atomic_exchange_explicit((p), (v), memory_order_acq_rel))

#define fetch_add_relaxed(p, v) (hal_point(), atomic_fetch_add_explicit((p), (v), memory_order_relaxed))
#define fetch_add_acq_rel(p, v) (hal_point(), atomic_fetch_add_explicit((p), (v), memory_order_acq_rel))
#define fetch_sub_relaxed(p, v) (hal_point(), atomic_fetch_sub_explicit((p), (v), memory_order_relaxed))
#define fetch_sub_release(p, v) (hal_point(), atomic_fetch_sub_explicit((p), (v), memory_order_release))
#define fetch_sub_acq_rel(p, v) (hal_point(), atomic_fetch_sub_explicit((p), (v), memory_order_acq_rel))
#define fetch_or_relaxed(p, v) (hal_point(), atomic_fetch_or_explicit((p), (v), memory_order_relaxed))
#define fetch_or_acq_rel(p, v) (hal_point(), atomic_fetch_or_explicit((p), (v), memory_order_acq_rel))
#define fetch_and_relaxed(p, v) (hal_point(), atomic_fetch_and_explicit((p), (v), memory_order_relaxed))
#define fetch_and_acq_rel(p, v) (hal_point(), atomic_fetch_and_explicit((p), (v), memory_order_acq_rel))

/* Compare-and-swap, strong; *expected is updated on failure. A failed one orders nothing unless its name says so. */
#define cas_relaxed(p, expected, v)                                                                               \
    (hal_point(),                                                                                                 \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_relaxed, memory_order_relaxed))
#define cas_acquire(p, expected, v)                                                                               \
    (hal_point(),                                                                                                 \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acquire, memory_order_relaxed))
#define cas_release(p, expected, v)                                                                               \
    (hal_point(),                                                                                                 \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_release, memory_order_relaxed))
#define cas_acq_rel(p, expected, v)                                                                               \
    (hal_point(),                                                                                                 \
     atomic_compare_exchange_strong_explicit((p), (expected), (v), memory_order_acq_rel, memory_order_acquire))

#define fence_seq_cst() (hal_point(), atomic_thread_fence(memory_order_seq_cst))
#define compiler_barrier() atomic_signal_fence(memory_order_seq_cst)
