/* SPDX-License-Identifier: MIT */
/*
 * The firmware's services (RISC-V Supervisor Binary Interface Specification 2.0). Legacy calls (chapter 5) are used for
 * what a firmware lacks of the newer console and power-off extensions only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SBI_EXT_LEGACY_PUTCHAR 0x01
#define SBI_EXT_LEGACY_GETCHAR 0x02
#define SBI_EXT_LEGACY_REMOTE_FENCE_I 0x05
#define SBI_EXT_LEGACY_SHUTDOWN 0x08
#define SBI_EXT_BASE 0x10
#define SBI_EXT_TIME 0x54494d45
#define SBI_EXT_IPI 0x735049
#define SBI_EXT_HSM 0x48534d
#define SBI_EXT_RFENCE 0x52464e43
#define SBI_EXT_SRST 0x53525354
#define SBI_EXT_DBCN 0x4442434e

/* Function numbers */
#define SBI_BASE_SPEC_VERSION 0
#define SBI_BASE_IMPL_ID 1
#define SBI_BASE_IMPL_VERSION 2
#define SBI_BASE_PROBE 3
#define SBI_TIME_SET 0
#define SBI_IPI_SEND 0
#define SBI_RFENCE_FENCE_I 0
#define SBI_HSM_START 0
#define SBI_HSM_STOP 1
#define SBI_HSM_STATUS 2
#define SBI_HSM_STOPPED 1 /* a status */
#define SBI_SRST_RESET 0
#define SBI_DBCN_READ 1
#define SBI_DBCN_WRITE_BYTE 2

#define SBI_ERR_FAILED (-1)
#define SBI_ERR_NOT_SUPPORTED (-2)
#define SBI_ERR_INVALID_PARAM (-3)
#define SBI_ERR_INVALID_ADDRESS (-5)
#define SBI_ERR_ALREADY_AVAILABLE (-6)

struct sbi_result {
    long error; /* 0 or SBI_ERR_* ; a legacy call's result */
    unsigned long value;
};

/* What sbi_init() found; constant afterwards. */
struct sbi_facts {
    unsigned spec_major, spec_minor;
    unsigned long impl_id, impl_version;
    bool has_time, has_ipi, has_hsm, has_rfence, has_srst, has_dbcn;
};
extern struct sbi_facts sbi_facts;

/* One call into M-mode. All registers but a0 and a1 are preserved (chapter 3). Context: any. Order: none of its own. */
struct sbi_result sbi_call(unsigned long extension, unsigned long function, unsigned long a0, unsigned long a1,
                           unsigned long a2);

/* All harts that are up execute FENCE.I before it returns. Context: any. */
void sbi_fence_instructions(void);

void sbi_init(void);

/* "OpenSBI 1.6" */
void sbi_describe(char *to, size_t room);
