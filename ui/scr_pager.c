/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text to read: what a verb printed, a serial log, the help. Escape
 * sequences in it are not for this terminal and are left out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui/help.h"
#include "ui/text.h"
#include "ui/view.h"
#include "ui/w_doc.h"
#include "ui/w_head.h"

struct scr_pager {
	struct screen base;
	char title[160];
	char *text; /* lines ended by zero bytes */
	const char **line;
	int n, top, left;
	char filter[128]; /* searched for */
};

/* Bytes of the escape sequence at p (p[0] is ESC), at least 1. */
static size_t pager_escape(const char *p)
{
	size_t n = 1;

	if (p[n] == '[') {
		n++;
		while (p[n] && (unsigned char)p[n] < 0x40)
			n++;
		return p[n] ? n + 1 : n;
	}
	if (p[n] == ']') { /* title and the like, to BEL or ST */
		while (p[n] && p[n] != 7 && p[n] != 27)
			n++;
		return p[n] == 27 && p[n + 1] == '\\' ? n + 2
		       : p[n] == 7                    ? n + 1
						      : n;
	}
	return p[n] ? 2 : 1;
}

/* Copy text without what a pager cannot show; returns how many lines. */
static int pager_clean(char *out, const char *p)
{
	int lines = 1, col = 0;

	for (; *p; p++) {
		if (*p == 27) {
			p += pager_escape(p) - 1;
		} else if (*p == '\n') {
			*out++ = '\n';
			lines++;
			col = 0;
		} else if (*p == '\t') {
			do
				*out++ = ' ';
			while (++col % 8);
		} else if ((unsigned char)*p >= 32 && *p != 127) {
			*out++ = *p;
			col++;
		}
	}
	*out = 0;
	return lines;
}

/* Cut text at its newlines. */
static int pager_lines(struct scr_pager *s, int lines)
{
	char *p = s->text;

	s->line = calloc((size_t)lines, sizeof(*s->line));
	if (!s->line)
		return -ENOMEM;
	for (s->n = 0; s->n < lines; s->n++) {
		char *end = strchr(p, '\n');

		s->line[s->n] = p;
		if (!end)
			break;
		*end = 0;
		p = end + 1;
	}
	if (s->n == lines || *s->line[s->n])
		s->n += s->n < lines;
	return 0;
}

static int pager_set(struct scr_pager *s, const char *title, size_t len,
	const char *text, struct err *e)
{
	int lines;

	snprintf(s->title, sizeof(s->title), "%.*s", (int)len, title);
	/* a tab may become eight blanks */
	s->text = malloc(strlen(text) * 8 + 1);
	if (!s->text)
		return err_set(e, ENOMEM, "out of memory");
	lines = pager_clean(s->text, text);
	if (lines < 1 || pager_lines(s, lines)) {
		free(s->text);
		return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int pager_init(struct screen *base, const char *arg, struct err *e)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;
	size_t len = strcspn(arg, "\n");

	return pager_set(s, arg, len, arg[len] ? arg + len + 1 : "", e);
}

static void pager_free(struct screen *base)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;

	free(s->line);
	free(s->text);
}

static unsigned pager_find(struct screen *base)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;

	for (int i = 1; s->filter[0] && i <= s->n; i++) {
		int k = (s->top + i) % s->n;

		if (strcasestr(s->line[k], s->filter)) {
			s->top = k;
			return SCREEN_HANDLED | SCREEN_REDRAW;
		}
	}
	view_message(base->view, ROLE_WARN, "not found: %s", s->filter);
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static void pager_filter(struct screen *base, const char *text)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;

	snprintf(s->filter, sizeof(s->filter), "%s", text);
	if (*text && s->n) {
		s->top = s->top ? s->top - 1 : s->n - 1;
		pager_find(base);
	}
}

static unsigned pager_search(struct screen *base)
{
	view_begin_filter(base->view, "");
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

static const struct bind pager_binds[] = {
	{ '/', "Search", "search", NULL, pager_search },
	{ 'n', "Next", "search on", NULL, pager_find },
	{ 0 },
};

static unsigned pager_key(struct screen *base, const struct key *k)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;

	if (k->code == K_LEFT)
		s->left = s->left > 8 ? s->left - 8 : 0;
	else if (k->code == K_RIGHT)
		s->left += s->left < 2000 ? 8 : 0;
	else if (!w_doc_scroll(&s->top, s->n, base->h - 1, k->code))
		return 0;
	return SCREEN_HANDLED | SCREEN_REDRAW;
}

/* The rest of line past its first `left` columns. */
static const char *pager_from(const char *line, int left)
{
	size_t used;

	while (left > 0 && *line) {
		left -= text_width_of(text_utf8_get(line, strlen(line), &used));
		line += used;
	}
	return line;
}

static void pager_draw(struct screen *base, struct canvas *cv)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;
	int h = base->h - 1;
	char where[48];

	if (s->top > s->n - h)
		s->top = s->n > h ? s->n - h : 0;
	snprintf(where, sizeof(where), "%d-%d of %d", s->n ? s->top + 1 : 0,
		s->top + h < s->n ? s->top + h : s->n, s->n);
	w_title(cv, 0, s->title, "", where);
	for (int i = 0; i < h && s->top + i < s->n; i++) {
		const char *line = s->line[s->top + i];
		bool hit = s->filter[0] && strcasestr(line, s->filter);

		draw_text(cv, 1 + i, 0, cv->cols,
			hit ? ROLE_PROMPT : ROLE_NORMAL,
			pager_from(line, s->left));
	}
}

const struct screen_ops scr_pager = {
	.title = "Text",
	.binds = pager_binds,
	.size = sizeof(struct scr_pager),
	.init = pager_init,
	.free = pager_free,
	.key = pager_key,
	.draw = pager_draw,
	.filter = pager_filter,
};

/* ---- help: the same, its text made from the tables ---- */

static void help_binds(FILE *f, const char *title, const struct bind *b)
{
	char name[16];

	fprintf(f, "%s\n\n", title);
	for (; b && b->code; b++)
		fprintf(f, "  %-8s %s\n",
			keys_name(b->code, name, sizeof(name)), b->help);
	fputc('\n', f);
}

static int help_init(struct screen *base, const char *arg, struct err *e)
{
	struct scr_pager *s = (struct scr_pager *)(void *)base;
	const struct screen *under = base->view->top;
	char *text = NULL, *verbs = help_overview();
	size_t len = 0;
	FILE *f = verbs ? open_memstream(&text, &len) : NULL;
	int r;

	(void)arg;
	if (!f) {
		free(verbs);
		return err_set(e, ENOMEM, "out of memory");
	}
	if (under)
		help_binds(f, under->ops->title, under->ops->binds);
	help_binds(f, "Everywhere", view_binds);
	fprintf(f, "Verbs, after ':' and on the command line\n\n%s", verbs);
	fclose(f);
	free(verbs);
	r = pager_set(s, "Help", 4, text, e);
	free(text);
	return r;
}

const struct screen_ops scr_help = {
	.title = "Help",
	.binds = pager_binds,
	.size = sizeof(struct scr_pager),
	.init = help_init,
	.free = pager_free,
	.key = pager_key,
	.draw = pager_draw,
	.filter = pager_filter,
};
