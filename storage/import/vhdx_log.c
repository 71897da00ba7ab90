// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The log is a ring of 4 KiB sectors. An entry is a header, descriptors (126
 * in the first sector, 128 in others) and a data sector for each descriptor
 * that writes one. Entries with numbers that count up are a sequence; it is
 * good when its last entry's tail is the place of one of them, and the good
 * one with the highest number is what has to be replayed, from that tail on.
 *
 * An entry is looked at once (its place is remembered), and all checksums
 * together have a limit, so a log cannot be made that takes for ever.
 */
#include "storage/import/vhdx_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm/base/bytes.h"
#include "vm/base/sizes.h"

#include "storage/core/ctx.h"
#include "storage/core/sync.h"
#include "storage/import/crc32c.h"

#define SECTOR          4096u
#define DESC_BYTES      32u
#define DESCS_OF_HEADER 2u /* places of descriptors that the header takes */
#define DESCS_A_SECTOR  (SECTOR / DESC_BYTES)
#define END_MAX         (UINT64_C(1) << 62)

enum entry_state { ENTRY_UNSEEN, ENTRY_BAD, ENTRY_GOOD };

struct entry {
	enum entry_state state;
	uint32_t sectors;      /* of all of it */
	uint32_t desc_sectors; /* of header and descriptors */
	uint32_t descs;
	uint32_t tail; /* sector of the log */
	uint64_t number;
	uint64_t flushed_end, last_end; /* of the file, bytes */
};

struct scan {
	uint8_t *log;
	uint32_t sectors;
	const uint8_t *guid;
	struct entry *entries; /* by sector */
	uint64_t crc_left;     /* bytes that may still be summed */
	bool any;              /* an entry of this log's, good or not */

	/* what was found */
	bool found;
	uint32_t from;  /* sector of the first entry to replay */
	uint32_t count; /* entries */
	uint64_t number;
	uint64_t flushed_end, last_end;

	struct vhdx_overlay *out;
};

static uint8_t *sector_of(const struct scan *s, uint64_t i)
{
	return s->log + i % s->sectors * SECTOR;
}

static uint8_t *desc_of(const struct scan *s, uint32_t at, uint32_t i)
{
	uint32_t place = i + DESCS_OF_HEADER;

	return sector_of(s, (uint64_t)at + place / DESCS_A_SECTOR) +
	       place % DESCS_A_SECTOR * DESC_BYTES;
}

static bool desc_is_data(const uint8_t *d)
{
	return !memcmp(d, "desc", 4);
}

/* --- one entry --- */

static bool entry_sum_is_good(struct scan *s, uint32_t at, uint32_t sectors)
{
	uint64_t len = (uint64_t)sectors * SECTOR;
	uint32_t crc, want = get_le32(sector_of(s, at) + 4);

	if (len > s->crc_left)
		return false;
	s->crc_left -= len;
	put_le32(sector_of(s, at) + 4, 0);
	crc = 0;
	for (uint32_t i = 0; i < sectors; i++)
		crc = crc32c(crc, sector_of(s, (uint64_t)at + i), SECTOR);
	put_le32(sector_of(s, at) + 4, want);
	return crc == want;
}

static bool desc_is_good(const uint8_t *d, uint64_t number)
{
	uint64_t at = get_le64(d + 16), len = SECTOR, end;

	if (!desc_is_data(d)) {
		if (memcmp(d, "zero", 4) != 0)
			return false;
		len = get_le64(d + 8);
	}
	return get_le64(d + 24) == number && at % SECTOR == 0 &&
	       len % SECTOR == 0 && size_add(at, len, &end) && end <= END_MAX;
}

static bool data_is_good(const uint8_t *d, uint64_t number)
{
	return !memcmp(d, "data", 4) &&
	       get_le32(d + 4) == (uint32_t)(number >> 32) &&
	       get_le32(d + SECTOR - 4) == (uint32_t)number;
}

