/* SPDX-License-Identifier: MIT */
/*
 * core/fs/tty_input.c against a plain model: what can be read after random typing, and what a person sees meanwhile,
 * on a screen that understands the bytes that came out.
 */
#include "smp/smp_test.h"

#include <fs/tty.h>
#include <trace/log.h>

#define CTRL(letter) ((letter) & 0x1f)

static struct tty tty;

static void begin(uint32_t local_off, uint32_t input_on)
{
    static const uint8_t keys[TTY_CONTROLS] = {
        [TTY_VINTR] = CTRL('C'), [TTY_VQUIT] = CTRL('\\'), [TTY_VERASE] = 0x7f, [TTY_VKILL] = CTRL('U'),
        [TTY_VEOF] = CTRL('D'), [TTY_VMIN] = 1, [TTY_VSTART] = CTRL('Q'), [TTY_VSTOP] = CTRL('S'),
        [TTY_VSUSP] = CTRL('Z'), [TTY_VREPRINT] = CTRL('R'), [TTY_VWERASE] = CTRL('W'), [TTY_VLNEXT] = CTRL('V'),
        [TTY_VEOL] = '!',
    };

    memset(&tty, 0, sizeof tty);
    tty.settings.input = TTY_ICRNL | TTY_IXON | TTY_IUTF8 | input_on;
    tty.settings.output = TTY_OPOST | TTY_ONLCR;
    tty.settings.local = (TTY_ISIG | TTY_ICANON | TTY_ECHO | TTY_ECHOE | TTY_ECHOK | TTY_ECHOCTL | TTY_ECHOKE |
                          TTY_IEXTEN) & ~local_off;
    memcpy(tty.settings.keys, keys, sizeof keys);
    store_relaxed(&tty.is_canonical, (tty.settings.local & TTY_ICANON) != 0);
}

static void put_typed(void *text)
{
    for (const char *at = text; *at != '\0'; at++)
        (void)tty_input(&tty, (uint8_t)*at);
}

/* What typing that prints. */
static const char *typed(const char *text)
{
    assert_true(host_unit_returns(put_typed, (void *)(uintptr_t)text, &smp_test_result));
    return smp_test_result.console;
}

/* All that is complete, with a bar behind each end of a line, taken away. */
static const char *lines(void)
{
    static char text[8200];
    size_t used = 0;

    for (uint32_t at = load_relaxed(&tty.tail); at != load_relaxed(&tty.lines); at++) {
        uint8_t byte = tty.input[at % TTY_INPUT_BYTES];
        bool is_end = (tty.ends[at % TTY_INPUT_BYTES / 64] >> at % 64 & 1) != 0;

        if (byte != 0)
            text[used++] = (char)byte;
        if (is_end)
            text[used++] = '|';
    }
    text[used] = '\0';
    store_relaxed(&tty.tail, load_relaxed(&tty.lines));
    return text;
}

/* ---- The model: a screen of one long row, and a line ---- */

#define ROW 4096u

static struct screen {
    uint32_t cell[ROW];
    unsigned at;
} screen, expected;

static void screen_clear(struct screen *of)
{
    for (unsigned i = 0; i < ROW; i++)
        of->cell[i] = ' ';
    of->at = 0;
}

static void screen_put(struct screen *of, uint32_t letter)
{
    of->cell[of->at++] = letter;
}

static void screen_show(struct screen *of, const char *bytes)
{
    for (const uint8_t *at = (const uint8_t *)bytes; *at != 0; at++) {
        if (*at == '\b') {
            assert_true(of->at > 0);
            of->at--;
        } else if (*at == '\n') {
            screen_clear(of);
        } else if (*at == '\r') {
            of->at = 0;
        } else if (*at == '\t') {
            of->at = (of->at | 7) + 1;
        } else if ((*at & 0xc0) == 0x80) {
            assert_true(of->at > 0);
            of->cell[of->at - 1] = of->cell[of->at - 1] << 8 | *at;
        } else {
            screen_put(of, *at);
        }
    }
}

