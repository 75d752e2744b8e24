#include <checks.h>

/* The number of bytes that follow a first byte, -1 for one that is none. */
static int following(uint8_t first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first >= 0xc2 && first < 0xe0) {
        return 1;
    }
    if (first >= 0xe0 && first < 0xf0) {
        return 2;
    }
    if (first >= 0xf0 && first < 0xf5) {
        return 3;
    }
    return -1;
}

long utf8_length(const uint8_t *bytes, size_t count)
{
    long points = 0;
    size_t i = 0;

    while (i < count) {
        int more = following(bytes[i]);

        i++;
        if (more < 0 || i + more > count) {
            return -1;
        }
        while (more > 0) {
            if ((bytes[i] & 0xc0) != 0x80) {
                return -1;
            }
            i++;
            more--;
        }
        points++;
    }
    return points;
}
