/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Intrusive doubly linked list. The head is a node of its own; an unlinked
 * node points to itself. No locking: the owner of the head locks.
 */
#ifndef VM_BASE_LIST_H
#define VM_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_each(it, head)                                                    \
	for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, tmp, head)                                          \
	for (struct list *it = (head)->next, *tmp = it->next; it != (head);    \
		it = tmp, tmp = it->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void list_add_head(struct list *head, struct list *n)
{
	list_add_tail(head->next, n);
}

/* Unlink n (harmless when it is in no list) and leave it initialised. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* First node, unlinked, or NULL when the list is empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *n = head->next;

	if (n == head)
		return NULL;
	/* the analyzer takes the node before for this one */
	list_del(n); /* NOLINT(clang-analyzer-unix.Malloc) */
	return n;
}

#endif