static bool descs_are_good(const struct scan *s, uint32_t at,
	const struct entry *en)
{
	uint64_t data = en->desc_sectors;

	for (uint32_t i = 0; i < en->descs; i++) {
		const uint8_t *d = desc_of(s, at, i);

		if (!desc_is_good(d, en->number))
			return false;
		if (!desc_is_data(d))
			continue;
		if (data == en->sectors ||
			!data_is_good(sector_of(s, at + data), en->number))
			return false;
		data++;
	}
	return true;
}

/* The header alone into en; false = it is none. */
static bool entry_decode(struct scan *s, const uint8_t *h, struct entry *en)
{
	uint32_t len = get_le32(h + 8), tail = get_le32(h + 12);
	uint64_t places;

	if (memcmp(h, "loge", 4) != 0 || memcmp(h + 32, s->guid, 16) != 0)
		return false;
	s->any = true;
	en->sectors = len / SECTOR;
	en->tail = tail / SECTOR;
	en->number = get_le64(h + 16);
	en->descs = get_le32(h + 24);
	en->flushed_end = get_le64(h + 48);
	en->last_end = get_le64(h + 56);
	places = (uint64_t)en->descs + DESCS_OF_HEADER;
	if (places > (uint64_t)en->sectors * DESCS_A_SECTOR)
		return false;
	en->desc_sectors =
		(uint32_t)((places + DESCS_A_SECTOR - 1) / DESCS_A_SECTOR);
	return len % SECTOR == 0 && en->sectors <= s->sectors &&
	       tail % SECTOR == 0 && en->tail < s->sectors && en->number &&
	       en->flushed_end <= END_MAX && en->last_end <= END_MAX;
}

/* The good entry at a sector, or NULL. */
static struct entry *entry_at(struct scan *s, uint32_t at)
{
	struct entry *en = &s->entries[at];

	if (en->state == ENTRY_UNSEEN) {
		en->state = ENTRY_BAD;
		if (entry_decode(s, sector_of(s, at), en) &&
			entry_sum_is_good(s, at, en->sectors) &&
			descs_are_good(s, at, en))
			en->state = ENTRY_GOOD;
	}
	return en->state == ENTRY_GOOD ? en : NULL;
}

/* --- the sequence --- */

/*
 * Follow the entries from a sector on. Returns how many sectors they take
 * when they are a good sequence, else 0.
 */
static uint32_t sequence_at(struct scan *s, uint32_t from)
{
	struct entry *head = NULL, *en;
	uint32_t total = 0, count = 0, at = from;

	while (total < s->sectors && (en = entry_at(s, at)) &&
		en->sectors <= s->sectors - total &&
		(!head || en->number == head->number + 1)) {
		head = en;
		total += en->sectors;
		at = (uint32_t)(((uint64_t)at + en->sectors) % s->sectors);
		count++;
	}
	if (!head)
		return 0;
	at = from;
	for (uint32_t left = count; left; left--) {
		if (at != head->tail) {
			at = (uint32_t)(((uint64_t)at +
						s->entries[at].sectors) %
					s->sectors);
			continue;
		}
		if (!s->found || head->number > s->number) {
			s->found = true;
			s->from = at;
			s->count = left;
			s->number = head->number;
		}
		return total;
	}
	return 0;
}

static void find_sequence(struct scan *s)
{
	uint64_t at = 0;

	while (at < s->sectors) {
		uint32_t len = sequence_at(s, (uint32_t)at);

		at += len ? len : 1;
	}
}

/* --- replay --- */

/*
 * The writes of the entry at a sector, behind those at w; returns how many.
 * A data sector lacks what its descriptor holds: it is put in in place.
 */
