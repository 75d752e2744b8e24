/* What a C program can ask of its host: clocks, randomness, files, directories, numbers; then an end of its choice.

   clang --target=wasm32-wasi -O2 probe.c -o probe.wasm */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void list(const char *path) {
  DIR *directory = opendir(path);
  struct dirent *entry;
  if (!directory) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  printf("%s:", path);
  while ((entry = readdir(directory))) {
    struct stat status;
    char full[512];
    snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
    if (lstat(full, &status)) printf(" %s(%s)", entry->d_name, strerror(errno));
    else printf(" %s/%d/%d/%lld", entry->d_name, (int)status.st_ino, (int)entry->d_type, (long long)status.st_mtime);
  }
  printf("\n");
  closedir(directory);
}

static void bits(const char *name, double value) {
  uint64_t raw;
  memcpy(&raw, &value, sizeof raw);
  printf("%s %016llx\n", name, (unsigned long long)raw);
}

static int deep(int n) {
  volatile char room[16];
  room[0] = (char)n;
  return n < 0 ? room[0] : deep(n + 1) + room[0];
}

extern char **environ;

int main(int argc, char **argv) {
  struct timespec now, later, nap = {3, 500};
  unsigned char random[8];
  char line[256];
  volatile double zero = 0.0;
  FILE *file;

  for (int i = 0; i < argc; i++) printf("arg %s\n", argv[i]);
  for (char **one = environ; *one; one++) printf("env %s\n", *one);
  while (fgets(line, sizeof line, stdin)) printf("stdin %s", line);

  clock_gettime(CLOCK_REALTIME, &now);
  nanosleep(&nap, NULL);
  clock_gettime(CLOCK_REALTIME, &later);
  printf("time %lld.%09ld then %lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec, (long long)later.tv_sec, later.tv_nsec);
  getentropy(random, sizeof random);
  printf("random");
  for (unsigned i = 0; i < sizeof random; i++) printf(" %02x", random[i]);
  printf("\n");
  bits("0/0", zero / zero);
  bits("inf-inf", 1 / zero - 1 / zero);
  bits("sqrt(-1)", __builtin_sqrt(zero - 1));

  list("/");
  list("/inputs");
  list("/reference");
  mkdir("/outputs/made", 0777);
  file = fopen("/outputs/made/file.txt", "w");
  if (!file) return 90;
  fprintf(file, "written\n");
  fclose(file);
  symlink("file.txt", "/outputs/made/link");
  rename("/outputs/made/file.txt", "/outputs/made/renamed.txt");
  list("/outputs/made");
  if (fopen("/inputs/new", "w")) return 91;
  printf("inputs: %s\n", strerror(errno));
  if (fopen("/new", "w")) return 92;
  printf("root: %s\n", strerror(errno));
  if (fopen("/../etc/passwd", "r")) return 93;
  printf("above: %s\n", strerror(errno));
  if (isatty(1)) return 94;
  fflush(stdout);

  const char *end = argc > 1 ? argv[1] : "";
  if (!strcmp(end, "loop")) for (volatile int i = 0;; i++);
  if (!strcmp(end, "abort")) abort();
  if (!strcmp(end, "divide")) return argc / (int)zero;
  if (!strcmp(end, "deep")) return deep(0);
  if (!strcmp(end, "flood")) for (;;) puts("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde");
  if (!strcmp(end, "memory")) {
    size_t got = 0;
    for (char *room; (room = malloc(1 << 20)); got++) *(volatile char *)room = 1;
    printf("%zu MiB\n", got);
    return 3;
  }
  return argc > 2 ? atoi(argv[2]) : 0;
}
