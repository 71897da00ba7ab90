/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shared parts of the kernel loaders; see load.h. Files are read by preadv
 * into the pieces that gmem_iov() gives, so a kernel or initrd is copied
 * once, from the page cache into guest RAM.
 */
#include "vm/fw/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vm/base/bytes.h"
#include "vm/base/io.h"
#include "vm/base/sizes.h"

#include "vm/fw/layout.h"

#define PIECES 8
#define CHUNK  (GiB) /* what one preadv may be asked for */
#define PAGE   UINT64_C(4096)

int load_open(struct load_file *f, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	f->path = path;
	/* Nonblocking: opening a FIFO must not wait. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	rc = fstat(f->fd, &st) ? errno : 0;
	if (rc)
		err_sys(e, rc, "cannot look at %s", path);
	else if (!S_ISREG(st.st_mode))
		rc = -err_set(e, EINVAL, "%s: not a regular file", path);
	if (rc) {
		load_close(f);
		return -rc;
	}
	f->size = (uint64_t)st.st_size;
	return 0;
}

void load_close(struct load_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static int read_error(const struct load_file *f, int rc, struct err *e)
{
	if (rc == -ENODATA)
		return err_set(e, ENOEXEC, "%s: file is cut short", f->path);
	return err_sys(e, -rc, "cannot read %s", f->path);
}

int load_read(const struct load_file *f, uint64_t off, void *buf, size_t len,
	struct err *e)
{
	int rc;

	if (!size_in(off, len, f->size))
		return read_error(f, -ENODATA, e);
	rc = io_pread_full(f->fd, buf, len, (off_t)off);
	return rc ? read_error(f, rc, e) : 0;
}

/* Drop the first n bytes of the pieces. */
static void advance(struct iovec **v, int *n, size_t done)
{
	while (*n && done >= (*v)->iov_len) {
		done -= (*v)->iov_len;
		(*v)++;
		(*n)--;
	}
	if (*n) {
		(*v)->iov_base = (char *)(*v)->iov_base + done;
		(*v)->iov_len -= done;
	}
}

static int preadv_full(int fd, struct iovec *v, int n, uint64_t off)
{
	while (n) {
		ssize_t got = preadv(fd, v, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			return -ENODATA;
		off += (uint64_t)got;
		advance(&v, &n, (size_t)got);
	}
	return 0;
}

int load_to_guest(struct load *l, const struct load_file *f, uint64_t off,
	uint64_t len, uint64_t gpa)
{
	struct iovec v[PIECES];

	while (len) {
		uint64_t now = len < CHUNK ? len : CHUNK;
		int n = gmem_iov(l->g, gpa, now, v, PIECES), rc;

		if (n < 0)
			return err_set(l->e, -n,
				"%s: guest address 0x%llx is not RAM", f->path,
				(unsigned long long)gpa);
		rc = preadv_full(f->fd, v, n, off);
		if (rc)
			return read_error(f, rc, l->e);
		len -= now;
		off += now;
		gpa += now;
	}
	return 0;
}

int load_zero(struct load *l, uint64_t gpa, uint64_t len)
{
	return gmem_zero(l->g, gpa, len);
}

int load_bad(struct load *l, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(l->e, ENOEXEC, "%s: %s", l->kernel.path, text);
}

int load_no_room(struct load *l, uint64_t end)
{
	uint64_t area = gmem_low_end(l->g) - l->ram_end;

	return err_set(l->e, ENOMEM,
		"%s: kernel and initrd need at least %llu MiB of memory, "
		"the guest has %llu MiB below 4 GiB",
		l->kernel.path,
		(unsigned long long)(size_up(end + area, MiB) / MiB),
		(unsigned long long)(gmem_low_end(l->g) / MiB));
}

static int place_initrd(struct load *l, const struct load_file *f,
	uint64_t above, uint64_t last, uint64_t *gpa)
{
	uint64_t end = l->ram_end, need;

	above = size_up(above, PAGE);
	if (last < end - 1)
		end = last + 1;
	if (f->size > TiB)
		return err_set(l->e, ENOMEM, "%s: initrd is too large",
			f->path);
	need = above + size_up(f->size, PAGE);
	if (need > l->ram_end)
		return load_no_room(l, need);
	if (end < above || f->size > end - above)
		return err_set(l->e, ENOMEM,
			"%s: initrd does not fit below 0x%llx, where this "
			"kernel wants it",
			f->path, (unsigned long long)end);
	*gpa = size_down(end - f->size, PAGE);
	if (*gpa < above)
		*gpa = above;
	return 0;
}

int load_initrd(struct load *l, uint64_t above, uint64_t last, uint64_t *gpa,
	uint64_t *len)
{
	struct load_file f = { .fd = -1 };
	int rc;

	*gpa = *len = 0;
	if (!l->initrd || !*l->initrd)
		return 0;
	rc = load_open(&f, l->initrd, l->e);
	if (rc)
		return rc;
	if (!f.size)
		rc = err_set(l->e, EINVAL, "%s: initrd is empty", f.path);
	if (!rc)
		rc = place_initrd(l, &f, above, last, gpa);
	if (!rc)
		rc = load_to_guest(l, &f, 0, f.size, *gpa);
	if (!rc)
		*len = f.size;
	load_close(&f);
	return rc;
}

int load_cmdline(struct load *l, uint64_t max)
{
	size_t len = strlen(l->cmdline);

	if (max > FW_CMDLINE_MAX - 1)
		max = FW_CMDLINE_MAX - 1;
	if (len > max)
		return err_set(l->e, EINVAL,
			"kernel command line has %zu characters, %s takes %llu",
			len, l->kernel.path, (unsigned long long)max);
	return gmem_write(l->g, FW_CMDLINE, l->cmdline, len + 1);
}

/* PML4 and PDPT of one entry and four, then 4 directories of 2 MiB pages. */
static int page_tables(struct gmem *g)
{
	enum { PRESENT = 1, WRITE = 2, LARGE = 0x80 };
	uint64_t table[512] = { htole64(
		(FW_PAGE_TABLES + PAGE) | PRESENT | WRITE) };
	int rc = gmem_write(g, FW_PAGE_TABLES, table, sizeof(table));

	memset(table, 0, sizeof(table));
	for (uint64_t i = 0; i < 4; i++)
		table[i] = htole64(
			(FW_PAGE_TABLES + (2 + i) * PAGE) | PRESENT | WRITE);
	if (!rc)
		rc = gmem_write(g, FW_PAGE_TABLES + PAGE, table, sizeof(table));
	for (uint64_t i = 0; i < 4 && !rc; i++) {
		for (uint64_t j = 0; j < 512; j++)
			table[j] = htole64(i * GiB + j * 2 * MiB + LARGE +
					   PRESENT + WRITE);
		rc = gmem_write(g, FW_PAGE_TABLES + (2 + i) * PAGE, table,
			sizeof(table));
	}
	return rc;
}

int load_cpu_tables(struct load *l, bool long_mode, struct fw_entry *out)
{
	uint8_t gdt[4 * 8] = { 0 };
	int rc;

	put_le64(gdt + 0x10, long_mode ? UINT64_C(0x00AF9B000000FFFF)
				       : UINT64_C(0x00CF9B000000FFFF));
	put_le64(gdt + 0x18, UINT64_C(0x00CF93000000FFFF));
	rc = gmem_write(l->g, FW_GDT, gdt, sizeof(gdt));
	if (!rc && long_mode)
		rc = page_tables(l->g);
	if (rc)
		return err_sys(l->e, -rc, "cannot write boot tables");
	out->gdt_base = FW_GDT;
	out->gdt_limit = sizeof(gdt) - 1;
	out->rsp = FW_STACK;
	out->cr3 = long_mode ? FW_PAGE_TABLES : 0;
	return 0;
}