static size_t entry_writes(struct scan *s, uint32_t at, struct vhdx_write *w)
{
	const struct entry *en = &s->entries[at];
	uint64_t data = (uint64_t)at + en->desc_sectors;
	size_t n = 0;

	for (uint32_t i = 0; i < en->descs; i++) {
		const uint8_t *d = desc_of(s, at, i);

		w[n].start = get_le64(d + 16);
		if (desc_is_data(d)) {
			uint8_t *page = sector_of(s, data++);

			memcpy(page, d + 8, 8);
			memcpy(page + SECTOR - 4, d + 4, 4);
			w[n].data = page;
			w[n].end = w[n].start + SECTOR;
		} else {
			w[n].data = NULL;
			w[n].end = w[n].start + get_le64(d + 8);
		}
		if (s->last_end < w[n].end)
			s->last_end = w[n].end;
		n += w[n].end > w[n].start;
	}
	if (s->flushed_end < en->flushed_end)
		s->flushed_end = en->flushed_end;
	if (s->last_end < en->last_end)
		s->last_end = en->last_end;
	return n;
}

static int replay(struct scan *s)
{
	struct vhdx_write *w;
	uint32_t at = s->from;
	size_t room = 0, n = 0;
	int rc;

	for (uint32_t i = 0; i < s->count; i++) {
		room += s->entries[at].descs;
		at = (uint32_t)(((uint64_t)at + s->entries[at].sectors) %
				s->sectors);
	}
	w = calloc(room ? room : 1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	at = s->from;
	for (uint32_t i = 0; i < s->count; i++) {
		n += entry_writes(s, at, w + n);
		at = (uint32_t)(((uint64_t)at + s->entries[at].sectors) %
				s->sectors);
	}
	rc = vhdx_overlay_build(s->out, w, n);
	free(w);
	return rc;
}

/* On a thread of the pool. */
static int scan_run(void *arg)
{
	struct scan *s = arg;

	s->entries = calloc(s->sectors, sizeof(s->entries[0]));
	if (!s->entries)
		return -ENOMEM;
	find_sequence(s);
	if (s->found)
		return replay(s);
	return s->any ? -EINVAL : 0;
}

static int read_and_scan(struct scan *s, struct node *file,
	const struct vhdx_log *log, struct err *e)
{
	int rc = node_read(file, log->offset, s->log, log->len);

	if (rc < 0)
		return err_sys(e, -rc, "%s: cannot read the VHDX log",
			file->path);
	rc = ctx_work(file->ctx, scan_run, s);
	free(s->entries);
	if (rc == -EINVAL)
		return err_set(e, EINVAL,
			"%s: damaged VHDX: the log has changes that were not "
			"completed, but none can be used; open it once in "
			"Hyper-V, or get it from its source again",
			file->path);
	if (rc < 0)
		return err_set(e, -rc, "out of memory");
	return 0;
}

int vhdx_log_read(struct node *file, const struct vhdx_log *log,
	uint64_t *file_size, struct vhdx_overlay *out, struct err *e)
{
	struct scan s = { .sectors = log->len / SECTOR,
		.guid = log->guid,
		.crc_left = 8 * (uint64_t)log->len,
		.out = out };
	int rc;

	if (log->len > VHDX_LOG_MAX)
		return err_set(e, ENOTSUP,
			"%s: the VHDX was not closed cleanly, and its log is "
			"larger than the %u MiB that can be replayed here; "
			"open it once in Hyper-V",
			file->path, VHDX_LOG_MAX >> 20);
	out->log = s.log = malloc(log->len);
	if (!s.log)
		return err_set(e, ENOMEM, "out of memory");
	rc = read_and_scan(&s, file, log, e);
	if (!rc && s.flushed_end > *file_size)
		rc = err_set(e, EINVAL,
			"%s: the VHDX is cut off: by its log it had %llu bytes",
			file->path, (unsigned long long)s.flushed_end);
	if (rc < 0) {
		vhdx_overlay_fini(out);
		return rc;
	}
	if (*file_size < s.last_end)
		*file_size = s.last_end;
	if (s.found)
		log_msg(file->log, LOG_INFO,
			"%s: the VHDX was not closed cleanly; %u entries of "
			"its log are applied in memory",
			file->path, s.count);
	return 0;
}
