/* SPDX-License-Identifier: MIT */
/* core/proc/signal_queue.c against a plain model: a list of what was sent, in order. */
#include "unit.h"

#include <proc/signal.h>
#include <proc/signo.h>

#define ROUNDS 200000
#define MODEL_MAX 256
#define SYNCHRONOUS_SET (1ull << 10 | 1ull << 6 | 1ull << 3 | 1ull << 4 | 1ull << 7 | 1ull << 30)

static struct {
    struct signal_info sent[MODEL_MAX];
    unsigned count;
} model;

static struct signal_record pool[MODEL_MAX];
static struct signal_record *free_records;

static struct signal_record *record_get(void)
{
    struct signal_record *record = free_records;

    if (record != NULL)
        free_records = record->next;
    return record;
}

static void record_put(struct signal_record *record)
{
    record->next = free_records;
    free_records = record;
}

static void model_remove(unsigned at)
{
    for (unsigned i = at + 1; i < model.count; i++)
        model.sent[i - 1] = model.sent[i];
    model.count--;
}

static int model_find(unsigned number)
{
    for (unsigned i = 0; i < model.count; i++)
        if (model.sent[i].number == (int)number)
            return (int)i;
    return -1;
}

static uint64_t model_set(void)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < model.count; i++)
        set |= signal_bit((unsigned)model.sent[i].number);
    return set;
}

/* What is to be taken next, by the words of the contract. */
static unsigned model_first(uint64_t wanted)
{
    for (unsigned synchronous = 2; synchronous-- > 0;)
        for (unsigned number = 1; number <= SIGNAL_MAX; number++)
            if ((wanted & signal_bit(number)) != 0 && model_find(number) >= 0 &&
                (!synchronous || (SYNCHRONOUS_SET & signal_bit(number)) != 0))
                return number;
    return 0;
}

static void add(struct signal_pending *pending, struct unit_random *random, uint64_t serial)
{
    unsigned number = 1 + (unsigned)unit_random_below(random, SIGNAL_MAX);
    struct signal_info info = { .number = (int)number, .code = SI_QUEUE, .sent = { .value = serial } };
    struct signal_record *record = record_get();

    if (record == NULL)
        return;
    bool is_used = signal_pending_add(pending, &info, record);

    assert_int_equal(is_used, number >= SIGNAL_REALTIME);
    if (!is_used)
        record_put(record);
    if (number >= SIGNAL_REALTIME || model_find(number) < 0)
        model.sent[model.count++] = info;
}

static void take(struct signal_pending *pending, uint64_t wanted)
{
    unsigned number = signal_pending_first(pending, wanted);
    struct signal_info info;

    assert_int_equal(number, model_first(wanted));
    if (number == 0)
        return;
    struct signal_record *record = signal_pending_take(pending, number, &info);
    int at = model_find(number);

    assert_memory_equal(&info, &model.sent[at], sizeof info);
    assert_int_equal(record != NULL, number >= SIGNAL_REALTIME);
    if (record != NULL)
        record_put(record);
    model_remove((unsigned)at);
}

static void flush(struct signal_pending *pending, uint64_t set)
{
    struct signal_record *chain = signal_pending_flush(pending, set);
    unsigned count = 0, want = 0;

    while (chain != NULL) {
        struct signal_record *next = chain->next;

        record_put(chain);
        chain = next;
        count++;
    }
    for (unsigned i = 0; i < model.count;) {
        if ((set & signal_bit((unsigned)model.sent[i].number)) == 0) {
            i++;
            continue;
        }
        want += model.sent[i].number >= SIGNAL_REALTIME;
        model_remove(i);
    }
    assert_int_equal(count, want);
}

static void a_set_and_its_queues_are_what_a_list_says(void **state)
{
    struct unit_random random = { 7 };
    struct signal_pending pending = { 0 };

    (void)state;
    for (unsigned i = 0; i < MODEL_MAX / 2; i++)
        record_put(&pool[i]);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t set = unit_random_next(&random) | unit_random_next(&random);

        switch (unit_random_below(&random, 16)) {
        case 0:
            flush(&pending, unit_random_next(&random) & unit_random_next(&random));
            break;
        case 1 ... 7:
            take(&pending, set);
            break;
        default:
            add(&pending, &random, round);
        }
        assert_int_equal(pending.set, model_set());
    }
    flush(&pending, UINT64_MAX);
    assert_int_equal(pending.set, 0);
    for (unsigned i = 0; i < SIGNAL_MAX - SIGNAL_REALTIME + 1; i++)
        assert_null(pending.last[i]);
}

static void without_memory_a_queued_signal_is_there_once(void **state)
{
    struct signal_pending pending = { 0 };
    const struct signal_info info = { .number = 40, .code = SI_USER, .sent = { .pid = 5 } };
    struct signal_info out;

    (void)state;
    assert_false(signal_pending_add(&pending, &info, NULL));
    assert_false(signal_pending_add(&pending, &info, NULL));
    assert_int_equal(signal_pending_first(&pending, UINT64_MAX), 40);
    assert_null(signal_pending_take(&pending, 40, &out));
    assert_true(out.number == 40 && out.code == SI_USER && out.sent.pid == 0);
    assert_int_equal(signal_pending_first(&pending, UINT64_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_and_its_queues_are_what_a_list_says),
        cmocka_unit_test(without_memory_a_queued_signal_is_there_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
