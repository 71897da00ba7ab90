/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work for test guests, one static program:
 *   fill FILE SEED BYTES [THREADS]   write a pattern past the page cache
 *   check FILE SEED BYTES [THREADS]  read it back and compare
 *   events SECONDS COUNT DEVICE...   print input events as they come
 * The pattern is a function of seed and place, so that the other side of a
 * virtual disk can compute it too. A thread stays on one CPU, so that each
 * disk queue gets its share; sizes and the pieces of one request vary.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR  512
#define CHUNK   (256 * 1024)
#define THREADS 8
#define PIECES  5

struct job {
	pthread_t thread;
	const char *path;
	uint64_t seed, bytes;
	unsigned index, of;
	bool write;
	int result;
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void pattern(uint64_t seed, uint64_t at, uint64_t *buf, size_t len)
{
	for (size_t i = 0; i < len / 8; i++)
		buf[i] = mix(seed ^ (at / 8 + i));
}

/* Cut [buf, buf+len) into pieces of whole sectors. */
static int cut(uint64_t dice, uint8_t *buf, size_t len, struct iovec *iov)
{
	int n = 0;

	while (len) {
		size_t part = (1 + dice % 64) * SECTOR;

		dice = mix(dice);
		if (part > len || n == PIECES - 1)
			part = len;
		iov[n].iov_base = buf;
		iov[n++].iov_len = part;
		buf += part;
		len -= part;
	}
	return n;
}

static int transfer(struct job *j, int fd, uint8_t *buf, uint64_t at,
	size_t len)
{
	struct iovec iov[PIECES];
	int n = cut(mix(at ^ j->seed), buf, len, iov);
	ssize_t done = j->write ? pwritev(fd, iov, n, (off_t)at)
				: preadv(fd, iov, n, (off_t)at);

	if (done == (ssize_t)len)
		return 0;
	fprintf(stderr, "%s: %s of %zu bytes at %llu: %s\n", j->path,
		j->write ? "write" : "read", len, (unsigned long long)at,
		done < 0 ? strerror(errno) : "short");
	return -1;
}

static int compare(struct job *j, const uint64_t *want, const uint64_t *got,
	uint64_t at, size_t len)
{
	for (size_t i = 0; i < len / 8; i++)
		if (want[i] != got[i]) {
			fprintf(stderr,
				"%s: byte %llu: %016llx instead of %016llx\n",
				j->path, (unsigned long long)(at + i * 8),
				(unsigned long long)got[i],
				(unsigned long long)want[i]);
			return -1;
		}
	return 0;
}

/* One chunk, in requests of 1 sector to all of it. */
static int chunk(struct job *j, int fd, uint64_t at, uint8_t *buf,
	uint64_t *want)
{
	size_t len = j->bytes - at < CHUNK ? (size_t)(j->bytes - at) : CHUNK;
	uint64_t dice = mix(at + j->seed);

	pattern(j->seed, at, want, len);
	if (j->write)
		memcpy(buf, want, len);
	for (size_t pos = 0; pos < len;) {
		size_t part = (1 + dice % (dice & 0x10000 ? 512 : 16)) * SECTOR;

		dice = mix(dice);
		if (part > len - pos)
			part = len - pos;
		if (transfer(j, fd, buf + pos, at + pos, part))
			return -1;
		pos += part;
	}
	return j->write ? 0 : compare(j, want, (uint64_t *)buf, at, len);
}

static void *work(void *arg)
{
	struct job *j = arg;
	int mode = j->write ? O_WRONLY : O_RDONLY;
	int fd = open(j->path, mode | O_DIRECT);
	uint8_t *buf = aligned_alloc(4096, CHUNK);
	uint64_t *want = malloc(CHUNK);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(j->index % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
	j->result = -1;
	if (fd < 0)
		fd = open(j->path, mode);
	if (fd < 0 || !buf || !want) {
		perror(j->path);
		goto out;
	}
	j->result = 0;
	for (uint64_t at = j->index * (uint64_t)CHUNK;
		at < j->bytes && !j->result; at += j->of * (uint64_t)CHUNK)
		j->result = chunk(j, fd, at, buf, want);
	if (j->write && !j->result && fsync(fd)) {
		perror("fsync");
		j->result = -1;
	}
out:
	if (fd >= 0)
		close(fd);
	free(buf);
	free(want);
	return NULL;
}

static int disk(int argc, char **argv, bool write)
{
	struct job j[THREADS] = { 0 };
	unsigned n = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
	int result = 0;

	if (argc < 5 || n < 1 || n > THREADS)
		return 2;
	for (unsigned i = 0; i < n; i++) {
		j[i].path = argv[2];
		j[i].seed = strtoull(argv[3], NULL, 0);
		j[i].bytes = strtoull(argv[4], NULL, 0);
		j[i].index = i;
		j[i].of = n;
		j[i].write = write;
		if (pthread_create(&j[i].thread, NULL, work, &j[i]))
			return 1;
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(j[i].thread, NULL);
		result |= j[i].result;
	}
	return result ? 1 : 0;
}

/* Print what comes until count keys, steps or places, or the time is up. */
static int events(int argc, char **argv)
{
	struct pollfd p[16];
	int n = 0, timeout_ms, count;

	if (argc < 5)
		return 2;
	timeout_ms = atoi(argv[2]) * 1000;
	count = atoi(argv[3]);
	for (int i = 4; i < argc && n < 16; i++, n++) {
		p[n].fd = open(argv[i], O_RDONLY | O_NONBLOCK);
		p[n].events = POLLIN;
	}
	printf("listening\n");
	fflush(stdout);
	while (count > 0 && poll(p, (nfds_t)n, timeout_ms) > 0) {
		struct input_event e;

		for (int i = 0; i < n; i++)
			while (read(p[i].fd, &e, sizeof(e)) == sizeof(e)) {
				/* repeats are made here, by the clock */
				if (e.type == EV_SYN || e.type == EV_MSC ||
					(e.type == EV_KEY && e.value == 2))
					continue;
				printf("%s type %d code %d value %d\n",
					argv[4 + i], e.type, e.code, e.value);
				fflush(stdout);
				count--;
			}
	}
	return count > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "fill"))
		return disk(argc, argv, true);
	if (argc > 1 && !strcmp(argv[1], "check"))
		return disk(argc, argv, false);
	if (argc > 1 && !strcmp(argv[1], "events"))
		return events(argc, argv);
	return 2;
}
