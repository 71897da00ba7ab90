/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who writes a part of a block under O_DIRECT reads the block, changes it
 * and writes it back: no other write to that block may run meanwhile. Writes
 * in flight are in a list; one of a part waits for those that it meets, and
 * those that come later wait for it. While no part is written, and that is
 * nearly always, this costs a list entry. See file.h.
 */
#include "vm/base/sizes.h"

#include "storage/proto/file.h"

void file_order_init(struct file *f)
{
	list_init(&f->writes);
	list_init(&f->waiting);
	f->ordered = f->direct && !f->node.readonly &&
		     (f->is_format || f->block_size < f->align);
}

static bool file_meets(const struct file_io *a, const struct file_io *b)
{
	return (a->partial || b->partial) && a->lo < b->hi && b->lo < a->hi;
}

/* Does io meet one of those in head that come before until? */
static bool file_meets_any(const struct file_io *io, const struct list *head,
	const struct list *until)
{
	for (struct list *n = head->next; n != head && n != until; n = n->next)
		if (file_meets(io, list_entry(n, struct file_io, node)))
			return true;
	return false;
}

bool file_order_enter(struct file_io *io)
{
	const struct blk_req *r = io->r;
	struct file *f = io->f;

	io->in_order = true;
	io->partial =
		r->op != BLK_DISCARD && file_is_partial(f, r->offset, r->len);
	io->lo = size_down(r->offset, f->align);
	io->hi = size_up(r->offset + r->len, f->align);
	if (io->partial)
		f->partial++;
	if (f->partial && (file_meets_any(io, &f->writes, NULL) ||
				  file_meets_any(io, &f->waiting, NULL))) {
		list_add_tail(&f->waiting, &io->node);
		return false;
	}
	list_add_tail(&f->writes, &io->node);
	return true;
}

/* The first that waits for nobody any more, moved to those in flight. */
static struct file_io *file_order_next(struct file *f)
{
	list_each (n, &f->waiting) {
		struct file_io *io = list_entry(n, struct file_io, node);

		if (file_meets_any(io, &f->writes, NULL) ||
			file_meets_any(io, &f->waiting, n))
			continue;
		list_del(&io->node);
		list_add_tail(&f->writes, &io->node);
		return io;
	}
	return NULL;
}

void file_order_leave(struct file_io *io)
{
	struct file *f = io->f;
	struct file_io *next;

	io->in_order = false;
	list_del(&io->node);
	if (io->partial)
		f->partial--;
	if (f->handing_on)
		return; /* the one below us in the stack goes on */
	f->handing_on = true;
	while ((next = file_order_next(f)))
		file_start(next);
	f->handing_on = false;
}
