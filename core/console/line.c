/* SPDX-License-Identifier: MIT */
/*
 * A line as it is typed: echo, backspace, ^U (all of it goes), ^C (never mind). Keys that are no text, and the
 * sequences that special keys send, change nothing. A line that got too long says so, because half a command may mean
 * another one.
 */
#include "console_priv.h"

#define KEY_CANCEL '\x03' /* ^C */
#define KEY_KILL '\x15'   /* ^U */
#define KEY_ESCAPE '\x1b'
#define KEY_DELETE '\x7f'

void line_begin(struct console_line *line)
{
    line->bytes = 0;
    line->is_overlong = false;
    line->escape = 0;
}

static void erase(struct console_line *line, size_t count)
{
    for (; count > 0 && line->bytes > 0; count--, line->bytes--)
        console_write("\b \b", 3);
}

/* ESC, then a bracket, then what ends with a letter or '~'; or ESC and one key. */
static void skip_escape(struct console_line *line, char key)
{
    if (line->escape == 1)
        line->escape = key == '[' || key == 'O' ? 2 : 0;
    else if (key >= '@' && key <= '~')
        line->escape = 0;
}

static void add(struct console_line *line, char key)
{
    if (line->bytes == sizeof line->text - 1) {
        line->is_overlong = true;
        console_write("\a", 1);
        return;
    }
    line->text[line->bytes++] = key;
    console_write(&key, 1);
}

enum console_line_event line_key(struct console_line *line, char key)
{
    bool is_other_half = key == '\n' && line->after_return;

    line->after_return = key == '\r';
    if (is_other_half)
        return LINE_MORE;
    if (key == KEY_CANCEL) {
        console_write("^C\n", 3);
        return LINE_CANCELLED;
    }
    if (key == '\r' || key == '\n') {
        line->text[line->bytes] = '\0';
        console_write("\n", 1);
        return LINE_DONE;
    }
    if (line->escape != 0)
        skip_escape(line, key);
    else if (key == KEY_ESCAPE)
        line->escape = 1;
    else if (key == '\b' || key == KEY_DELETE)
        erase(line, 1);
    else if (key == KEY_KILL) {
        erase(line, line->bytes);
        line->is_overlong = false;
    } else if (key == '\t')
        add(line, ' ');
    else if (key >= ' ' && key <= '~')
        add(line, key);
    return LINE_MORE;
}