#define LINE_MAX 200u

static struct {
    char line[LINE_MAX + 8];
    size_t bytes;
    struct screen before; /* what stood there when the line began */
    char complete[64 * LINE_MAX];
} model;

static void model_echo(struct screen *to, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)bytes[i];

        if (byte == '\t')
            to->at = (to->at | 7) + 1;
        else if (byte < ' ' || byte == 0x7f)
            screen_put(to, '^'), screen_put(to, byte ^ 0x40);
        else if ((byte & 0xc0) == 0x80)
            to->cell[to->at - 1] = to->cell[to->at - 1] << 8 | byte;
        else
            screen_put(to, byte);
    }
}

static uint8_t model_erase(void)
{
    while ((model.line[--model.bytes] & 0xc0) == 0x80)
        continue;
    return (uint8_t)model.line[model.bytes];
}

static bool is_word(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || byte == '_' || byte >= 0x80;
}

static void model_erase_word(void)
{
    bool has_seen = false;

    while (model.bytes > 0) {
        size_t first = model.bytes - 1;

        while ((model.line[first] & 0xc0) == 0x80)
            first--;
        bool is_letter = is_word((uint8_t)model.line[first]);

        if (has_seen && !is_letter)
            return;
        has_seen |= is_letter;
        (void)model_erase();
    }
}

static void model_end(const char *with)
{
    model.line[model.bytes] = '\0';
    strcat(model.complete, model.line);
    strcat(model.complete, with);
    strcat(model.complete, "|");
    model.bytes = 0;
}

/* Literal or plain bytes. */
static void model_add(const char *bytes)
{
    strcpy(model.line + model.bytes, bytes);
    model.bytes += strlen(bytes);
}

static void model_freeze(void)
{
    model_echo(&model.before, model.line, model.bytes);
}

static void model_key(uint8_t key)
{
    switch (key) {
    case 0x7f:
        if (model.bytes > 0)
            (void)model_erase();
        break;
    case CTRL('U'):
        model.bytes = 0;
        break;
    case CTRL('W'):
        model_erase_word();
        break;
    case CTRL('R'):
        screen_clear(&model.before);
        break;
    case CTRL('D'):
        model_freeze();
        model_end("");
        break;
    case '\n':
    case '\r':
        screen_clear(&model.before);
        model_end("\n");
        break;
    case '!':
        model_freeze();
        model_echo(&model.before, "!", 1);
        model_end("!");
        break;
    case CTRL('C'):
        model_freeze();
        model_echo(&model.before, "\3", 1);
        model.bytes = 0;
        model.complete[0] = '\0'; /* what was not read goes, too */
        break;
    default:
        assert_true(false);
    }
}

static void compare(unsigned long long seed, unsigned step)
{
    uint32_t start = load_relaxed(&tty.lines);
    uint32_t count = load_relaxed(&tty.head) - start;

    if (count != model.bytes)
        fail_msg("seed %llu, step %u: %u bytes of a line, not %zu", seed, step, count, model.bytes);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(tty.input[(start + i) % TTY_INPUT_BYTES], (uint8_t)model.line[i]);
    expected = model.before;
    model_echo(&expected, model.line, model.bytes);
    if (screen.at != expected.at || memcmp(screen.cell, expected.cell, sizeof screen.cell) != 0)
        fail_msg("seed %llu, step %u: the screen shows something else; the cursor is at %u, not at %u", seed, step,
                 screen.at, expected.at);
}

