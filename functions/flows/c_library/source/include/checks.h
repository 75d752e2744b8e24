/* A library of checksums, encodings and small tools over bytes, without a C library below it. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdint.h>

/* adler32.c: Adler-32 (RFC 1950). */
uint32_t adler32(const uint8_t *bytes, size_t count);

/* crc32.c: CRC-32 of zlib, PNG and Ethernet. */
uint32_t crc32(const uint8_t *bytes, size_t count);

/* fnv1a.c: FNV-1a of 64 bits. */
uint64_t fnv1a(const uint8_t *bytes, size_t count);

/* base64.c: RFC 4648, with padding. `to` has room for 4 * ((count + 2) / 3) bytes; returns how many were written. */
size_t base64(const uint8_t *bytes, size_t count, uint8_t *to);

/* hex.c: `digits` lower-case hex digits of a number, the most significant first. */
void hex(uint64_t value, int digits, uint8_t *to);

/* decimal.c: a number in decimal; `to` has room for 20 bytes. Returns how many were written. */
size_t decimal(uint64_t value, uint8_t *to);

/* rle.c: runs as (count, byte) pairs; `to` has room for 2 * count bytes. Returns how many were written. */
size_t rle(const uint8_t *bytes, size_t count, uint8_t *to);

/* utf8.c: the number of code points, or -1 where the bytes are not UTF-8. */
long utf8_length(const uint8_t *bytes, size_t count);

/* sort.c: sorts numbers, the smallest first (heap sort). */
void sort(uint32_t *numbers, size_t count);

/* text.c: the length of a text that ends with a zero. */
size_t text_length(const char *text);

/* write.c: writes to standard output. */
void write_bytes(const uint8_t *bytes, size_t count);
void write_text(const char *text);

/* start.asm: the system call `write`. */
long system_write(long file, const uint8_t *bytes, size_t count);

#endif
