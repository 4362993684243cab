/* SPDX-License-Identifier: MIT */
/* A page with the picture and the table, complete in itself: the wheel looks closer, dragging moves along. */
#include "schedlab.h"

static const char page_script[] =
    "<script>\n"
    "const outer=document.querySelector('svg'),view=document.querySelector('.view');\n"
    "const all=+view.viewBox.baseVal.width,high=+view.viewBox.baseVal.height,ns=+outer.dataset.ns;\n"
    "let at=0,wide=all,drag=null;\n"
    "function show(){\n"
    "  wide=Math.min(all,Math.max(all/20000,wide));at=Math.min(all-wide,Math.max(0,at));\n"
    "  view.setAttribute('viewBox',`${at} 0 ${wide} ${high}`);\n"
    "  document.querySelectorAll('text.axis').forEach((t,i)=>{\n"
    "    t.textContent=((at+wide*i/10)/all*ns/1e6).toFixed(wide<all/50?5:3)+' ms';});\n"
    "}\n"
    "const box=['x','width'].map(n=>+view.getAttribute(n)),whole=outer.viewBox.baseVal.width;\n"
    "const share=e=>{const r=outer.getBoundingClientRect();\n"
    "  return ((e.clientX-r.left)/r.width*whole-box[0])/box[1];};\n"
    "outer.addEventListener('wheel',e=>{e.preventDefault();\n"
    "  const f=share(e),x=at+wide*f;wide*=Math.exp(e.deltaY/400);wide=Math.min(all,wide);at=x-wide*f;show();},\n"
    "  {passive:false});\n"
    "outer.addEventListener('pointerdown',e=>{drag=[share(e),at];outer.setPointerCapture(e.pointerId);});\n"
    "outer.addEventListener('pointermove',e=>{if(drag){at=drag[1]-(share(e)-drag[0])*wide;show();}});\n"
    "outer.addEventListener('pointerup',()=>{drag=null;});\n"
    "outer.addEventListener('dblclick',()=>{at=0;wide=all;show();});\n"
    "</script>\n";

/* The table is the kernel's; names in it are plain, but nothing is left to that. */
static void text_write(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '>' || *text == '&')
            (void)fprintf(file, "&#%d;", *text);
        else
            (void)fputc(*text, file);
    }
}

void html_write(FILE *file, const struct timeline *timeline, const char *table)
{
    (void)fprintf(file,
                  "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>schedlab: %s</title>\n"
                  "<style>body{font:14px sans-serif;margin:16px}pre{font:12px monospace}"
                  ".scroll{overflow-x:auto}</style></head><body>\n"
                  "<h1>%s</h1>\n<p>Wheel: closer or farther. Drag: along. Double click: everything. A task's name is "
                  "shown under the pointer where there are few enough of them.%s</p>\n<div class=\"scroll\">\n",
                  timeline->name, timeline->name,
                  timeline->is_cut ? " More was going on than was recorded: the picture ends early." : "");
    svg_write(file, timeline);
    (void)fputs("</div>\n<pre>", file);
    text_write(file, table);
    (void)fprintf(file, "</pre>\n%s</body></html>\n", page_script);
}
