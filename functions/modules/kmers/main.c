/* Counts the k-mers of DNA in FASTA on standard input: words of k letters, a word and its reverse complement as one.

   Arguments: k, from 1 to 11 (6), and how many of the most frequent to print (10). All counts go to /outputs/counts.tsv.
   A letter that is not A, C, G or T is in no word. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_K 11

static uint32_t counts[1u << 2 * MAX_K];
static uint32_t order[1u << 2 * MAX_K];

static int letter_value(int letter) {
  switch (letter) {
    case 'A': case 'a': return 0;
    case 'C': case 'c': return 1;
    case 'G': case 'g': return 2;
    case 'T': case 't': return 3;
    default: return -1;
  }
}

/* The more frequent first, and of equals the first in the alphabet: the order is total, so any sort gives the same. */
static int compare(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  if (counts[a] != counts[b]) return counts[a] < counts[b] ? 1 : -1;
  return (a > b) - (a < b);
}

/* Numbers are written here: printf would make the module half as large again. */
static void put_number(FILE *file, uint32_t value) {
  if (value > 9) put_number(file, value / 10);
  putc((int)('0' + value % 10), file);
}

static void put_word(FILE *file, uint32_t word, int k) {
  for (int i = k - 1; i >= 0; i--) putc("ACGT"[word >> 2 * i & 3], file);
  putc('\t', file);
  put_number(file, counts[word]);
  putc('\n', file);
}

/* The number in an argument, or `absent` if there is no such argument; ends the program if it is out of bounds. */
static uint32_t argument(int argc, char **argv, int index, uint32_t absent, uint32_t most) {
  if (index >= argc) return absent;
  char *end;
  long value = strtol(argv[index], &end, 10);
  if (*end || value < 1 || value > (long)most) {
    fputs("kmers: give k from 1 to 11, and how many to print\n", stderr);
    exit(2);
  }
  return (uint32_t)value;
}

int main(int argc, char **argv) {
  int k = (int)argument(argc, argv, 1, 6, MAX_K), length = 0, in_title = 0, letter;
  uint32_t top = argument(argc, argv, 2, 10, 1000000);
  uint32_t mask = (1u << 2 * k) - 1, forward = 0, backward = 0, used = 0, total = 0;
  while ((letter = getchar()) != EOF) {
    if (letter == '>') in_title = 1;
    if (in_title) {
      in_title = letter != '\n';
      length = 0;
      continue;
    }
    if (letter == '\n' || letter == '\r') continue;
    int value = letter_value(letter);
    if (value < 0) {
      length = 0;
      continue;
    }
    forward = (forward << 2 | (uint32_t)value) & mask;
    backward = backward >> 2 | (3u - (uint32_t)value) << 2 * (k - 1);
    if (++length < k) continue;
    uint32_t word = forward < backward ? forward : backward;
    if (!counts[word]++) order[used++] = word;
    total++;
  }
  qsort(order, used, sizeof *order, compare);
  put_number(stdout, total);
  fputs(" words, ", stdout);
  put_number(stdout, used);
  fputs(" different\n", stdout);
  for (uint32_t i = 0; i < used && i < top; i++) put_word(stdout, order[i], k);
  FILE *table = fopen("/outputs/counts.tsv", "w");
  for (uint32_t i = 0; table && i < used; i++) put_word(table, order[i], k);
  if (!table || fclose(table)) {
    fputs("kmers: /outputs/counts.tsv cannot be written\n", stderr);
    return 1;
  }
  return 0;
}