static void one_step(struct unit_random *random)
{
    static const char *const letters[] = {
        "a", "b7", "_", " ", ".", "\t", "\xc3\xa4", "\xe2\x82\xac", "\1", "\xf0\x9f\x98\x80",
    };
    static const uint8_t keys[] = {
        0x7f, 0x7f, 0x7f, CTRL('U'), CTRL('W'), CTRL('W'), CTRL('R'), CTRL('D'), '\n', '\r', '!', CTRL('C'),
    };
    static const char *const literals[] = { "\x16\3", "\x16\n", "\x16\x7f", "\x16\x16", "\x16!", "\x16z" };
    unsigned kind = (unsigned)unit_random_below(random, 10);
    const char *text;
    char key[2] = { 0 };

    if (kind < 6 && model.bytes < LINE_MAX - 4) {
        text = letters[unit_random_below(random, sizeof letters / sizeof *letters)];
        model_add(text);
    } else if (kind == 6 && model.bytes < LINE_MAX - 4) {
        text = literals[unit_random_below(random, sizeof literals / sizeof *literals)];
        model_add(text + 1);
    } else {
        key[0] = (char)keys[unit_random_below(random, sizeof keys)];
        text = key;
        model_key((uint8_t)key[0]);
    }
    screen_show(&screen, typed(text));
}

static void what_is_typed_and_shown_matches_a_plain_model(void **state)
{
    (void)state;
    for (unsigned long long seed = 0; seed < 40; seed++) {
        struct unit_random random = { seed };

        begin(0, 0);
        screen_clear(&screen);
        memset(&model, 0, sizeof model);
        screen_clear(&model.before);
        for (unsigned step = 0; step < 300; step++) {
            one_step(&random);
            compare(seed, step);
            if (unit_random_below(&random, 16) == 0 || strlen(model.complete) > 3000) {
                assert_string_equal(lines(), model.complete);
                model.complete[0] = '\0';
            }
        }
    }
}

/* ---- Rules, one by one ---- */

static void each_key_of_a_signal_is_one_and_discards_what_was_typed(void **state)
{
    static const struct { uint8_t byte; int signal; } signals[] = {
        { CTRL('C'), 2 }, { CTRL('\\'), 3 }, { CTRL('Z'), 20 },
    };

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(TTY_ECHO, 0);
        (void)typed("one\ntwo");
        assert_int_equal(tty_input(&tty, signals[i].byte), signals[i].signal);
        assert_string_equal(lines(), "");
        begin(TTY_ECHO, 0);
        tty.settings.local |= TTY_NOFLSH;
        (void)typed("one\ntwo");
        assert_int_equal(tty_input(&tty, signals[i].byte), signals[i].signal);
        (void)typed("\n");
        assert_string_equal(lines(), "one\n|two\n|");
        begin(TTY_ECHO | TTY_ISIG, 0);
        assert_int_equal(tty_input(&tty, signals[i].byte), 0);
        assert_int_equal(load_relaxed(&tty.head), 1);
    }
}

static void output_stops_and_starts_by_keys(void **state)
{
    (void)state;
    begin(TTY_ECHO, 0);
    (void)typed("\x13");
    assert_true(load_relaxed(&tty.is_stopped));
    (void)typed("a\n");
    assert_true(load_relaxed(&tty.is_stopped));
    (void)typed("\x11");
    assert_false(load_relaxed(&tty.is_stopped));
    tty.settings.input |= TTY_IXANY;
    (void)typed("\x13" "b");
    assert_false(load_relaxed(&tty.is_stopped));
    tty.settings.input &= ~TTY_IXON;
    (void)typed("\x13\n");
    assert_false(load_relaxed(&tty.is_stopped));
    assert_string_equal(lines(), "a\n|b\x13\n|");
}

static void input_is_translated_as_set(void **state)
{
    (void)state;
    begin(TTY_ECHO, TTY_IGNCR);
    (void)typed("a\rb\n");
    assert_string_equal(lines(), "ab\n|");
    begin(TTY_ECHO, TTY_ISTRIP);
    (void)typed("\xe1\n");
    assert_string_equal(lines(), "a\n|");
    begin(TTY_ECHO, TTY_INLCR);
    tty.settings.input &= ~TTY_ICRNL;
    (void)typed("a\n");
    assert_string_equal(lines(), "");
    assert_int_equal(tty.input[1], '\r');
}

