#include <checks.h>

size_t rle(const uint8_t *bytes, size_t count, uint8_t *to)
{
    size_t written = 0;
    size_t i = 0;

    while (i < count) {
        size_t run = 1;

        while (run < 255 && i + run < count && bytes[i + run] == bytes[i]) {
            run++;
        }
        to[written++] = run;
        to[written++] = bytes[i];
        i += run;
    }
    return written;
}