static void print_output(void *text)
{
    for (const char *at = text; *at != '\0'; at++)
        tty_put(&tty, (uint8_t)*at);
}

static const char *printed(const char *text, uint32_t output)
{
    begin(0, 0);
    tty.settings.output = output;
    assert_true(host_unit_returns(print_output, (void *)(uintptr_t)text, &smp_test_result));
    return smp_test_result.console;
}

static void output_is_dressed_as_set(void **state)
{
    (void)state;
    assert_string_equal(printed("a\n\tb", 0), "a\n\tb");
    assert_string_equal(printed("a\nb", TTY_OPOST), "a\nb");
    assert_string_equal(printed("a\nb", TTY_OPOST | TTY_ONLCR), "a\r\nb");
    assert_string_equal(printed("a\tb\xc3\xa4\tc", TTY_OPOST | TTY_XTABS), "a       b\xc3\xa4      c");
    assert_string_equal(printed("\ra\rb", TTY_OPOST | TTY_ONOCR), "a\rb");
    assert_string_equal(printed("a\rb", TTY_OPOST | TTY_OCRNL), "a\nb");
    assert_string_equal(printed("abc\b\b\tx", TTY_OPOST | TTY_XTABS), "abc\b\b       x");
}

static void echo_is_as_set(void **state)
{
    (void)state;
    begin(TTY_ECHO, 0);
    assert_string_equal(typed("ab\x7f\x15\x12x\n"), "");
    begin(TTY_ECHO, 0);
    tty.settings.local |= TTY_ECHONL;
    assert_string_equal(typed("ab\n"), "\r\n");
    begin(TTY_ECHOE, 0);
    assert_string_equal(typed("ab\x7f"), "ab^?");
    begin(TTY_ECHOKE, 0);
    assert_string_equal(typed("ab\x15"), "ab^U\r\n");
    begin(TTY_ECHOCTL, 0);
    assert_string_equal(typed("\1a"), "\1a");
    begin(TTY_ICANON, 0); /* bytes are bytes, and a newline is one */
    assert_string_equal(typed("a\n\x7f"), "a\r\n^?");
    assert_int_equal(load_relaxed(&tty.lines), 3);
}

/* ---- Nobody reads ---- */

static void feed_much(void *bytes)
{
    for (unsigned i = 0; i < 3 * TTY_INPUT_BYTES; i++)
        (void)tty_input(&tty, *(uint8_t *)bytes);
}

/* What does not fit is refused, byte by byte, and what was there stays; a long line can still be ended. */
static void too_much_is_refused_and_nothing_is_overwritten(void **state)
{
    static const uint8_t kinds[] = { 'x', '\n', CTRL('D'), '!' };

    (void)state;
    for (unsigned i = 0; i < sizeof kinds; i++) {
        uint8_t byte = kinds[i];

        begin(TTY_ECHO, 0);
        (void)typed("first\n");
        assert_true(host_unit_returns(feed_much, &byte, &smp_test_result));
        (void)typed("\n\n\n");
        assert_true(load_relaxed(&tty.head) - load_relaxed(&tty.tail) <= TTY_INPUT_BYTES);
        const char *got = lines();

        assert_memory_equal(got, "first\n|", 7);
        assert_int_equal(got[strlen(got) - 1], '|');
    }
    begin(TTY_ECHO, TTY_IMAXBEL);
    assert_true(host_unit_returns(feed_much, &(uint8_t){ 'x' }, &smp_test_result));
    assert_int_equal(smp_test_result.console[0], '\a');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        smp_unit_test(what_is_typed_and_shown_matches_a_plain_model),
        smp_unit_test(each_key_of_a_signal_is_one_and_discards_what_was_typed),
        smp_unit_test(output_stops_and_starts_by_keys),
        smp_unit_test(input_is_translated_as_set),
        smp_unit_test(output_is_dressed_as_set),
        smp_unit_test(echo_is_as_set),
        smp_unit_test(too_much_is_refused_and_nothing_is_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
